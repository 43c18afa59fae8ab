//! The process: what it prints, how it stops, and what it says when it cannot start.

use crate::server::process::{Process, fails, throng};
use crate::server::{Client, Raw, get, stream_with_buffer, within};
use rustix::process::Signal;
use throng::config::Config;

#[tokio::test]
async fn first_line_names_the_port_that_was_picked() {
    let process = Process::start(&["--shards", "2", "--connections-max", "77"]).await;
    assert_ne!(process.addr.port(), 0);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "throng {version} is ready: open http://{}/ from this machine only (2 shards, up to 77 connections)",
        process.addr
    );
    assert_eq!(process.first_line, expected);
    assert_eq!(get(process.addr, "/health/ready").await.body, "ready\n");
}

/// A deploy costs no client a message, and the supervisor sees a success.
#[tokio::test]
async fn sigterm_delivers_what_is_pending_says_service_restart_and_exits_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let process = Process::start(&[
            "--lb-grace",
            "0s",
            "--drain-time",
            "0s",
            "--send-buffer-bytes",
            "4096",
            "--notsent-bytes",
            "1024",
            "--outbox-stall-max",
            "1h",
            "--close-timeout",
            "1h",
            "--shutdown-timeout",
            "1h",
        ])
        .await;
        let mut behind = Raw::over(stream_with_buffer(process.addr, 1).await, "/ws", b"").await;
        behind.round_trip().await;
        let mut sender = Client::connect(process.addr, "/ws").await;
        for number in 0..10 {
            sender.send(format!("{number}:{}", "x".repeat(50_000))).await;
        }
        assert_eq!(sender.lines(10).await.len(), 10);
        process.signal(signal);
        let restart = Some((1012, "shutting down".to_owned()));
        assert_eq!(sender.closed().await, restart);
        let (lines, end) = behind.judge.rest().await;
        assert_eq!((lines.len(), end), (10, restart));
        drop((behind, sender));
        assert_eq!(process.ended().await.code(), Some(0), "{signal:?}");
    }
}

/// Starts a hub that stops without grace, and connects a peer that never ends its connection.
async fn start_with_endless_peer(shutdown_timeout: &str) -> (Process, Raw) {
    let times = ["--lb-grace=0s", "--drain-time=0s", "--close-timeout=1h", "--shutdown-timeout", shutdown_timeout];
    let process = Process::start(&times).await;
    let mut endless = Raw::connect(process.addr, "/ws", b"").await;
    endless.round_trip().await;
    (process, endless)
}

/// A peer that never ends delays a stop, and does not prevent it.
#[tokio::test]
async fn stop_ends_after_shutdown_timeout_with_0() {
    let (process, _endless) = start_with_endless_peer("200ms").await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn port_in_use_is_one_line_and_exit_code_1() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = fails(&["--addr", &addr]).await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with(&format!("throng: cannot listen on {addr}: Address already in use")), "{said}");
    assert!(said.contains("choose another address with --addr HOST:PORT"), "{said}");
    let (code, said) = fails(&["--addr", "192.0.2.1:0"]).await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("192.0.2.1:0") && said.contains("--addr HOST:PORT"), "{said}");
}

#[tokio::test]
async fn what_is_no_setting_is_exit_code_2() {
    for (arguments, named) in [
        (&["--prot", "80"][..], "--prot"),
        (&["--shards", "0"], "0 is not between 1 and 64"),
        (&["--shards", "65"], "65 is not between 1 and 64"),
        (&["--ping-interval", "soon"], "soon"),
        (&["--slow-consumer", "drop"], "[possible values: close, skip]"),
        (&["--message-bytes-max", "0"], "0 is not between 1 and 67108864"),
        (&["--addr", "nowhere"], "nowhere is not [proxy+][tls+]HOST:PORT, :PORT or unix:PATH"),
        (&["--addr", "127.0.0.1:99999"], "the port 99999 is not between 0 and 65535"),
        (&["positional"], "positional"),
    ] {
        let (code, said) = fails(arguments).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

/// The value, the rule, and what to do.
#[tokio::test]
async fn settings_that_do_not_fit_are_one_line_and_exit_code_2() {
    for (arguments, line) in [
        (
            &["--pong-timeout", "6s", "--ping-interval", "6s"][..],
            "--pong-timeout 6s is not shorter than --ping-interval 6s; lower the first or raise the second",
        ),
        (
            &["--addr", "0.0.0.0:0", "--echo"],
            "--echo needs a loopback --addr, not 0.0.0.0:0; use 127.0.0.1:PORT or leave --echo out",
        ),
        (&["--addr", ":0", "--echo"], "--echo needs a loopback --addr, not :0; use 127.0.0.1:PORT or leave --echo out"),
        (
            &["--outbox-bytes-max", "1000", "--message-bytes-max", "1001"],
            "--outbox-bytes-max 1000 is smaller than --message-bytes-max 1001: one message would close every \
             subscriber that is not idle; raise the first or lower the second",
        ),
        (
            &["--close-timeout", "0s"],
            "--close-timeout 0s is not between 1ms and 1day; 0s would end every connection at once, and a day is as \
             good as no limit",
        ),
    ] {
        assert_eq!(fails(arguments).await, (Some(2), format!("throng: {line}\n")));
    }
}

#[tokio::test]
async fn environment_decides_and_a_flag_beats_it() {
    let mut command = throng(&["--shards", "1"]);
    command.env("THRONG_ADDR", "127.0.0.1:0").env("THRONG_SHARDS", "3").env("THRONG_CONNECTIONS_MAX", "5");
    let process = Process::spawn(&mut command).await;
    assert!(process.first_line.ends_with("(1 shard, up to 5 connections)"), "{}", process.first_line);
    assert_eq!(process.addr.ip().to_string(), "127.0.0.1");
}

/// The example's way to write an address; the line names a host that a browser can open.
#[tokio::test]
async fn port_alone_listens_everywhere_and_is_announced_as_localhost() {
    let process = Process::spawn(&mut throng(&["--addr", ":0"])).await;
    assert!(process.first_line.contains("http://localhost:"), "{}", process.first_line);
    assert_eq!(get(process.addr, "/health/live").await.status, 200);
}

#[tokio::test]
async fn help_names_every_flag_and_its_variable() {
    let output = within(throng(&["--help"]).output()).await.unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let command = Config::command();
    let flags: Vec<_> = command.get_arguments().filter(|argument| argument.get_env().is_some()).collect();
    assert!(flags.len() > 15);
    for flag in flags {
        let long = format!("--{}", flag.get_long().unwrap());
        assert!(help.contains(&long), "{long}");
        assert!(help.contains(flag.get_env().and_then(|name| name.to_str()).unwrap()), "{long}");
        assert!(flag.get_help().is_some(), "{long}");
    }
}
