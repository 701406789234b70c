"""Every input of every corpus, and every finding, through the fuzz targets: no clang needed.

The list of targets is the list of files `fuzz_<target>.pyx`; seeds are in `corpus/<target>`, inputs
that once broke something in `findings/<target>`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.pyx"))


def built(target: str) -> Path:
    done = subprocess.run(
        [HERE / "build.sh", target, "replay"],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return HERE.parent.parent / done.stdout.split()[-1]


def inputs(target: str) -> list[Path]:
    return sorted(
        path
        for folder in ("corpus", "findings")
        for path in (HERE / folder / target).glob("*")
        if path.is_file() and path.name != ".gitkeep"
    )


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_and_findings_are_harmless(target: str) -> None:
    files = inputs(target)
    assert files, f"tests/fuzz/corpus/{target} is empty: a fuzzer needs seeds"
    library = built(target)
    done = subprocess.run(
        [sys.executable, HERE / "replay.py", library, *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"signal {-done.returncode} at {last}\n{done.stderr}"
    assert len(done.stdout.splitlines()) == len(files)


def test_every_corpus_has_a_target() -> None:
    folders = {p.name for f in ("corpus", "findings") for p in (HERE / f).glob("*") if p.is_dir()}
    assert folders <= set(TARGETS)


def test_an_over_read_is_noticed(tmp_path: Path) -> None:
    """The guard page works: a target that reads one octet too many does not pass."""
    source = tmp_path / "fuzz_bad.c"
    source.write_text(
        "#include <stddef.h>\nint fuzz_bad(const volatile unsigned char *p, size_t n)"
        "{ return p[n] != 0; }\n"
    )
    library = tmp_path / "fuzz_bad.so"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    seed = tmp_path / "seed"
    seed.write_bytes(b"abc")
    done = subprocess.run(
        [sys.executable, HERE / "replay.py", library, seed], capture_output=True, check=False
    )
    assert done.returncode < 0
