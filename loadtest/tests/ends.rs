//! Does a run end as the table of exit codes says, when the server or its user has had enough? Each end is one line,
//! tells what there is to tell, and leaves no process behind.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use support::server::{Member, Service, faithful, serve, start};
use support::{Run, Scratch, finish, loadtest, raw, read_request, run};
use tokio_tungstenite::tungstenite::accept;

/// How long a busy machine may take for anything here: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A load that ends early ends long before this, and this long before its planned end.
const SOON: Duration = Duration::from_secs(300);

/// Runs `fanout` and compares the exit code; the reason must be one line.
fn expect_one_line(server: SocketAddr, options: &[&str], code: i32, words: &str) -> Run {
    let run = run("fanout", server, &[&["--clients", "3"], options].concat());
    assert_eq!(run.code, Some(code), "{}", run.words());
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(run.json["verdict"]["exit_code"], code, "the report is written all the same");
    run
}

#[test]
fn missing_server_is_unreachable() {
    // A port that was just free and is bound by nobody.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = expect_one_line(address, &["--processes", "2"], 3, "is the server running there?");
    assert_eq!(run.stdout, "");
}

#[test]
fn refused_handshake_is_told_with_its_status() {
    let server = raw(|_, mut stream| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        true
    });
    expect_one_line(server, &[], 5, "503 Service Unavailable");
}

/// A server that answers nothing at all is given 10 s, which is too long for a test; this one does not wait.
#[test]
fn close_instead_of_an_answer_is_a_refusal() {
    let server = raw(|_, mut stream| {
        read_request(&mut stream);
        true
    });
    expect_one_line(server, &[], 5, "closed without an answer to the handshake");
}

#[test]
fn half_an_answer_is_a_refusal() {
    let server = raw(|_, mut stream| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"));
        true
    });
    expect_one_line(server, &[], 5, "closed in the middle of the handshake's answer");
}

/// Two are served; with the third it is gone, listener and all.
#[test]
fn server_that_dies_during_the_handshakes_is_one_line() {
    let mut held = Vec::new();
    let server = raw(move |number, mut stream| {
        let is_well = number < 2;
        if is_well {
            held.push(accept(stream).unwrap());
        } else {
            read_request(&mut stream);
            held.clear();
        }
        is_well
    });
    // The third is the last one, so that no other is in the middle of its handshake.
    expect_one_line(server, &["--clients", "2", "--connect-rate", "10"], 5, "refused connection 2");
}

#[test]
fn masked_frame_is_another_protocol() {
    let server = raw(|_, stream| {
        // Once one has complained, the others may be gone in the middle of anything.
        let Ok(mut peer) = accept(stream) else { return true };
        drop(peer.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, b'x']));
        std::thread::spawn(move || while peer.read().is_ok() {});
        true
    });
    for processes in ["1", "2"] {
        let run = expect_one_line(server, &["--processes", processes], 6, "a masked frame (RFC 6455 section 5.1)");
        assert!(run.verdict().starts_with("STOPPED: ") || run.stdout.is_empty(), "{}", run.words());
    }
}

#[test]
fn server_without_http_is_another_protocol() {
    let server = raw(|_, mut stream| {
        drop(stream.write_all(b"220 mail.example ESMTP\r\n"));
        read_request(&mut stream);
        true
    });
    expect_one_line(server, &[], 6, "speaks no HTTP/1.1: 220 mail.example ESMTP");
}

/// Half-way through, or in its last instant.
#[test]
fn server_that_closes_everybody_is_gone() {
    for (processes, last) in [("1", 15), ("2", 15), ("2", 29)] {
        let server = serve(move |number, text, member| {
            if number < last {
                member.write(text);
            } else {
                member.close(1001, "going away");
            }
        });
        let run = expect_one_line(server, &["--rate", "100", "--processes", processes], 7, "closed all connections");
        assert!(run.verdict().starts_with("STOPPED: ws://"), "{}", run.words());
        assert_eq!(run.figure("/results/accounting/verified"), (last * 4) as f64, "what came is told");
        assert_eq!(run.figure("/results/closes/0/code"), 1001.0);
        assert_eq!(run.figure("/results/closes/0/count"), 4.0);
        assert!(run.figure("/results/phases/0/deliveries") > 0.0, "and measured");
    }
}

/// A long load is not sent to nobody.
#[test]
fn load_ends_soon_after_everybody_was_closed() {
    let server = serve(|number, text, member| if number < 5 { member.write(text) } else { member.cut() });
    let start = Instant::now();
    expect_one_line(server, &["--rate", "100", "--duration", "600s"], 7, "closed all connections");
    assert!(start.elapsed() < SOON);
}

