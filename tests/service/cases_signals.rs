//! Signals and supervisors as people meet them: repeated signals, a stop that keeps its promises, systemd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::process::{Log, Process, logged, rest, throng};
use crate::server::{Client, FrozenClock, KEY, Raw, ask, get, start, within};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::Duration;
use throng::protocol::CloseReason;
use tokio::net::UnixDatagram;
use tokio::time::Instant;

/// Starts a hub on a free port, and returns its log.
async fn start_logging(arguments: &[&str]) -> (Process, Log) {
    Process::spawn_logging(throng(&["--addr", "127.0.0.1:0"]).args(arguments)).await
}

fn shutting_down() -> Option<(u16, String)> {
    Some((1012, "shutting down".to_owned()))
}

/// A hub that closes its connections at once, and waits for a peer that does not end.
async fn start_with_endless_peer() -> (Process, Log, Raw) {
    let times = ["--lb-grace=0s", "--drain-time=0s", "--close-timeout=1h", "--shutdown-timeout=1h"];
    let (process, log) = start_logging(&times).await;
    let mut endless = Raw::connect(process.addr, "/ws", b"").await;
    endless.round_trip().await;
    (process, log, endless)
}

/// `docker stop` after `compose down`, or a `preStop` hook and the kubelet, send it twice.
#[tokio::test]
async fn sigterm_again_does_not_cut_a_graceful_stop() {
    let (process, mut log, mut peer) = start_with_endless_peer().await;
    process.signal(Signal::TERM);
    assert_eq!(peer.closed().await, shutting_down());
    for _ in 0..3 {
        process.signal(Signal::TERM);
        logged(&mut log, "SIGTERM again: the stop is in progress").await;
    }
    drop(peer);
    assert_eq!(process.ended().await.code(), Some(0));
}

/// The same after Ctrl-C: a shell or npm passes on what the terminal has already sent to all.
#[tokio::test]
async fn sigterm_after_ctrl_c_does_not_cut_a_graceful_stop() {
    let (process, mut log, mut peer) = start_with_endless_peer().await;
    process.signal(Signal::INT);
    assert_eq!(peer.closed().await, shutting_down());
    process.signal(Signal::TERM);
    logged(&mut log, "SIGTERM again: the stop is in progress").await;
    drop(peer);
    assert_eq!(process.ended().await.code(), Some(0));
}

/// A person at a terminal does not have to wait for a peer that never ends, and the log says what happened.
#[tokio::test]
async fn second_ctrl_c_exits_at_once_with_130_and_is_logged() {
    let (process, log, mut peer) = start_with_endless_peer().await;
    process.signal(Signal::TERM);
    assert_eq!(peer.closed().await, shutting_down());
    assert_eq!(process.ended_by(Signal::INT).await.code(), Some(130));
    let log = rest(log).await;
    let last = log.lines().last().unwrap();
    assert!(last.contains("SIGINT again: exit at once, open connections are cut connections=1"), "{log}");
}

/// Who presses Ctrl-C during a drain wants an end now, and no message lost.
#[tokio::test]
async fn first_ctrl_c_after_sigterm_finishes_now_and_gracefully() {
    // During the grace, and during the drain.
    for (times, begun) in [
        (["--lb-grace=1h", "--drain-time=1h"], "stop begins: /health/ready is 503"),
        (["--lb-grace=0s", "--drain-time=1h"], "new connections get 503, open ones are closed over"),
    ] {
        let (process, mut log) = start_logging(&times).await;
        // Closing that many one by one would take minutes.
        let mut clients = Vec::new();
        for _ in 0..200 {
            clients.push(Client::connect(process.addr, "/ws").await);
        }
        process.signal(Signal::TERM);
        logged(&mut log, begun).await;
        let sender = clients.last_mut().unwrap();
        sender.send("a last word").await;
        sender.line().await;
        process.signal(Signal::INT);
        for client in &mut clients {
            let (_, end) = client.rest().await;
            assert_eq!(end, shutting_down());
        }
        drop(clients);
        assert_eq!(process.ended().await.code(), Some(0));
        let log = rest(log).await;
        assert!(log.contains("SIGINT: the stop is finished now"), "{log}");
    }
}

/// A balancer sends newcomers until it has noticed, whether the hub has clients or not.
#[tokio::test]
async fn sigterm_of_an_empty_hub_serves_newcomers_during_lb_grace() {
    let (process, mut log) = start_logging(&["--lb-grace=1h"]).await;
    process.signal(Signal::TERM);
    logged(&mut log, "stop begins: /health/ready is 503, new connections are still served for 1h").await;
    let ready = get(process.addr, "/health/ready").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "draining\n"));
    let mut newcomer = Client::connect(process.addr, "/ws").await;
    newcomer.send("served").await;
    assert_eq!(newcomer.line().await, "served");
    process.signal(Signal::INT);
    assert_eq!(newcomer.closed().await, shutting_down());
    drop(newcomer);
    assert_eq!(process.ended().await.code(), Some(0));
}

/// The log of an empty hub does not speak of connections that are closed.
#[tokio::test]
async fn stop_of_an_empty_hub_is_logged_as_what_it_is() {
    for (signal, grace) in [(Signal::TERM, "--lb-grace=10ms"), (Signal::INT, "--lb-grace=1h")] {
        let (process, log) = start_logging(&[grace]).await;
        process.signal(signal);
        assert_eq!(process.ended().await.code(), Some(0));
        let log = rest(log).await;
        assert!(log.contains("stop ends: no connection was open"), "{log}");
        for false_word in ["evenly", "total=0", "closed=0", "are closed", "was asked to close"] {
            assert!(!log.contains(false_word), "{false_word}: {log}");
        }
    }
}

