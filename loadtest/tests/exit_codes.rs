//! Exit codes of runs that cannot go on or are interrupted. Each prints one line of error, reports what it measured,
//! and leaves no process running.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use support::server::{Client, Service, chat_server, correct_server, start};
use support::{Run, TempFile, finish, loadtest, raw_server, read_request, run};
use tokio_tungstenite::tungstenite::accept;

/// The longest wait for an event, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A run of 600 s that ends early takes less than this.
const EARLY_END_MAX: Duration = Duration::from_secs(300);

/// Runs `fanout` and checks exit code and error, which must be one line with `words`.
fn expect_one_line(server: SocketAddr, options: &[&str], code: i32, words: &str) -> Run {
    let run = run("fanout", server, &[&["--clients", "3"], options].concat());
    assert_eq!(run.code, Some(code), "{}", run.output());
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(run.json["verdict"]["exit_code"], code, "the report is written in any case");
    run
}

#[test]
fn no_server_exits_with_unreachable() {
    // The listener is dropped at once, so the port is free.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = expect_one_line(address, &["--processes", "2"], 3, "is the server running there?");
    assert_eq!(run.stdout, "");
}

#[test]
fn refused_handshake_is_reported_with_its_status() {
    let server = raw_server(|_, mut stream| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        true
    });
    expect_one_line(server, &[], 5, "503 Service Unavailable");
}

/// The timeout for a server that does not answer is 10 s, too long for a test; this one closes.
#[test]
fn close_instead_of_a_response_is_a_refusal() {
    let server = raw_server(|_, mut stream| {
        read_request(&mut stream);
        true
    });
    expect_one_line(server, &[], 5, "closed without an answer to the handshake");
}

#[test]
fn truncated_response_is_a_refusal() {
    let server = raw_server(|_, mut stream| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"));
        true
    });
    expect_one_line(server, &[], 5, "closed in the middle of the handshake's answer");
}

/// With the third connection the server closes all connections and its listener.
#[test]
fn server_that_ends_during_the_handshakes_is_a_refusal() {
    let mut held = Vec::new();
    let server = raw_server(move |number, mut stream| {
        let is_up = number < 2;
        if is_up {
            held.push(accept(stream).unwrap());
        } else {
            read_request(&mut stream);
            held.clear();
        }
        is_up
    });
    // The third connection is the last one, so no other handshake is in progress.
    expect_one_line(server, &["--clients", "2", "--connect-rate", "10"], 5, "refused connection 2");
}

#[test]
fn masked_frame_is_a_protocol_error() {
    let server = raw_server(|_, stream| {
        // After the first error the other connections may close at any point.
        let Ok(mut peer) = accept(stream) else { return true };
        drop(peer.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, b'x']));
        std::thread::spawn(move || while peer.read().is_ok() {});
        true
    });
    for processes in ["1", "2"] {
        let run = expect_one_line(server, &["--processes", processes], 6, "a masked frame (RFC 6455 section 5.1)");
        assert!(run.verdict().starts_with("STOPPED: ") || run.stdout.is_empty(), "{}", run.output());
    }
}

#[test]
fn server_without_http_is_a_protocol_error() {
    let server = raw_server(|_, mut stream| {
        drop(stream.write_all(b"220 mail.example ESMTP\r\n"));
        read_request(&mut stream);
        true
    });
    expect_one_line(server, &[], 6, "speaks no HTTP/1.1: 220 mail.example ESMTP");
}

/// In the middle of the run, or with its last message.
#[test]
fn server_that_closes_all_connections_is_gone() {
    for (processes, last) in [("1", 15), ("2", 15), ("2", 29)] {
        let server = chat_server(move |number, text, client| {
            if number < last {
                client.write(text);
            } else {
                client.close(1001, "going away");
            }
        });
        let run = expect_one_line(server, &["--rate", "100", "--processes", processes], 7, "closed all connections");
        assert!(run.verdict().starts_with("STOPPED: ws://"), "{}", run.output());
        assert_eq!(run.figure("/results/accounting/verified"), (last * 4) as f64, "deliveries until then are counted");
        assert_eq!(run.figure("/results/closes/0/code"), 1001.0);
        assert_eq!(run.figure("/results/closes/0/count"), 4.0);
        assert!(run.figure("/results/phases/0/deliveries") > 0.0, "and timed");
    }
}

/// A load of 10 minutes ends when no client is left to receive it.
#[test]
fn load_ends_early_when_all_connections_are_closed() {
    let server = chat_server(|number, text, client| if number < 5 { client.write(text) } else { client.cut() });
    let start = Instant::now();
    expect_one_line(server, &["--rate", "100", "--duration", "600s"], 7, "closed all connections");
    assert!(start.elapsed() < EARLY_END_MAX);
}

