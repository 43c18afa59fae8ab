//! The configuration as an operator meets it: files, variables, flags, and reloads of a running hub.

use crate::server::config_file::ConfigFile;
use crate::server::process::{Process, fails, logged, throng};
use crate::server::{Client, within};
use rustix::process::Signal;
use std::process::Output;

async fn output(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = throng(arguments);
    command.envs(variables.iter().copied());
    let Output { status, stdout, stderr } = within(command.output()).await.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (status.code(), text(stdout), text(stderr))
}

/// A file for the fleet, a variable for the machine, a flag for the moment.
#[tokio::test]
async fn variable_overrides_the_file_and_a_flag_overrides_both() {
    let file = ConfigFile::new("addr = [\"127.0.0.1:0\"]\nshards = 4\n[limits]\nconnections_max = 11\n");
    for (arguments, variables, ending) in [
        (&["--config", &file.path()][..], &[][..], "(4 shards, up to 11 connections)"),
        (&["--config", &file.path()], &[("THRONG_SHARDS", "3")], "(3 shards, up to 11 connections)"),
        (&["--config", &file.path(), "--shards", "2"], &[("THRONG_SHARDS", "3")], "(2 shards, up to 11 connections)"),
    ] {
        let mut command = throng(arguments);
        command.envs(variables.iter().copied());
        let process = Process::spawn(&mut command).await;
        assert!(process.first_line.ends_with(ending), "{}", process.first_line);
    }
}

#[tokio::test]
async fn check_config_prints_the_source_of_each_setting_and_no_secret() {
    let file = ConfigFile::new("shards = 2\n[access]\nadmin_keys = [\"0123456789abcdef\"]\n");
    let path = file.path();
    let (code, printed, _) =
        output(&["check-config", &path, "--ping-interval", "9s"], &[("THRONG_LOG", "debug")]).await;
    assert_eq!(code, Some(0));
    let expected = format!(
        "{path}: valid; 4 of 36 set\n  shards = 2  ({path}:1)\n  admin_keys = (secret)  ({path}:3)\n  \
         ping_interval = 9s  (--ping-interval)\n  log = debug  (THRONG_LOG)\n"
    );
    let without_count = |text: &str| text.replace(|one: char| one.is_ascii_digit(), "");
    assert_eq!(without_count(&printed), without_count(&expected), "{printed}");
}

#[tokio::test]
async fn check_config_reports_every_mistake_with_its_line() {
    let file = ConfigFile::new("shard = 2\n[limits]\nping_interval = \"soon\"\nslow_consumer = \"drop\"\n");
    let (code, _, printed) = output(&["check-config", &file.path()], &[("THRONG_SHARD", "2")]).await;
    assert_eq!(code, Some(2));
    let lines: Vec<_> = printed.lines().map(|line| line.trim_start_matches(&file.path())).collect();
    assert_eq!(lines.len(), 4, "{printed}");
    assert_eq!(lines[0], ":1:1: there is no key shard; did you mean shards?");
    assert!(lines[1].starts_with(":3:17: ping_interval: "), "{printed}");
    assert_eq!(lines[2], ":4:17: slow_consumer: \"drop\" is not one of close, skip");
    assert_eq!(lines[3], "the variable THRONG_SHARD is not a setting; did you mean THRONG_SHARDS?");
}

/// check-config finds what a start would find.
#[tokio::test]
async fn check_config_reads_the_level_of_the_log() {
    let (code, _, printed) = output(&["check-config", "--log", "a=b=c"], &[]).await;
    assert!(code == Some(2) && printed.contains("'--log <LOG_FILTER>': \"b=c\" is not one of"), "{printed}");
}

/// A hub that started with half of its settings would be worse than one that did not.
#[tokio::test]
async fn hub_does_not_start_with_a_wrong_or_missing_file() {
    let file = ConfigFile::new("[limits]\npong_timeout = \"60s\"\n");
    let (code, printed) = fails(&["--config", &file.path()]).await;
    assert_eq!(code, Some(2));
    assert!(
        printed.contains("--pong-timeout 1m is not shorter") && printed.contains("pong_timeout in line 2"),
        "{printed}"
    );
    let (code, printed) = fails(&["--config", "/nowhere/hub.toml"]).await;
    assert_eq!((code, printed.lines().count()), (Some(2), 1), "{printed}");
    assert!(printed.contains("/nowhere/hub.toml: cannot be read"), "{printed}");
}

