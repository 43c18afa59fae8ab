//! The log: what must never stand in it, and what it must never cost.

use crate::server::process::{Process, at_some_scale, logged, rest, throng};
use crate::server::{Client, exchange, get, within};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;
use std::io::Write;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// Logs are copied, mailed and searched: what opens a door must not be in them, however much is logged.
/// docs/threats.md, row 19.
#[tokio::test]
async fn tokens_queries_keys_and_messages_are_never_logged() {
    let mut command = throng(&["--addr", "127.0.0.1:0", "--log", "trace", "--admin-keys", "0123456789-SECRET"]);
    let (process, log) = Process::spawn_logging(&mut command).await;
    let addr = process.addr;
    let mut client = Client::connect(addr, "/ws?channel=SECRET-channel&token=SECRET").await;
    client.send("SECRET of a message").await;
    client.line().await;
    client.send(Message::Binary(vec![0xff].into())).await;
    assert_eq!(client.rest().await.1.map(|(code, _)| code), Some(1007));
    for request in [
        "GET /ws?token=SECRET HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /SECRET?token=SECRET HTTP/1.1\r\nHost: x\r\nCookie: SECRET\r\nConnection: close\r\n\r\n",
        "GET /admin/drain?key=SECRET HTTP/1.1\r\nHost: x\r\nX-API-Key: SECRET\r\nConnection: close\r\n\r\n",
        "GET /admin/drain HTTP/1.1\r\nHost: x\r\nX-API-Key: 0123456789-SECRET\r\nConnection: close\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: x\r\nOrigin: https://SECRET\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "SECRET nonsense\r\n\r\n",
    ] {
        exchange(addr, request.as_bytes()).await;
    }
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    let log = rest(log).await;
    assert!(log.contains("connected") && log.lines().count() >= 3, "it does log: {log}");
    assert!(!log.contains("SECRET"), "{log}");
    assert!(!log.contains('\u{1b}'), "no colours where there is no terminal: {log}");
}

/// What happened to a client can be found in the log, by its address and then by its number.
#[tokio::test]
async fn closes_refusals_and_wrong_keys_can_be_found_in_the_log() {
    let mut command = throng(&["--addr", "127.0.0.1:0", "--log", "debug", "--admin-keys", "0123456789-abcdef"]);
    let (process, log) = Process::spawn_logging(&mut command).await;
    let mut client = Client::connect(process.addr, "/ws").await;
    client.send(Message::Binary(vec![0xff].into())).await;
    client.rest().await;
    for request in [
        "GET /ws HTTP/1.1\r\nHost: x\r\nOrigin: https://foreign.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /admin/drain HTTP/1.1\r\nHost: x\r\nX-API-Key: 0123456789-wrong\r\nConnection: close\r\n\r\n",
        "GET /admin/drain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        exchange(process.addr, request.as_bytes()).await;
    }
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    let log = rest(log).await;
    let found = |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    let connected = log.lines().find(|line| line.contains("connected client=127.0.0.1")).expect("it connected");
    let id = connected.split_whitespace().find(|word| word.starts_with("id=")).expect("it has a number");
    assert_eq!(found(&["closing", id, "reason=\"protocol\""]), 1, "{log}");
    assert_eq!(found(&["disconnected", id]), 1, "{log}");
    assert_eq!(found(&["refused", "peer=127.0.0.1", "reason=\"origin\""]), 1, "{log}");
    assert_eq!(found(&["WARN", "peer=127.0.0.1", "a key that is not one of"]), 1, "one had none: {log}");
}

/// The last line before the end is the one that an operator will look for.
#[tokio::test]
async fn last_lines_are_written_before_the_process_ends() {
    let (process, log) = Process::spawn_logging(&mut throng(&["--addr", "127.0.0.1:0"])).await;
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    assert!(rest(log).await.lines().last().unwrap().contains("stop"), "the end of the stop is told");
}

/// A paused terminal, or a log collector that hangs, must not stop a hub.
#[tokio::test]
async fn log_that_nobody_reads_stops_nobody() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // Full from the beginning: the first line already finds no room.
    let mut filler = writer.try_clone().unwrap();
    fcntl_setfl(&filler, OFlags::NONBLOCK).unwrap();
    while filler.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&filler, OFlags::empty()).unwrap();
    drop(filler);
    let process = Process::spawn_with(&mut throng(&["--addr", "127.0.0.1:0", "--log", "trace"]), writer.into()).await;
    let mut client = Client::connect(process.addr, "/ws").await;
    for number in 0..100 {
        let other = Client::connect(process.addr, "/ws").await;
        client.send(number.to_string()).await;
        assert_eq!(client.line().await, number.to_string());
        drop(other);
    }
    assert_eq!(get(process.addr, "/health/ready").await.status, 200);
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    let mut log = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut log).unwrap();
}

/// A stopped process (a debugger, a migrated machine) must not close all connections when it goes on.
/// docs/threats.md, row 27.
#[tokio::test]
async fn pause_of_the_process_closes_nobody_and_is_told() {
    at_some_scale(pause_of_the_process).await;
}

async fn pause_of_the_process(scale: u32) -> Result<(), String> {
    let [ping, pong] = [1_000, 500].map(|ms| format!("{}ms", ms * scale));
    let mut command = throng(&["--addr", "127.0.0.1:0", "--ping-interval", &ping, "--pong-timeout", &pong]);
    let (process, mut log) = Process::spawn_logging(&mut command).await;
    // Each client answers pings all the time, until a message says that the pause is over.
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::connect(process.addr, "/ws").await;
        clients.spawn(async move {
            loop {
                match client.next().await {
                    Message::Text(text) if text == "over" => return Ok(()),
                    Message::Close(close) => return Err(format!("{close:?}")),
                    _ => {}
                }
            }
        });
    }
    process.signal(Signal::STOP);
    // What is tested is time that passes: three times that of a ping and its pong.
    tokio::time::sleep(scale * Duration::from_secs(5)).await;
    process.signal(Signal::CONT);
    logged(&mut log, "the process did not run").await;
    Client::connect(process.addr, "/ws").await.send("over").await;
    for ended in within(clients.join_all()).await {
        ended?;
    }
    let page = get(process.addr, "/metrics").await.body;
    let counted = page.lines().find_map(|line| line.strip_prefix("throng_pauses_total "));
    assert_ne!(counted, Some("0"), "{page}");
    Ok(())
}