/// No idle connection is left to measure.
#[test]
fn server_that_closes_idle_connections_is_gone() {
    let mut held = Vec::new();
    let server = raw_server(move |number, stream| {
        held.push(accept(stream).unwrap());
        number < 5
    });
    let pid = std::process::id().to_string();
    let start = Instant::now();
    let options = ["--clients", "6", "--clients-low", "2", "--duration", "600s", "--server-pid", &pid];
    let run = run("idle", server, &options);
    assert_eq!(run.code, Some(7), "{}", run.output());
    assert!(run.stderr.contains("closed all connections"), "{}", run.stderr);
    assert!(start.elapsed() < EARLY_END_MAX);
}

/// After a worker has failed, the run neither waits for the others nor loses their counts.
#[test]
fn failed_worker_ends_the_run_with_the_counts_of_the_others() {
    let server = chat_server(|number, text, client| {
        client.write(text);
        if (number, client.number) == (20, 3) {
            client.write_raw(&[0x81, 0x81, 0, 0, 0, 0, b'x']);
        }
    });
    let start = Instant::now();
    let options = ["--rate", "100", "--duration", "600s", "--processes", "2"];
    let run = expect_one_line(server, &options, 6, "connection 3 a masked frame");
    assert!(start.elapsed() < EARLY_END_MAX);
    assert!(run.figure("/results/accounting/verified") >= 80.0, "{}", run.output());
}

/// A run in progress, with handles of its processes.
struct Running {
    child: Child,
    workers: Vec<OwnedFd>,
    /// One item per message that the server receives; dropped while the test does not read them.
    messages: Receiver<()>,
    /// Messages that the server has received.
    sent: Arc<AtomicUsize>,
    json: TempFile,
}

impl Running {
    /// Starts a long run in two worker processes and waits for its first messages. With `loses_messages` the server
    /// delivers nothing to the last client.
    fn start(scenario: &str, loses_messages: bool, options: &[&str]) -> Self {
        let ((sender, messages), sent) = (sync_channel(1), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&sent);
        let server = chat_server(move |number, text, client| {
            // A plain counter: it publishes no other data.
            seen.store(number + 1, Ordering::Relaxed);
            if client.number == 3 && loses_messages {
                return;
            }
            client.write(text);
            // One queued item is enough to wake the test.
            sender.try_send(()).ok();
        });
        let json = TempFile::new("json");
        let mut command = loadtest(scenario, server);
        command.args(["--clients", "3", "--rate", "100", "--processes", "2", "--json", json.name()]).args(options);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The first messages have been delivered when these are sent.
        (0..20).for_each(|_| messages.recv_timeout(TIMEOUT).expect("the run sends messages"));
        let workers: Vec<_> = children(&child).map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap()).collect();
        assert_eq!(workers.len(), 2);
        Self { child, workers, messages, sent, json }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        // A second signal is merged with the first until the process has taken that.
        let is_pending = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
            pending.trim().chars().any(|digit| digit != '0')
        };
        while signal == Signal::INT && is_pending() {
            std::thread::yield_now();
        }
    }

    /// Waits for all processes to end; for the workers first, since they hold the standard streams too.
    fn finish(self) -> Run {
        let mut workers: Vec<_> = self.workers.iter().map(|worker| PollFd::new(worker, PollFlags::IN)).collect();
        for worker in &mut workers {
            let timeout = Timespec::try_from(TIMEOUT).unwrap();
            // A pidfd is readable once its process has ended.
            assert_eq!(poll(std::slice::from_mut(worker), Some(&timeout)), Ok(1), "a worker is still running");
        }
        finish(&self.child.wait_with_output().unwrap(), &self.json)
    }
}

/// Returns the child processes of a run.
fn children(child: &Child) -> impl Iterator<Item = Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let texts = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    let pids: Vec<_> =
        texts.flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    pids.into_iter().filter_map(Pid::from_raw)
}

fn expect_partial(run: &Run) {
    assert_eq!(run.verdict(), "INTERRUPTED: the figures are partial", "{}", run.output());
    assert_eq!((run.code, run.stderr.as_str()), (Some(130), ""));
    assert_eq!(run.json["verdict"]["exit_code"], 130);
    assert!(run.figure("/results/accounting/verified") > 0.0);
    assert_eq!(run.figure("/results/accounting/lost"), 0.0);
}

#[test]
fn interrupt_reports_partial_figures() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    running.signal(Signal::INT);
    let run = running.finish();
    expect_partial(&run);
    assert!(run.figure("/results/phases/0/deliveries") > 0.0);
}

/// A supervisor, or the end of the terminal, must not cost what was measured either. The workers get the signal too.
#[test]
fn termination_and_hangup_report_partial_figures() {
    for signal in [Signal::TERM, Signal::HUP] {
        let running = Running::start("fanout", false, &["--duration", "600s"]);
        children(&running.child).for_each(|worker| kill_process(worker, signal).unwrap());
        running.signal(signal);
        expect_partial(&running.finish());
    }
}

