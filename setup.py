"""The list of packages and of native modules, and the dashboard before what packs it; all metadata
is in pyproject.toml.

SENSOR_BUILD  release   what ships
              debug     every Cython check and C assert on
              sanitize  debug plus AddressSanitizer and UBSan (see .ci/sanitize)
              profile   release with the lines of the .pxd files (see tests/bench/stages.py);
                        into a folder of its own, by --build-lib
SENSOR_JOBS   compile that many modules at a time (default: 1)
"""

import os
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

BUILD = os.environ.get("SENSOR_BUILD", "release")
if BUILD not in ("release", "debug", "sanitize", "profile"):
    sys.exit(f"SENSOR_BUILD={BUILD}: must be release, debug, sanitize or profile")
CHECKED = BUILD in ("debug", "sanitize")

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "nonecheck": CHECKED,
    # Sequence numbers and hashes wrap on purpose: unsigned arithmetic is modular here. UBSan
    # watches the signed kind.
    "overflowcheck": False,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
}
# Cython compares loop variables with enums of the other sign.
CFLAGS = ["-std=c11", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall", "-Wno-sign-compare"]
LDFLAGS: list[str] = []
if CHECKED:
    CFLAGS += ["-O1", "-g", "-UNDEBUG", "-DSENSOR_CHECKED=1", "-fno-omit-frame-pointer"]
elif BUILD == "profile":
    CFLAGS += ["-O3", "-g"]
else:
    CFLAGS += ["-O3", "-g0"]
    LDFLAGS += ["-Wl,-s"] if sys.platform == "linux" else []
if BUILD == "sanitize":
    CFLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    LDFLAGS += ["-fsanitize=address,undefined"]

# One recipe is built in place at a time: a change of it makes every module out of date.
recipe = repr((BUILD, DIRECTIVES, CFLAGS, LDFLAGS))
stamp = Path("build/recipe-profile" if BUILD == "profile" else "build/recipe")
stamp.parent.mkdir(exist_ok=True)
stamp.touch()
changed = stamp.read_text() != recipe
# The rooms are headers (.pxd) compiled into every module that cimports them.
headers = [str(stamp), *sorted(str(path) for path in Path("ext").rglob("*.pxd"))]

ONLY_LINUX = {"ring"}
modules = cythonize(
    [
        Extension(
            f"sensor._native.{source.stem}",
            [str(source)],
            depends=headers,
            extra_compile_args=CFLAGS,
            extra_link_args=LDFLAGS,
        )
        for source in sorted(Path("ext/sensor/_native").glob("*.pyx"))
        if source.stem not in ONLY_LINUX or sys.platform == "linux"
    ],
    include_path=["ext"],
    build_dir=f"build/cython-{BUILD}",
    compiler_directives=DIRECTIVES,
    force=changed,
    emit_linenums=BUILD == "profile",
)
if changed:  # noted only now: a translation that fails is tried again
    stamp.write_text(recipe)


def with_dashboard(command: type[Command]) -> type[Command]:
    """The same command after the dashboard is built, where npm is there; never fails for it."""

    class WithDashboard(command):  # type: ignore[misc, valid-type]
        def run(self) -> None:
            if not getattr(self, "editable_mode", False) and Path(".ci/dashboard").is_file():
                subprocess.run(["sh", ".ci/dashboard", "--if-possible"], check=False)  # noqa: S607
            super().run()

    return WithDashboard


setup(
    cmdclass={"build_py": with_dashboard(build_py), "sdist": with_dashboard(sdist)},
    packages=[*find_packages(include=["sensor", "sensor.*"]), "sensor.rules"],
    ext_modules=modules,
    options={"build_ext": {"parallel": int(os.environ.get("SENSOR_JOBS", "1"))}},
)