/// Nobody is left whose idling could be measured.
#[test]
fn server_that_lets_go_of_idle_connections_is_gone() {
    let mut held = Vec::new();
    let server = raw(move |number, stream| {
        held.push(accept(stream).unwrap());
        number < 5
    });
    let pid = std::process::id().to_string();
    let start = Instant::now();
    let options = ["--clients", "6", "--clients-low", "2", "--duration", "600s", "--server-pid", &pid];
    let run = run("idle", server, &options);
    assert_eq!(run.code, Some(7), "{}", run.words());
    assert!(run.stderr.contains("closed all connections"), "{}", run.stderr);
    assert!(start.elapsed() < SOON);
}

/// A worker that cannot go on must not make the run wait for the others, nor let their books be lost.
#[test]
fn failure_of_one_worker_ends_the_others() {
    let server = serve(|number, text, member| {
        member.write(text);
        if (number, member.number) == (20, 3) {
            member.write_raw(&[0x81, 0x81, 0, 0, 0, 0, b'x']);
        }
    });
    let start = Instant::now();
    let options = ["--rate", "100", "--duration", "600s", "--processes", "2"];
    let run = expect_one_line(server, &options, 6, "connection 3 a masked frame");
    assert!(start.elapsed() < SOON);
    assert!(run.figure("/results/accounting/verified") >= 80.0, "{}", run.words());
}

/// A run under way, and what shows that its processes are there.
struct Running {
    child: Child,
    workers: Vec<OwnedFd>,
    /// A word from the server for each message, as far as somebody listens.
    flow: Receiver<()>,
    /// Messages that the server has received.
    sent: Arc<AtomicUsize>,
    json: Scratch,
}

impl Running {
    /// Starts a run that would take minutes, in two worker processes, and waits for its first messages. The server
    /// holds back what the last client is to get, if it `is_mean`.
    fn start(scenario: &str, is_mean: bool, options: &[&str]) -> Self {
        let ((sender, flow), sent) = (sync_channel(1), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&sent);
        let server = serve(move |number, text, member| {
            // Only the number matters; nothing is published with it.
            seen.store(number + 1, Ordering::Relaxed);
            if member.number == 3 && is_mean {
                return;
            }
            member.write(text);
            // One that was not waited for is enough to be told.
            sender.try_send(()).ok();
        });
        let json = Scratch::new("json");
        let mut command = loadtest(scenario, server);
        command.args(["--clients", "3", "--rate", "100", "--processes", "2", "--json", json.name()]).args(options);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The first ones have been received when these are sent.
        (0..20).for_each(|_| flow.recv_timeout(PATIENCE).expect("messages come"));
        let workers: Vec<_> = children(&child).map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap()).collect();
        assert_eq!(workers.len(), 2);
        Self { child, workers, flow, sent, json }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        // A second signal of a kind is the same as one while nobody took the first.
        let is_pending = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
            pending.trim().chars().any(|digit| digit != '0')
        };
        while signal == Signal::INT && is_pending() {
            std::thread::yield_now();
        }
    }

    /// Waits for the end of all its processes; that of the workers first, since they hold the standard streams too.
    fn finish(self) -> Run {
        let mut workers: Vec<_> = self.workers.iter().map(|worker| PollFd::new(worker, PollFlags::IN)).collect();
        for worker in &mut workers {
            let patience = Timespec::try_from(PATIENCE).unwrap();
            // A process's descriptor is readable once it has ended.
            assert_eq!(poll(std::slice::from_mut(worker), Some(&patience)), Ok(1), "a worker was left behind");
        }
        finish(&self.child.wait_with_output().unwrap(), &self.json)
    }
}

/// The processes that a run has started.
fn children(child: &Child) -> impl Iterator<Item = Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let texts = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    let pids: Vec<_> =
        texts.flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    pids.into_iter().filter_map(Pid::from_raw)
}

fn expect_partial(run: &Run) {
    assert_eq!(run.verdict(), "INTERRUPTED: the figures are partial", "{}", run.words());
    assert_eq!((run.code, run.stderr.as_str()), (Some(130), ""));
    assert_eq!(run.json["verdict"]["exit_code"], 130);
    assert!(run.figure("/results/accounting/verified") > 0.0);
    assert_eq!(run.figure("/results/accounting/lost"), 0.0);
}

#[test]
fn interrupt_ends_with_what_there_is() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    running.signal(Signal::INT);
    let run = running.finish();
    expect_partial(&run);
    assert!(run.figure("/results/phases/0/deliveries") > 0.0);
}

