#!/usr/bin/env bash
# Instructions of each hot function, counted by callgrind and held to benches/instructions.tsv: one that grew by more
# than 2 % fails (one instruction more per delivery is 2.5 %). `--record` writes what was counted, for a change that is
# worth it. No clock, so a busy machine does not matter; another compiler or C library does, and is given 15 %.
set -euo pipefail
cd "$(dirname "$0")/.."
recorded=benches/instructions.tsv
command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed"; exit 0; }

# Not the bench but the program made of it: the profiles are the same, and this one needs no development dependencies.
# The packages are those that ./test builds in release, so that it builds this along with them.
cargo build --quiet --release -p throng -p loadtest -p throng-gate --bin instructions
bench=${CARGO_TARGET_DIR:-target}/release/instructions
tools="$(rustc --version), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"
known=$(sed -n 's/^# //p' "$recorded" 2>/dev/null | tail -1 || true)
slack=2
[ "$tools" = "$known" ] || slack=15

# Prints a case's instructions per unit.
count() {
    local out
    out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*instructions::counted*' \
        "$bench" "$1" 2>&1) || { echo "$out" >&2; return 1; }
    awk -v name="$1" '$1 == name { units = $2 } /Collected/ { total = $NF }
        END { if (!units || !total) exit 1; printf "%.1f\n", total / units }' <<<"$out"
}

cases=$("$bench" | cut -d' ' -f1)
if [ "${1:-}" = --record ]; then
    {
        echo "# Instructions per message, frame, publication or delivery; written by tests/instructions.sh --record."
        echo "# $tools"
        for name in $cases; do printf '%s\t%s\n' "$name" "$(count "$name")"; done
    } >"$recorded.new"
    mv "$recorded.new" "$recorded"
    cat "$recorded"
    exit 0
fi

[ "$slack" = 2 ] || echo "recorded with '$known', this is '$tools': $slack % are allowed"
printf '%-12s %10s %10s %8s\n' function recorded counted change
failed=""
for name in $cases; do
    counted=$(count "$name")
    before=$(awk -v name="$name" '$1 == name { print $2 }' "$recorded")
    [ -n "$before" ] || { echo "$name is not recorded: run tests/instructions.sh --record"; exit 1; }
    awk -v name="$name" -v before="$before" -v counted="$counted" -v slack="$slack" 'BEGIN {
        change = (counted / before - 1) * 100
        printf "%-12s %10.1f %10.1f %+7.1f%%%s\n", name, before, counted, change, (change > slack ? "  too many" : "")
        exit (change > slack) }' || failed=1
done
if [ -n "$failed" ]; then
    echo "a hot function takes more instructions than recorded: mend it, or say why and --record"
    exit 1
fi
