#!/usr/bin/env bash
# Instructions of each hot function, counted by callgrind and held to benches/instructions.tsv: one that grew by more
# than 2 % fails (one instruction more per delivery is 2.5 %). `--record` writes what was counted, for a change that is
# worth it. No clock, so a busy machine does not matter; another compiler or C library does, and is given 15 %.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO failed" >&2' ERR
cd "$(dirname "$0")/.."
recorded=benches/instructions.tsv
command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed"; exit 0; }

# Not the benches but the programs made of them: the profiles are the same, and these need no development dependencies.
# The packages are those that ./test builds in release, so that it builds these along with them.
cargo build --quiet --release -p throng -p loadtest -p throng-gate --bin instructions --bin reader_instructions
programs=${CARGO_TARGET_DIR:-target}/release
tools="$(rustc --version), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"
known=$(sed -n 's/^# //p' "$recorded" 2>/dev/null | tail -1 || true)
slack=2
[ "$tools" = "$known" ] || slack=15

# The cases of the hub, and those of the load generator's reader: `program name`, one a line.
cases=$(for program in instructions reader_instructions; do
    "$programs/$program" | sed "s/^/$program /" | cut -d' ' -f1,2
done)

# Prints a case's instructions per unit.
count() {
    local out program
    program=$(awk -v name="$1" '$2 == name { print $1 }' <<<"$cases")
    out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*instructions::counted*' \
        "$programs/$program" "$1" 2>&1) || { echo "$out" >&2; return 1; }
    awk -v name="$1" '$1 == name { units = $2 } /Collected/ { total = $NF }
        END { if (!units || !total) exit 1; printf "%.1f\n", total / units }' <<<"$out"
}

names=$(cut -d' ' -f2 <<<"$cases")
if [ "${1:-}" = --record ]; then
    {
        echo "# Instructions per message, frame, publication or delivery; written by tests/instructions.sh --record."
        echo "# $tools"
        for name in $names; do printf '%s\t%s\n' "$name" "$(count "$name")"; done
    } >"$recorded.new"
    mv "$recorded.new" "$recorded"
    cat "$recorded"
    exit 0
fi

[ "$slack" = 2 ] || echo "recorded with '$known', this is '$tools': $slack % are allowed"
printf '%-19s %10s %10s %8s\n' function recorded counted change
failed=""
for name in $names; do
    counted=$(count "$name")
    before=$(awk -v name="$name" '$1 == name { print $2 }' "$recorded")
    [ -n "$before" ] || { echo "$name is not recorded: run tests/instructions.sh --record"; exit 1; }
    awk -v name="$name" -v before="$before" -v counted="$counted" -v slack="$slack" 'BEGIN {
        change = (counted / before - 1) * 100
        printf "%-19s %10.1f %10.1f %+7.1f%%%s\n", name, before, counted, change, (change > slack ? "  too many" : "")
        exit (change > slack) }' || failed=1
done
if [ -n "$failed" ]; then
    echo "a hot function takes more instructions than recorded: mend it, or say why and --record"
    exit 1
fi
