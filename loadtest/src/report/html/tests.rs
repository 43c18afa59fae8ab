//! What a page must be, whatever a run was. `tests/browser` looks at the same pages in a browser.

use super::*;
use crate::report::html::fixture::{fanout, hostile, idle, ramp, slow, soak, storm};
use crate::results::Findings;
use std::path::Path;
use std::process::Command;

fn page(reports: &[Report], names: &[&str]) -> String {
    render(reports, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

/// Pages as they come, by name.
fn pages() -> Vec<(&'static str, String)> {
    let slower = || Report { environment: environment_of("9a0b1c2"), ..fanout(23, 0.72) };
    vec![
        ("fanout", page(&[fanout(1, 1.0)], &["fanout.json"])),
        ("compare", page(&[fanout(1, 1.0), slower()], &["/somewhere/main.json", "<b>branch<|b>.json"])),
        ("three", page(&[fanout(1, 1.0), fanout(2, 1.6), hostile()], &["throng", "centrifugo", "naive"])),
        ("hostile", page(&[hostile()], &["hostile"])),
        ("ramp", page(&[ramp(4, 1.0)], &["ramp"])),
        ("ramp-compare", page(&[ramp(4, 0.8), ramp(9, 1.0)], &["before", "after"])),
        ("storm", page(&[storm(6, 1.0)], &["storm"])),
        ("storm-compare", page(&[storm(6, 1.0), storm(7, 1.7)], &["before", "after"])),
        ("slow", page(&[slow()], &["slow"])),
        ("slow-compare", page(&[slow(), slow()], &["before", "after"])),
        ("idle", page(&[idle()], &["idle"])),
        ("soak", page(&[soak(8, 4)], &["soak"])),
        ("bare", page(&[bare()], &["bare"])),
    ]
}

fn environment_of(commit: &str) -> crate::observe::host::Environment {
    let report = fanout(1, 1.0);
    crate::observe::host::Environment { commit: Some(commit.to_owned()), ..report.environment }
}

/// Returns a run that ended before anything was measured.
fn bare() -> Report {
    Report { results: Findings::default(), ..fanout(1, 1.0) }
}

/// Where a page has a figure of text between two marks, it is in this order.
#[track_caller]
fn assert_order(page: &str, marks: &[&str]) {
    let mut from = page.find("<body>").unwrap();
    for mark in marks {
        from += page[from..].find(mark).unwrap_or_else(|| panic!("{mark} is missing or out of order"));
    }
}

#[test]
fn page_goes_from_the_verdict_to_the_configuration() {
    let page = page(&[hostile()], &["run"]);
    assert_order(
        &page,
        &[
            "<h1 class=\"verdict fail\">",
            "How fast does one message reach all receivers?",
            "100 messages/s of 128 B to 10,000 receivers, for 1m.",
            "<dl class=\"cards\">",
            "of 42,000,000 expected",
            "Doubts about the figures",
            "Latency over time",
            "Latency by percentile",
            "Deliveries per second",
            "Messages per second",
            "Memory",
            "CPU, of one core",
            "<h2>Figures</h2>",
            "Where every delivery went",
            "closed with 1006",
            "<h2>Environment</h2>",
            "<h2>Configuration</h2>",
            "face.kind",
        ],
    );
}

/// A server writes close reasons, and a report may come from an untrusted source.
#[test]
fn nothing_in_a_report_becomes_markup() {
    for (name, page) in pages() {
        assert_eq!(page.matches("<script>").count(), 1, "{name}: only ours");
        assert_eq!(page.matches("</style>").count(), 1, "{name}");
        assert!(!page.contains("<b>branch"), "{name}");
    }
    assert!(page(&[hostile()], &["x"]).contains("slow &lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn page_fetches_nothing() {
    for (name, page) in pages() {
        for word in ["http://", "https://", "src=", "@import", "url("] {
            let found = page.find(word).map(|at| &page[at.saturating_sub(20)..at + 20]);
            // Names of namespaces are no addresses.
            assert!(
                found.is_none_or(|found| found.contains("www.w3.org") || found.contains("\"http")),
                "{name}: {found:?}"
            );
        }
        assert!(page.contains("default-src 'none'"), "{name}");
    }
}

#[test]
fn what_a_run_does_not_have_is_left_out() {
    let bare = page(&[bare()], &["bare"]);
    assert!(!bare.contains("<figure") && !bare.contains("<h2>Figures"), "{bare}");
    let fanout = page(&[fanout(1, 1.0)], &["x"]);
    assert!(!fanout.contains("against clients") && !fanout.contains("after the cut"));
    assert!(!fanout.contains("Doubts about"), "there is no doubt");
    let ramp = page(&[ramp(4, 1.0)], &["x"]);
    assert!(ramp.contains("Latency against clients") && ramp.contains("limit 50.0 ms") && ramp.contains("knee 12,000"));
    let storm = page(&[storm(6, 1.0)], &["x"]);
    assert!(storm.contains("Clients back after the cut") && storm.contains("9,990 of 10,000"));
    for (name, page) in pages() {
        assert!(!page.contains("NaN") && !page.contains("inf%"), "{name}");
    }
}

#[test]
fn several_runs_share_their_charts_and_are_compared_with_the_first() {
    let page = page(&[fanout(1, 1.0), fanout(23, 0.72)], &["main", "branch"]);
    assert_order(&page, &["PASS", "all 2 runs", "main", "branch"]);
    assert_eq!(page.matches("<h3>Latency over time</h3>").count(), 1);
    assert!(page.contains("data-name=\"main p99\"") && page.contains("data-name=\"branch p99\""));
    assert!(page.contains("0.72 x worse"), "deliveries/s");
    assert!(page.contains("<span class=\"against\">to <span class=\"run c0\">main</span>"));
}

/// A burst is not a slow fan-out: the page says so first, and judges nothing.
#[test]
fn runs_of_different_loads_are_not_judged() {
    let mut other = fanout(23, 0.72);
    other.config.load = crate::config::Load::Burst { messages: 16, every: std::time::Duration::from_millis(500) };
    let page = page(&[fanout(1, 1.0), other], &["fanout", "burst"]);
    assert_order(
        &page,
        &[
            "loadtest <b>fanout, burst</b>",
            "Different loads:",
            "How fast does one message reach all receivers?",
            "What happens to messages that are sent in bursts?",
            "0.72 x<",
        ],
    );
    assert!(!page.contains(" x worse") && !page.contains(" x better"));
    let rate = |clients| {
        let mut report = fanout(1, 1.0);
        report.config.clients = clients;
        report
    };
    assert!(render(&[rate(1), rate(2)], &[]).contains("Different loads:"));
    assert!(!render(&[rate(1), rate(1)], &[]).contains("Different loads:"));
}

/// All steps held, so no knee was reached.
#[test]
fn knee_that_was_not_reached_is_not_drawn() {
    let mut report = ramp(4, 1.0);
    let ramp = report.results.ramp.as_mut().unwrap();
    ramp.steps.retain(|step| step.is_within);
    (ramp.knee, ramp.held) = (None, Some(ramp.steps.len() - 1));
    let page = page(&[report], &["ramp"]);
    assert!(!page.contains("knee"), "{page}");
    assert!(page.contains("clients held"));
}

#[test]
fn names_are_short_unless_that_confuses() {
    let names = |names: [&str; 2]| shortened(&names.map(str::to_owned));
    assert_eq!(names(["out/a.json", "b.json"]), ["a", "b"]);
    assert_eq!(names(["before/run.json", "after/run.json"]), ["before/run.json", "after/run.json"]);
    assert_eq!(names(["/", "x"]), ["/", "x"]);
}

/// A soak of a night is sent around like any other page.
#[test]
fn long_runs_make_small_pages() {
    let page = page(&[soak(8, 12), soak(9, 12)], &["before", "after"]);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("hours since the start"));
}

/// The policy lets this very script run and no other.
#[test]
fn policy_names_the_script() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/report.js");
    let command = format!("sha256sum <{} | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64", file.display());
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(SCRIPT_HASH, format!("sha256-{}", String::from_utf8_lossy(&output.stdout).trim()));
}

/// For eyes and for `tests/browser/report.test.mjs`:
/// `REPORT_PAGES=directory cargo test -p loadtest pages_for_eyes -- --ignored`.
#[test]
#[ignore = "writes files"]
fn pages_for_eyes() {
    let directory = std::env::var("REPORT_PAGES").unwrap();
    for (name, page) in pages() {
        std::fs::write(Path::new(&directory).join(format!("{name}.html")), page).unwrap();
    }
}
