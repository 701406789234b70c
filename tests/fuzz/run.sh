#!/bin/sh
# run.sh TARGET SECONDS: fuzzes one target. New inputs that reach new code are kept in
# build/fuzz/corpus/TARGET; a finding goes to findings/TARGET, where pytest replays it for ever:
# mend the code, keep the file, commit both.
set -eu
target=$1
seconds=$2
cd "$(dirname "$0")/../.."
fuzzer=$(tests/fuzz/build.sh "$target" libfuzzer)
corpus=build/fuzz/corpus/$target
findings=tests/fuzz/findings/$target
mkdir -p "$corpus" "$findings"
set +e
log=build/fuzz/$target.log
ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1 \
    "./$fuzzer" -max_total_time="$seconds" -max_len="${FUZZ_MAX_LEN:-4096}" -timeout=20 -seed=1 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/" \
    "$corpus" "tests/fuzz/corpus/$target" >"$log" 2>&1
status=$?
rmdir "$findings" 2>/dev/null
if [ $status != 0 ]; then
    tail -60 "$log"
    echo "fuzz $target: FOUND SOMETHING (status $status), see $findings and $log"
    exit 1
fi
echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions, no finding"