#[tokio::test]
async fn default_config_is_a_file_that_can_be_used() {
    let (code, text, _) = output(&["default-config"], &[]).await;
    assert_eq!(code, Some(0));
    let file = ConfigFile::new(&text);
    let (code, printed, _) = output(&["check-config", &file.path()], &[]).await;
    assert_eq!(code, Some(0));
    assert!(printed.contains(": valid; 0 of "), "{printed}");
}

/// New limits hold for open connections; a wrong file changes nothing; the rest waits for a restart.
#[tokio::test]
async fn sighup_reloads_and_keeps_every_connection() {
    let file = ConfigFile::new("addr = [\"127.0.0.1:0\"]\n");
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--config", &file.path()])).await;
    let mut client = Client::connect(process.addr, "/ws").await;
    let mut other = Client::connect(process.addr, "/ws").await;

    file.write("addr = [\"127.0.0.1:0\"]\n[limits]\nmessage_bytes_max = \"many\"\n");
    process.signal(Signal::HUP);
    let line = logged(&mut log, "nothing is changed").await;
    assert!(
        line.contains("hub.toml:3:21: message_bytes_max: \"many\" is not a size such as 65536, 64KiB or 2MB"),
        "{line}"
    );

    file.write("addr = [\"127.0.0.1:0\"]\nshards = 7\n[limits]\nmessage_bytes_max = 10\n");
    process.signal(Signal::HUP);
    logged(&mut log, "reload: message_bytes_max \"65536\" -> \"10\"").await;
    logged(&mut log, "needs a restart").await;

    client.send("0123456789").await;
    assert_eq!(other.line().await, "0123456789", "what is at the new limit");
    client.send("0123456789+").await;
    // Its own line of before comes first.
    assert_eq!(client.rest().await.1.map(|(code, _)| code), Some(1009));

    process.signal(Signal::HUP);
    logged(&mut log, "needs a restart").await;
    other.round_trip().await;
}

/// Whoever rotates a key wants to see that the hub has the new one; neither is shown.
#[tokio::test]
async fn reload_that_rotates_a_secret_says_so_and_shows_neither() {
    let text = |key: &str| format!("addr = [\"127.0.0.1:0\"]\n[access]\nadmin_keys = [\"{key}\"]\n");
    let file = ConfigFile::new(&text("0123456789abcdef"));
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--config", &file.path()])).await;
    file.write(&text("fedcba9876543210"));
    process.signal(Signal::HUP);
    let line = logged(&mut log, "reload: ").await;
    assert!(line.ends_with("reload: admin_keys \"(secret)\" -> another secret"), "{line}");
    process.signal(Signal::HUP);
    let line = logged(&mut log, "reload: ").await;
    assert!(line.contains("no setting has changed"), "{line}");
}

/// A supervisor that kills during a drain closes all connections at once: the operator is warned at the start.
#[tokio::test]
async fn kill_time_that_is_too_short_for_a_stop_is_logged_at_the_start() {
    let mut command = throng(&["--addr", "127.0.0.1:0", "--kill-time", "44s"]);
    let (_process, mut log) = Process::spawn_logging(&mut command).await;
    let line = logged(&mut log, "--kill-time 44s").await;
    assert!(line.contains("a stop takes up to 45s"), "{line}");
}

/// systemd waits for the first, and shows the second.
#[tokio::test]
async fn supervisor_is_notified_when_the_hub_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).expect("it is ours");
    let process = Process::spawn(throng(&["--addr", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path)).await;
    let mut told = [0; 64];
    let len = within(socket.recv(&mut told)).await.expect("it is bound");
    assert_eq!(told[..len].trim_ascii_end(), b"READY=1");
    process.signal(Signal::TERM);
    let len = within(socket.recv(&mut told)).await.expect("it is bound");
    assert_eq!(told[..len].trim_ascii_end(), b"STOPPING=1");
    assert_eq!(process.ended().await.code(), Some(0));
}

/// Otherwise the first attack would show that all clients have the address of the balancer.
#[tokio::test]
async fn proxy_that_is_not_trusted_is_logged_once() {
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--addr", "127.0.0.1:0", "--log", "debug"])).await;
    let mut stream = tokio::net::TcpStream::connect(process.addr).await.expect("it listens");
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("a head fits the socket");
    logged(&mut log, "is not trusted, so all its clients count as 127.0.0.1; trust it").await;
    let line = logged(&mut log, "connected").await;
    assert!(line.contains("127.0.0.1"), "{line}");
}
