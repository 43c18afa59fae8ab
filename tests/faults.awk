# Makes the table of docs/cluster.md of what tests/faults printed: a row for each test that judged something, and then
# what was wrong in any of them.

# Between each "test NAME ... " and its "ok" or "FAILED" is what the test printed.
/^test [^ ]+ \.\.\. / {
    name = $2
    sub(/.*::/, "", name)
}

/^refused [0-9]+, longest pause / {
    if (!(name in rounds)) names[++count] = name
    rounds[name]++
    for (field = 1; field <= NF; field++) if ($field ~ /^(refused|acknowledged|delivered|recovered|declared)$/) {
        sum[name, $field] += $(field + 1)
    } else if ($field ~ /^(lost|duplicated|reordered|forked)$/) {
        wrong[$field] += $(field + 1)
    } else if ($field == "pause" && $(field + 1) > pause[name]) {
        pause[name] = $(field + 1) + 0
    }
}

/FAILED$/ && name != "" { failed[name] = 1 }
/^test result: / { result = $0 }

# 12345 as 12,345.
function thousands(number,    text) {
    number = number + 0
    while (number ~ /^[0-9][0-9][0-9][0-9]/) {
        text = "," substr(number, length(number) - 2) text
        number = substr(number, 1, length(number) - 3)
    }
    return number text
}

END {
    print "\n| test | acknowledged | delivered | recovered | gaps | refused | pause |"
    print "|---|---|---|---|---|---|---|"
    for (i = 1; i <= count; i++) {
        name = names[i]
        times = rounds[name] > 1 ? " (" rounds[name] " times)" : ""
        printf "| `%s`%s%s |", name, times, name in failed ? " FAILED" : ""
        printf " %s | %s |", thousands(sum[name, "acknowledged"]), thousands(sum[name, "delivered"])
        printf " %s | %s |", thousands(sum[name, "recovered"]), thousands(sum[name, "declared"])
        printf " %s | %s s |\n", thousands(sum[name, "refused"]), pause[name] < 1 ? sprintf("%.2f", pause[name]) : sprintf("%.1f", pause[name])
    }
    for (name in failed) if (!(name in rounds)) print "| `" name "` FAILED before it judged | | | | | | |"
    printf "\nIn all of them: lost %d, duplicated %d, reordered %d, forked %d.\n%s\n", \
        wrong["lost"], wrong["duplicated"], wrong["reordered"], wrong["forked"], result
}
