//! Nothing that was measured is lost: files are opened before the load, and no output depends on another.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::server::{chat_server, correct_server};
use support::{Run, TempFile, finish, loadtest, raw_server, run};

const FANOUT: [&str; 4] = ["--clients", "3", "--rate", "100"];

/// Hours of load must not end in "no such directory".
#[test]
fn unwritable_file_ends_the_run_before_the_load() {
    for flag in ["--json", "--html"] {
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let server = raw_server(move |_, _| {
            // A plain counter: it publishes no other data.
            accepted.fetch_add(1, Ordering::Relaxed);
            true
        });
        let mut command = loadtest("fanout", server);
        let output = command.args([flag, "/no/such/folder/report"]).args(FANOUT).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70), "{stderr}");
        assert!(stderr.contains("failed to open /no/such/folder/report for writing: No such file"), "{stderr}");
        assert_eq!((output.stdout.as_slice(), connections.load(Ordering::Relaxed)), (&b""[..], 0));
    }
}

/// A file that cannot be written prevents neither the table nor the other file.
#[test]
fn full_disk_costs_one_file_only() {
    for (flag, failed) in [("--html", "/dev/full"), ("--json", "/dev/full")] {
        let (json, html) = (TempFile::new("json"), TempFile::new("html"));
        let mut command = loadtest("fanout", correct_server());
        command.args(FANOUT).args(["--json", json.name(), "--html", html.name(), flag, failed]);
        let run = finish(&command.output().unwrap(), &json);
        assert_eq!((run.verdict(), run.code), ("PASS", Some(70)), "{}", run.output());
        assert!(
            run.stdout.contains("latency p99") && run.stderr.contains("failed to write /dev/full"),
            "{}",
            run.output()
        );
        let page = std::fs::read_to_string(&html.0).unwrap_or_default();
        assert_eq!((run.json.is_null(), page.contains("PASS")), (flag == "--json", flag == "--json"));
    }
}

/// Runs with stdout that does not take the table.
fn run_with_stdout(stdout: Stdio) -> Run {
    let json = TempFile::new("json");
    let mut command = loadtest("fanout", correct_server());
    command.args(FANOUT).args(["--json", json.name()]).stdout(stdout).stderr(Stdio::piped());
    finish(&command.spawn().unwrap().wait_with_output().unwrap(), &json)
}

#[test]
fn table_goes_to_stderr_when_stdout_is_on_a_full_disk() {
    let run = run_with_stdout(File::options().write(true).open("/dev/full").unwrap().into());
    assert_eq!(run.code, Some(70), "{}", run.output());
    assert!(run.stderr.starts_with("PASS\n") && run.stderr.contains("failed to write to stdout"), "{}", run.output());
    assert_eq!(run.json["verdict"]["line"], "PASS");
}

/// A reader such as `head` may end before the run does. That is no failure of the run.
#[test]
fn table_goes_to_stderr_when_the_reader_of_stdout_has_ended() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = run_with_stdout(writer.into());
    assert_eq!(run.code, Some(0), "{}", run.output());
    assert!(run.stderr.starts_with("PASS\n") && run.stderr.contains("latency p99"), "{}", run.output());
    assert_eq!(run.json["verdict"]["line"], "PASS");
}

/// A server in a process of its own, killed when dropped: the example `floor`, which `cargo test -p loadtest` builds.
struct Server(Child);

impl Server {
    fn start() -> (Self, SocketAddr) {
        let test = std::env::current_exe().unwrap();
        let path = test.parent().unwrap().with_file_name("examples").join("floor");
        let mut child = Command::new(path).args(["write", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let server = Self(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        (server, line.trim().parse().unwrap())
    }

    fn kill(&mut self) {
        // Fails only for a process that has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The figures until then, also those that are read from the server's process.
#[test]
fn killed_server_leaves_a_complete_report() {
    let (mut server, address) = Server::start();
    let (json, html, pid) = (TempFile::new("json"), TempFile::new("html"), server.0.id().to_string());
    let program = loadtest("fanout", address);
    let mut command = Command::new(program.get_program());
    command.args(program.get_args().filter(|argument| *argument != "--quiet"));
    command.args(["--json", json.name(), "--html", html.name(), "--server-pid", &pid]);
    command.args(["--duration", "120s", "--rate", "100", "--clients", "3"]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Progress has a line per second, so messages flow once there is one with deliveries.
    let mut progress = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    let is_measuring = progress.any(|line| line.contains("/s delivered"));
    server.kill();
    let stderr: String = progress.collect();
    let run = finish(&running.wait_with_output().unwrap(), &json);
    assert!(is_measuring, "{}", run.output());
    assert_eq!(run.code, Some(7), "{}{stderr}", run.output());
    assert!(run.verdict().starts_with("STOPPED: ") && run.stdout.contains("latency p99"), "{}", run.output());
    assert!(run.figure("/results/accounting/verified") > 0.0);
    assert!(run.figure("/results/phases/0/deliveries") > 0.0);
    assert!(std::fs::read_to_string(&html.0).unwrap().contains("STOPPED"));
}

/// A run that ends before its first connection writes no report, so it must not replace one.
#[test]
fn earlier_report_survives_a_run_that_does_not_start() {
    let (old, new) = (TempFile::new("json"), TempFile::new("html"));
    std::fs::write(&old.0, "an earlier report").unwrap();
    let mut command = loadtest("fanout", correct_server());
    command.args(["--json", old.name(), "--html", new.name(), "--server-pid", "4294967295"]);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&old.0).unwrap(), "an earlier report");
    assert!(!new.0.exists(), "no empty file is left");
}

/// A long run may outlive a clean-up of its folder. A longer report that was there before leaves nothing behind.
#[test]
fn file_is_complete_even_if_it_was_removed_during_the_run() {
    for is_removed in [false, true] {
        let json = TempFile::new("json");
        std::fs::write(&json.0, "x".repeat(1 << 20)).unwrap();
        let path = json.0.clone();
        let server = chat_server(move |number, text, client| {
            if is_removed && (number, client.number) == (5, 0) {
                std::fs::remove_file(&path).unwrap();
            }
            client.write(text);
        });
        let run =
            finish(&loadtest("fanout", server).args(FANOUT).args(["--json", json.name()]).output().unwrap(), &json);
        run.expect_pass();
    }
}

#[test]
fn one_file_for_both_reports_is_refused() {
    let file = TempFile::new("json");
    let run = run("fanout", correct_server(), &[&FANOUT[..], &["--json", file.name(), "--html", file.name()]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.output());
    assert!(run.stderr.contains("--json and --html name the same file"), "{}", run.stderr);
}