/// The only clients of a quiet hub are closed one a second, and not at the very end of the drain.
#[tokio::test]
async fn few_connections_do_not_make_a_stop_wait_for_its_whole_drain_time() {
    let mut server = start(|config| {
        config.stopping.lb_grace = Duration::ZERO;
        config.stopping.drain_time = Duration::from_secs(3600);
    })
    .await;
    let mut clients = [server.connect("/ws").await, server.connect("/ws").await, server.connect("/ws").await];
    let clock = FrozenClock::new();
    server.begin_paced_stop();
    // Before it is measured: the stop has begun.
    clock.pass(Duration::from_millis(100)).await;
    let began = Instant::now();
    for (number, client) in (1..).zip(0..3) {
        let is_closed = server.closed(CloseReason::Shutdown, number);
        clock.pass_until(is_closed).await;
        let passed = began.elapsed();
        let latest = Duration::from_secs(number) + Duration::from_millis(200);
        assert!(passed <= latest, "close {number} after {passed:?}");
        assert!(passed >= Duration::from_secs(number) - Duration::from_millis(200), "close {number} after {passed:?}");
        let _ = client;
    }
    for client in &mut clients {
        assert_eq!(clock.pass_until(client.closed()).await, shutting_down());
    }
}

/// A deploy that drained the hub over the API does not wait, nor take clients back, when it stops the hub at last.
#[tokio::test]
async fn stop_after_a_drain_neither_waits_again_nor_serves_newcomers_again() {
    let mut server = start(|config| {
        config.access.admin_keys = vec![KEY.parse().unwrap()];
        config.stopping.lb_grace = Duration::from_secs(3600);
    })
    .await;
    assert_eq!(ask(&server, "POST", "/admin/drain?grace=0s&time=0s").await.0, 200);
    within(async { while ask(&server, "GET", "/admin/drain").await.1["state"] != "drained" {} }).await;
    server.begin_paced_stop();
    server.stopped().await;
}

/// What a supervisor is told: a socket as systemd has one.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Supervisor {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _folder: folder }
    }

    /// Returns the next message but for pings of the watchdog.
    async fn told(&self) -> String {
        loop {
            let told = self.any().await;
            if told != "WATCHDOG=1" {
                return told;
            }
        }
    }

    async fn any(&self) -> String {
        let mut told = [0; 512];
        let len = within(self.socket.recv(&mut told)).await.unwrap();
        String::from_utf8(told[..len].to_vec()).unwrap().trim_end().to_owned()
    }
}

/// `Type=notify-reload` waits for both messages, and `systemctl status` shows whether the reload was taken.
#[tokio::test]
async fn systemd_is_told_of_a_reload_and_whether_it_was_taken() {
    let supervisor = Supervisor::new();
    let file = supervisor.path.with_file_name("throng.toml");
    std::fs::write(&file, "[limits]\nmessage_bytes_max = 1000\n").unwrap();
    let mut command = throng(&["--addr", "127.0.0.1:0", "--config"]);
    let process = Process::spawn(command.arg(&file).env("NOTIFY_SOCKET", &supervisor.path)).await;
    assert_eq!(supervisor.told().await, "READY=1");
    for (text, status) in [
        ("[limits]\nmessage_bytes_max = 2000\n", "reloaded: 1 settings changed, 0 need a restart"),
        ("[limits]\nmessage_bytes_max = 0\n", "the last reload changed nothing: "),
    ] {
        std::fs::write(&file, text).unwrap();
        process.signal(Signal::HUP);
        let told = supervisor.told().await;
        let at = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&told);
        assert!(at.parse::<u64>().is_ok_and(|at| at > 0), "{told}");
        let told = supervisor.told().await;
        assert!(told.starts_with(&format!("READY=1\nSTATUS={status}")), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
    }
    process.signal(Signal::INT);
    assert_eq!(supervisor.told().await, "STOPPING=1");
    assert!(supervisor.told().await.starts_with("STATUS=stopping"));
    assert_eq!(process.ended().await.code(), Some(0));
}

/// `WatchdogSec=` restarts a hub that does not ping. Who did not ask for pings gets none.
#[tokio::test]
async fn systemd_gets_its_watchdog_pings_where_it_asks_for_them() {
    let supervisor = Supervisor::new();
    let hub = || {
        let mut command = throng(&["--addr", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", &supervisor.path);
        command
    };
    let process = Process::spawn(hub().env("WATCHDOG_USEC", "20000")).await;
    assert_eq!(supervisor.any().await, "READY=1");
    for _ in 0..3 {
        assert_eq!(supervisor.any().await, "WATCHDOG=1");
    }
    drop(process);
    // It was killed; what it had sent before comes first.
    for asks in [None, Some("1")] {
        let mut command = hub();
        if let Some(other_process) = asks {
            command.env("WATCHDOG_USEC", "20000").env("WATCHDOG_PID", other_process);
        }
        let process = Process::spawn(&mut command).await;
        assert_eq!(supervisor.told().await, "READY=1");
        process.signal(Signal::INT);
        assert_eq!(supervisor.any().await, "STOPPING=1");
        assert!(supervisor.any().await.starts_with("STATUS="));
        assert_eq!(process.ended().await.code(), Some(0));
    }
}
