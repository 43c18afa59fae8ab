//! A peer whose packets vanish, as when a phone leaves its cell: nothing ends the connection but the hub.
//! docs/threats.md, row 25.
//!
//! In a network namespace of its own, with a cable that is cut. Needs root and `ip` (Debian: iproute2); without them
//! one line says that nothing was checked, and `hub_slow.rs` has the same with a simulated clock.

#![expect(clippy::print_stderr, reason = "what was not checked is said")]

#[path = "common/server/mod.rs"]
mod server;

use server::process::{Process, at_some_scale, throng};
use server::{exchange, within};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Connects and answers every ping, as the rules ask.
const PHONE: &str = r#"
import socket, sys
phone = socket.create_connection((sys.argv[1], int(sys.argv[2])))
phone.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
assert b" 101 " in phone.recv(4096)
while head := phone.recv(2):
    if head == b"\x89\x00":
        phone.sendall(b"\x8a\x80\0\0\0\0")
        print("answered", flush=True)
"#;

/// A namespace with a cable to this one, both gone with the test.
struct Cable {
    name: String,
}

impl Cable {
    /// Returns `None` where namespaces cannot be made.
    async fn lay() -> Option<Self> {
        let id = std::process::id();
        let (name, here, there) = (format!("throng-{id}"), format!("th{id}a"), format!("th{id}b"));
        let cable = Self { name: name.clone() };
        for command in [
            format!("netns add {name}"),
            format!("link add {here} type veth peer name {there} netns {name}"),
            format!("addr add 198.18.77.1/30 dev {here}"),
            format!("link set {here} up"),
            format!("-n {name} addr add 198.18.77.2/30 dev {there}"),
            format!("-n {name} link set {there} up"),
        ] {
            if !ip(&command).await {
                return None;
            }
        }
        Some(cable)
    }

    async fn cut(&self) {
        let there = format!("th{}b", std::process::id());
        assert!(ip(&format!("-n {} link set {there} down", self.name)).await);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The kernel takes a cable away some time after its namespace, and the next one has the same name.
        let here = format!("th{}a", std::process::id());
        for arguments in [["link", "del", &here], ["netns", "del", &self.name]] {
            let _ = std::process::Command::new("ip").args(arguments).stderr(Stdio::null()).status();
        }
    }
}

async fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

/// Asks, on this side of the cable, for a number of the metrics page.
async fn number(process: &Process, name: &str) -> u64 {
    let addr = (std::net::Ipv4Addr::LOCALHOST, process.addr.port()).into();
    let page = exchange(addr, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("there is such a number");
    line.trim().parse().expect("it is a number")
}

/// A half-open connection must not hold its place for the two hours that TCP would give it.
#[tokio::test]
async fn peer_whose_packets_vanish_is_closed_and_its_place_is_free() {
    // A busy machine may delay the phone's pong beyond the timeout, before the cable is cut.
    at_some_scale(|scale| async move {
        let Some(cable) = Cable::lay().await else {
            eprintln!("half_open: nothing was checked, because this process may make no network namespace");
            return Ok(());
        };
        lose_a_phone(&cable, scale).await
    })
    .await;
}

async fn lose_a_phone(cable: &Cable, scale: u32) -> Result<(), String> {
    let [ping, pong] = [1_000, 500].map(|ms| format!("{}ms", ms * scale));
    let mut command = throng(&["--addr", "0.0.0.0:0", "--shards", "1", "--close-timeout", "500ms"]);
    let process =
        Process::spawn(command.args(["--ping-interval", &ping, "--pong-timeout", &pong, "--log", "error"])).await;
    let port = process.addr.port().to_string();
    let mut phone = Command::new("ip")
        .args(["netns", "exec", &cable.name, "python3", "-c", PHONE, "198.18.77.1", &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("ip was there a moment ago");
    let mut said = BufReader::new(phone.stdout.take().expect("it is piped")).lines();
    // Twice: it would go on for ever.
    for _ in 0..2 {
        let answered = within(said.next_line()).await.expect("it is text");
        if answered.as_deref() != Some("answered") {
            return Err(format!("a phone that answers was closed with a pong timeout of {pong}"));
        }
    }
    cable.cut().await;
    within(async { while number(&process, "throng_connections{shard=\"0\"} ").await > 0 {} }).await;
    assert_eq!(number(&process, "throng_closes_total{reason=\"no_pong\"} ").await, 1);
    assert_eq!(number(&process, "throng_placements{shard=\"0\"} ").await, 0, "its place is free");
    Ok(())
}
