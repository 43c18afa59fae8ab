# Sums up what tests/together.py printed, in the words of `cargo test`: the tests that failed, each with its binary, and
# as the last line "N passed, N failed". A binary that ended without a result counts as one failed test. Exit code 1
# when any failed.

function end_binary() {
    if (binary != "" && !has_result) fail("ended without a result")
    has_result = 0
}

function fail(what) {
    failed++
    lines[failed] = "failed: " binary ": " what
}

# Cargo names each binary before it runs: "Running tests/name.rs (path)" or "Doc-tests crate".
/^ +Running / { end_binary(); binary = $2 == "unittests" ? $3 " in " $4 : $2; sub(/target.*\/deps\//, "", binary) }
/^ +Doc-tests / { end_binary(); binary = "documentation of " $2 }

# The last of a binary's lists of failures holds their names, one a line.
/^failures:$/ { is_list = 1; count = 0 }
is_list && /^    [^ ]/ { names[++count] = substr($0, 5) }

/^test result: / {
    for (i = 1; i <= count; i++) fail(names[i])
    is_list = count = 0
    has_result = 1
    match($0, /[0-9]+ passed/)
    passed += substr($0, RSTART, RLENGTH)
}

END {
    end_binary()
    for (i = 1; i <= failed; i++) print lines[i]
    print passed + 0 " passed, " failed + 0 " failed"
    exit failed > 0
}