/// A window that is over before it begins has no figures that could fail.
#[test]
fn interrupt_of_a_warm_up_is_no_failure() {
    let running = Running::start("fanout", false, &["--warmup", "600s", "--assert", "p99<1s"]);
    running.signal(Signal::INT);
    expect_partial(&running.finish());
}

/// There is nothing to report then, and that is said.
#[test]
fn interrupt_while_connecting_is_told() {
    struct Door(SyncSender<()>);
    impl Service for Door {
        fn join(&mut self, _: &mut Member) {
            self.0.try_send(()).ok();
        }

        fn hear(&mut self, _: &mut [Member], _: usize, _: &str) {}
    }
    let (sender, joined) = sync_channel(1);
    let json = Scratch::new("json");
    let mut command = loadtest("fanout", start(Door(sender)));
    command.args(["--clients", "100", "--connect-rate", "0.1", "--json", json.name()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    joined.recv_timeout(PATIENCE).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = finish(&child.wait_with_output().unwrap(), &json);
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{}", run.words());
    assert_eq!(run.stderr, "error: interrupted before the first measurement\n");
    assert_eq!(run.json["verdict"]["exit_code"], 130);
}

/// A terminal sends it to the workers too; what it means is the coordinator's to decide.
#[test]
fn interrupt_of_the_whole_group_is_the_same() {
    let running = Running::start("chat", false, &["--duration", "600s"]);
    children(&running.child).for_each(|worker| kill_process(worker, Signal::INT).unwrap());
    running.signal(Signal::INT);
    expect_partial(&running.finish());
}

/// The rounds that were over stand, and those that were not are not held against the server.
#[test]
fn interrupt_of_a_storm_leaves_its_rounds() {
    let running = Running::start("storm", false, &["--duration", "10s", "--warmup", "600s"]);
    running.signal(Signal::INT);
    let run = running.finish();
    expect_partial(&run);
    assert_eq!(run.json["results"]["storm"]["rounds"].as_array().unwrap().len(), 1);
}

/// The first would wait a second for what never comes.
#[test]
fn second_interrupt_ends_at_once() {
    let running = Running::start("fanout", true, &["--duration", "600s", "--drain", "600s"]);
    // Workers that do not run cannot end the drain, however late the second signal is.
    let workers: Vec<_> = children(&running.child).collect();
    workers.iter().for_each(|worker| kill_process(*worker, Signal::STOP).unwrap());
    running.signal(Signal::INT);
    running.signal(Signal::INT);
    workers.iter().for_each(|worker| kill_process(*worker, Signal::CONT).unwrap());
    let run = running.finish();
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{}", run.words());
    assert!(run.json.is_null());
}

/// A worker that is awake before the coordinator at the end of a load is early by its answer, and right.
#[test]
fn coordinator_that_oversleeps_loses_no_answer() {
    let running = Running::start("fanout", false, &["--duration", "3s"]);
    running.signal(Signal::STOP);
    // The load is over when all of its 300 messages were sent, and soon after that the workers have answered.
    while running.sent.load(Ordering::Relaxed) < 300 {
        std::thread::yield_now();
    }
    while running.flow.recv_timeout(Duration::from_millis(300)).is_ok() {}
    running.signal(Signal::CONT);
    running.finish().expect_pass();
}

#[test]
fn killed_coordinator_leaves_no_worker_behind() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code, None);
}

#[test]
fn killed_worker_is_told() {
    let running = Running::start("fanout", false, &["--duration", "600s"]);
    let worker = children(&running.child).last().unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    let run = running.finish();
    assert_eq!(run.code, Some(70), "{}", run.words());
    assert!(run.stderr.contains("ended unexpectedly"), "{}", run.stderr);
    assert!(run.figure("/results/accounting/verified") > 0.0, "the other one's books are told");
}

/// And the advice that is given is good.
#[test]
fn small_descriptor_limit_names_the_way_out() {
    let limited = |processes: &str| {
        let json = Scratch::new("json");
        let program = loadtest("fanout", faithful());
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
        command.args(["--clients", "100", "--processes", processes, "--json", json.name()]);
        finish(&command.output().unwrap(), &json)
    };
    let run = limited("1");
    assert_eq!((run.code, run.stdout.as_str()), (Some(8), ""), "{}", run.words());
    assert!(run.stderr.contains("use --processes 4"), "{}", run.stderr);
    limited("4").expect_pass();
}

#[test]
fn too_few_ports_name_the_way_out() {
    let run = run("fanout", faithful(), &["--clients", "100000", "--source-addresses", "2"]);
    assert_eq!(run.code, Some(8), "{}", run.words());
    assert!(run.stderr.contains("use --source-addresses 4"), "{}", run.stderr);
}
