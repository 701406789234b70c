"""What ships: the sdist builds a wheel by itself, and the wheel holds what runs, no more.

Everything is translated again from what the sdist holds; C text that came out as it did in the
build in place is not compiled a second time (cc_again.py).
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def recipe() -> str:
    """As the build in place has it, so that its objects fit; else what compiles fastest."""
    stamp = ROOT / "build" / "recipe"
    return str(ast.literal_eval(stamp.read_text())[0]) if stamp.exists() else "debug"


def compiler() -> str:
    again = shlex.join([sys.executable, str(Path(__file__).parent / "cc_again.py"), str(ROOT)])
    return f"{again} {os.environ.get('CC') or sysconfig.get_config_var('CC')}"


def build(hook: str, source: Path, target: Path) -> Path:
    """Call a PEP 517 hook of our backend in `source`; gives the file it made."""
    code = f"import sys; from setuptools import build_meta as b; print(b.build_{hook}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=source,
        env=os.environ | {"SENSOR_BUILD": recipe(), "CC": compiler()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git holds, so that nothing left lying about gets in."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("sdist")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.fail("tests/packaging needs the git checkout: run it there, not in an sdist")
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # setup.py translates whatever the command: here the sdist needs none of it, and holds none.
    if (ROOT / "build" / "recipe").exists():
        kept = f"build/cython-{recipe()}"
        shutil.copytree(ROOT / kept, tree / kept)
        shutil.copy2(ROOT / "build" / "recipe", tree / "build")
    return build("sdist", tree, out)


@pytest.fixture(scope="module")
def sdist_names(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(tree)  # noqa: S202  (we made it; Debian's 3.11.2 has no filters)
    return build("wheel", next(tree.iterdir()), tmp_path_factory.mktemp("wheel"))


def files(pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)}


def test_sdist_holds_every_source(sdist_names: set[str]) -> None:
    wanted = files("ext/**/*.p[xy][dx]") | files("rules/*") | files("docs/**/*.md")
    wanted |= files("tests/**/*.py") | {"LICENSE", "README.md", "Makefile", "setup.py", ".ci/run"}
    wanted = {name for name in wanted if "__pycache__" not in name}
    assert wanted <= sdist_names
    assert not [n for n in sdist_names if n.endswith((".so", ".pyc")) or n.startswith("build/")]
    assert not [n for n in sdist_names if n.startswith("ext/") and n.endswith(".c")]


def test_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(n for n in names if n.endswith("/METADATA"))
        described = archive.read(metadata).decode()
        entry = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    python = {n for n in files("sensor/**/*.py") if "__pycache__" not in n}
    assert python <= names
    assert files("sensor/_native/*.pyi") | {"sensor/py.typed"} <= names
    assert {f"sensor/{n}" for n in files("rules/*.toml") | {"rules/__init__.py"}} <= names
    for source in ROOT.glob("ext/sensor/_native/*.pyx"):
        pattern = rf"sensor/_native/{source.stem}\..*(so|pyd)"
        assert [n for n in names if re.fullmatch(pattern, n)], source.stem
    allowed = (".py", ".pyi", ".so", ".pyd", ".toml", ".csv", "py.typed")
    stray = [
        name
        for name in names
        if ".dist-info/" not in name
        and not name.endswith(allowed)
        and not name.startswith("sensor/web/")
    ]
    assert stray == []
    assert {name.split("/")[0].split("-")[0] for name in names} == {"sensor", "shadower_sensor"}
    assert "sensor = sensor.programs.cli:main" in entry
    assert "License-Expression: Apache-2.0" in described
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_imports(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, its native modules load and it is that copy which is imported."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)  # noqa: S202  (we made it)
    code = "import sensor._native.dtypes as d, sensor.rules; print(d.__file__, d.COUNTERS)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))
