"""The extension list and nothing else; all metadata is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# release: what ships.  debug: every Cython check and C assert on.
# sanitize: debug plus AddressSanitizer and UBSan (run with LD_PRELOAD=libasan).
BUILD = os.environ.get("SENSOR_BUILD", "release")
CHECKED = BUILD != "release"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "nonecheck": CHECKED,
    "overflowcheck": CHECKED,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
}
CFLAGS = ["-std=c11", "-fno-strict-aliasing", "-Wall"]
CFLAGS += ["-O1", "-g", "-UNDEBUG", "-DSENSOR_CHECKED=1"] if CHECKED else ["-O3", "-g0"]
LDFLAGS: list[str] = [] if CHECKED else ["-Wl,-s"]
if BUILD == "sanitize":
    CFLAGS += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LDFLAGS += ["-fsanitize=address,undefined"]

sources = sorted(Path("ext/sensor/_native").glob("*.pyx"))
setup(
    ext_modules=cythonize(
        [
            Extension(
                f"sensor._native.{src.stem}",
                [str(src)],
                extra_compile_args=CFLAGS,
                extra_link_args=LDFLAGS,
            )
            for src in sources
        ],
        include_path=["ext"],
        build_dir=f"build/cython-{BUILD}",
        compiler_directives=DIRECTIVES,
    )
)
