//! A hub without descriptors: it says so, does not spin, and recovers. docs/threats.md, row 14.

#[path = "common/server/mod.rs"]
mod server;

use server::process::{Process, throng};
use server::tls::Identity;
use server::{get, within};
use std::fs;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The binary with a limit on descriptors that it cannot raise.
fn with_descriptors(count: u32, arguments: &[&str]) -> Command {
    let program = throng(arguments);
    let program = program.as_std();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\" \"$@\""));
    command.arg(program.get_program()).args(program.get_args()).kill_on_drop(true);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Connects; returns the status of the answer, `None` when there is none, and the connection.
async fn connect(process: &Process) -> (Option<u16>, TcpStream) {
    let mut stream = TcpStream::connect(process.addr).await.expect("the kernel accepts");
    // A connection that was turned away may be closed already.
    let _ = stream.write_all(REQUEST).await;
    let mut start = [0; 12];
    let answered = within(stream.read_exact(&mut start)).await;
    let status = answered.ok().and_then(|_| std::str::from_utf8(&start[9..]).ok()?.parse().ok());
    (status, stream)
}

/// Returns the CPU time of a process, in clock ticks of 10 ms.
fn ticks(process: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("it runs");
    let fields = stat.rsplit_once(')').expect("its name stands in parentheses").1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("it is a number")).sum()
}

/// Returns the number of failed accepts.
async fn accept_errors(process: &Process) -> usize {
    let page = get(process.addr, "/metrics").await.body;
    let count = page.lines().find_map(|line| line.strip_prefix("throng_accept_errors_total "));
    count.expect("there is such a number").parse().expect("it is a number")
}

/// A thousand clients for 256 descriptors: those beyond are told, and the core is not burnt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_beyond_the_descriptors_get_503_without_spinning_and_the_next_ones_are_served_again() {
    let mut command = with_descriptors(256, &["--addr", "127.0.0.1:0", "--connections-max", "10000"]);
    let process = Process::spawn(&mut command).await;
    let mut connected = Vec::new();
    let refused = loop {
        let (status, stream) = connect(&process).await;
        match status {
            Some(101) => connected.push(stream),
            other => break other,
        }
        assert!(connected.len() < 256, "more than the limit on descriptors");
    };
    assert_eq!(refused, Some(503));
    assert!(connected.len() > 200, "{}", connected.len());

    let others: Vec<_> = (0..750).map(|_| connect(&process)).collect();
    let others = within(futures_util::future::join_all(others)).await;
    let told = others.iter().filter(|(status, _)| *status == Some(503)).count();
    assert!(told >= 700, "{told} of 750 were told");

    // No client connects, and no descriptor is free: a hub that spins uses far more than a tenth of a core, on any
    // machine.
    let (before, since) = (ticks(&process), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (used, passed) = (ticks(&process) - before, since.elapsed());
    assert!((used as f64) < passed.as_secs_f64() * 100.0 * 0.1, "{used} ticks of 10 ms in {passed:?}");

    drop((others, connected));
    let mut again = 0;
    let recovered = async {
        while connect(&process).await.0 != Some(101) {
            again += 1;
        }
    };
    within(recovered).await;
    let errors = accept_errors(&process).await;
    // Each failed accept refuses at least one client; a hub that spins fails thousands of times per client.
    assert!(errors <= 1 + 750 + again, "{errors} tries to accept");
}

/// A TLS client would take a cleartext response for a broken record: it sees the end of its connection and no byte.
#[tokio::test]
async fn encrypted_clients_beyond_the_descriptors_are_closed_without_cleartext() {
    let identity = Identity::new();
    let (chain, key) = (identity.chain(), identity.key());
    let files = ["--tls-certificate", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    // Handshakes that never begin keep their descriptors for longer than the test takes.
    let settings = ["--addr", "tls+127.0.0.1:0", "--handshake-timeout", "1h", "--limits-exempt", "127.0.0.1"];
    let mut command = with_descriptors(96, &[&settings[..], &files].concat());
    let process = Process::spawn(&mut command).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(TcpStream::connect(process.addr).await.expect("the kernel accepts"));
    }
    for client in &mut clients[100..] {
        let mut received = Vec::new();
        // It ends, or is reset.
        let _ = within(client.read_to_end(&mut received)).await;
        assert_eq!(String::from_utf8_lossy(&received), "");
    }
    // The first ones are still served.
    assert!(clients[0].try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}
