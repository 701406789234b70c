#!/bin/sh
# build.sh TARGET [libfuzzer|replay]: compiles fuzz_TARGET.pyx and prints the path of the result.
#   libfuzzer  (default) a fuzzer: clang, AddressSanitizer, UBSan
#   replay     a shared object for replay.py: the normal compiler, UBSan as traps, no runtime needed
# Nothing is rebuilt while no source is newer.
set -eu
target=$1
kind=${2:-libfuzzer}
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
python=${PYTHON:-python3}
source=tests/fuzz/fuzz_$target.pyx
work=build/fuzz/$kind
[ -e "$source" ] || { echo "no such fuzz target: $source" >&2; exit 2; }
mkdir -p "$work"

out=$work/fuzz_$target
[ "$kind" = replay ] && out=$out.so
if [ -e "$out" ] && [ -z "$(find ext tests/fuzz/*.c tests/fuzz/*.pxd "$source" "$0" -newer "$out" -print -quit)" ]; then
    echo "$out"
    exit 0
fi

"$python" -m cython -3 -X boundscheck=True -X wraparound=False -X cdivision=True \
    -I ext "$source" -o "$work/fuzz_$target.c"
config() { "$python" -c "import sysconfig as s; print(s.get_config_var('$1') or '')"; }
include=$("$python" -c 'import sysconfig as s; print(s.get_path("include"))')
flags="-std=gnu11 -g -O1 -UNDEBUG -DSENSOR_CHECKED=1 -fno-strict-aliasing -fno-omit-frame-pointer"
flags="$flags -Wno-unused-function -I$include"

# shellcheck disable=SC2086
if [ "$kind" = replay ]; then
    ${CC:-cc} $flags -fPIC -shared -fsanitize=undefined -fsanitize-undefined-trap-on-error \
        "$work/fuzz_$target.c" -o "$out.new" \
        $([ "$(uname)" = Darwin ] && echo -undefined dynamic_lookup)
else
    # The module's start-up code is linked but never run: no interpreter is started.
    libdir=$(config LIBDIR)
    ${CLANG:-clang-14} $flags -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=undefined -DFUZZ_TARGET="fuzz_$target" \
        "$work/fuzz_$target.c" tests/fuzz/libfuzzer_main.c -o "$out.new" \
        -L"$libdir" -Wl,-rpath,"$libdir" -lpython"$(config LDVERSION)" -lm -ldl -lpthread -lutil
fi
mv "$out.new" "$out"
echo "$out"