/// Without a measured window there are no figures that could fail.
#[test]
fn interrupt_during_the_warm_up_is_no_failure() {
    let running = Running::start("fanout", false, &["--warmup", "600s", "--assert", "p99<1s"]);
    running.signal(Signal::INT);
    expect_partial(&running.finish());
}

/// There are no figures to report yet.
#[test]
fn interrupt_while_connecting_is_reported() {
    struct ConnectListener(SyncSender<()>);
    impl Service for ConnectListener {
        fn on_connect(&mut self, _: &mut Client) {
            self.0.try_send(()).ok();
        }

        fn on_message(&mut self, _: &mut [Client], _: usize, _: &str) {}
    }
    let (sender, joined) = sync_channel(1);
    let json = TempFile::new("json");
    let mut command = loadtest("fanout", start(ConnectListener(sender)));
    command.args(["--clients", "100", "--connect-rate", "0.1", "--json", json.name()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    joined.recv_timeout(TIMEOUT).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = finish(&child.wait_with_output().unwrap(), &json);
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{}", run.output());
    assert_eq!(run.stderr, "error: interrupted before the first measurement\n");
    assert_eq!(run.json["verdict"]["exit_code"], 130);
}

/// A terminal sends the signal to the workers too; only the coordinator may act on it.
#[test]
fn interrupt_of_the_process_group_reports_partial_figures() {
    let running = Running::start("chat", false, &["--duration", "600s"]);
    children(&running.child).for_each(|worker| kill_process(worker, Signal::INT).unwrap());
    running.signal(Signal::INT);
    expect_partial(&running.finish());
}

/// Finished rounds are reported, and an unfinished one is no fault of the server.
#[test]
fn interrupt_of_a_storm_keeps_finished_rounds() {
    let running = Running::start("storm", false, &["--duration", "10s", "--warmup", "600s"]);
    running.signal(Signal::INT);
    let run = running.finish();
    expect_partial(&run);
    assert_eq!(run.json["results"]["storm"]["rounds"].as_array().unwrap().len(), 1);
}

/// After the first one the run waits for messages that never come.
#[test]
fn second_interrupt_exits_at_once() {
    let running = Running::start("fanout", true, &["--duration", "600s", "--drain", "600s"]);
    // Stopped workers cannot end the drain before the second signal.
    let workers: Vec<_> = children(&running.child).collect();
    workers.iter().for_each(|worker| kill_process(*worker, Signal::STOP).unwrap());
    running.signal(Signal::INT);
    running.signal(Signal::INT);
    workers.iter().for_each(|worker| kill_process(*worker, Signal::CONT).unwrap());
    let run = running.finish();
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{}", run.output());
    assert!(run.json.is_null());
}

/// Workers may answer while the coordinator is not scheduled.
#[test]
fn answers_during_a_pause_of_the_coordinator_are_kept() {
    let running = Running::start("fanout", false, &["--duration", "3s"]);
    running.signal(Signal::STOP);
    // After the last of the 300 messages the load is over, and the workers answer.
    while running.sent.load(Ordering::Relaxed) < 300 {
        std::thread::yield_now();
    }
    while running.messages.recv_timeout(Duration::from_millis(300)).is_ok() {}
    running.signal(Signal::CONT);
    running.finish().expect_pass();
}

#[test]
fn workers_end_with_a_killed_coordinator() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code, None);
}

#[test]
fn killed_worker_is_reported() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    let worker = children(&running.child).last().unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    let run = running.finish();
    assert_eq!(run.code, Some(70), "{}", run.output());
    assert!(run.stderr.contains("ended unexpectedly"), "{}", run.stderr);
    assert!(run.figure("/results/accounting/verified") > 0.0, "the counts of the other worker are reported");
}

/// The advice works, too.
#[test]
fn small_descriptor_limit_suggests_more_processes() {
    let limited = |processes: &str| {
        let json = TempFile::new("json");
        let program = loadtest("fanout", correct_server());
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
        command.args(["--clients", "100", "--processes", processes, "--json", json.name()]);
        finish(&command.output().unwrap(), &json)
    };
    let run = limited("1");
    assert_eq!((run.code, run.stdout.as_str()), (Some(8), ""), "{}", run.output());
    assert!(run.stderr.contains("use --processes 4"), "{}", run.stderr);
    limited("4").expect_pass();
}

#[test]
fn too_few_ports_suggest_more_source_addresses() {
    let run = run("fanout", correct_server(), &["--clients", "100000", "--source-addresses", "2"]);
    assert_eq!(run.code, Some(8), "{}", run.output());
    assert!(run.stderr.contains("use --source-addresses 4"), "{}", run.stderr);
}
