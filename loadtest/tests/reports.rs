//! Scenario files, assertions, and the reports that a run writes.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::process::Command;
use support::server::correct_server;
use support::{Run, TempFile, finish, run};

const FANOUT: [&str; 4] = ["--clients", "3", "--rate", "100"];

/// Runs a scenario file of `lines`, with `flags` after its name.
fn run_file(lines: &str, flags: &[&str]) -> Run {
    let (file, json) = (TempFile::new("toml"), TempFile::new("json"));
    std::fs::write(&file.0, lines.replace("SERVER", &correct_server().to_string())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["run", file.name(), "--json", json.name()]).args(flags);
    finish(&command.output().unwrap(), &json)
}

const FILE: &str = r#"
scenario = "fanout"
url = "ws://SERVER/ws"
clients = 3
rate = 100
duration = "300ms"
warmup = "0s"
quiet = true
generator_waiting_max = 1
assert = ["lost=0", "p99<60s"]
"#;

#[test]
fn flags_override_the_scenario_file() {
    let run = run_file(FILE, &[]);
    assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 120.0);
    assert_eq!(run.stderr, "", "--quiet prints nothing");
    let run = run_file(FILE, &["--clients", "5", "--rate=50"]);
    assert_eq!(run.expect_pass().figure("/results/accounting/verified"), 90.0);
    assert_eq!(run.figure("/config/clients"), 5.0);
}

/// As on the command line, the nearest name is suggested.
#[test]
fn misspelt_key_is_refused_with_a_suggestion() {
    let run = run_file(&FILE.replace("clients", "cleints"), &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.output());
    assert!(run.stderr.contains("--cleints") && run.stderr.contains("'--clients'"), "{}", run.stderr);
    let run = run_file(&FILE.replace("fanout", "fanuot"), &[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("'fanout'"), "{}", run.stderr);
}

#[test]
fn failed_assertion_is_named_in_the_verdict() {
    let hold = ["--assert", "p99<60s", "--assert", "lost=0", "--assert", "messages_per_s>=0"];
    run("fanout", correct_server(), &[&FANOUT[..], &hold].concat()).expect_pass();
    let run = run(
        "fanout",
        correct_server(),
        &[&FANOUT[..], &hold, &["--assert", "p50<1us", "--assert", "back_99<1s"]].concat(),
    );
    assert_eq!(run.code, Some(1), "{}", run.output());
    let (first, second) = run.verdict().strip_prefix("FAIL: ").unwrap().split_once(", ").unwrap();
    assert!(first.starts_with("p50 ") && first.ends_with(" is not < 1 µs"), "{first}");
    assert_eq!(second, "back_99 was not measured, so it is not < 1.00 s");
}

/// A run whose report cannot be written must not exit like one that passed.
#[test]
fn unwritable_report_is_an_error() {
    let folder = std::env::temp_dir();
    for flag in ["--json", "--html"] {
        let run = run("fanout", correct_server(), &[&FANOUT[..], &[flag, folder.to_str().unwrap()]].concat());
        assert_eq!(run.code, Some(70), "{}", run.output());
        assert!(run.stderr.contains("failed to "), "{}", run.stderr);
    }
}

#[test]
fn page_contains_the_verdict() {
    for (condition, verdict, word) in [("lost=0", "PASS", ">PASS<"), ("lost=1", "FAIL: lost 0 is not = 1", ">FAIL<")] {
        let html = TempFile::new("html");
        let options = ["--html", html.name(), "--assert", condition];
        let run = run("fanout", correct_server(), &[&FANOUT[..], &options].concat());
        assert_eq!(run.verdict(), verdict, "{}", run.output());
        let reason = verdict.rsplit(": ").next().unwrap();
        let page = std::fs::read_to_string(&html.0).unwrap();
        assert!(page.starts_with("<!") && page.contains(word) && page.contains(reason), "{verdict}");
    }
}

/// With the figures measured until then.
#[test]
fn page_is_written_when_a_run_is_stopped() {
    let html = TempFile::new("html");
    let server = support::raw_server(|_, _| true);
    let run = run("fanout", server, &[&FANOUT[..], &["--html", html.name()]].concat());
    assert_eq!(run.code, Some(5), "{}", run.output());
    assert!(std::fs::read_to_string(&html.0).unwrap().contains("STOPPED"));
}

#[test]
fn reports_of_two_runs_make_one_page() {
    let (first, second, html) = (TempFile::new("json"), TempFile::new("json"), TempFile::new("html"));
    for json in [&first, &second] {
        run("fanout", correct_server(), &[&FANOUT[..], &["--json", json.name()]].concat());
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.args(["report", first.name(), second.name(), "--html", html.name()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(&html.0).unwrap();
    for json in [&first, &second] {
        assert!(page.contains(json.0.file_stem().unwrap().to_str().unwrap()));
    }
}

#[test]
fn file_that_is_no_report_is_bad_usage() {
    let file = TempFile::new("json");
    std::fs::write(&file.0, "{}").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["report", file.name()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("report format none"));
}
