//! A hub without descriptors: it says so, does not spin, and recovers. Threats row 14.

mod support_server;

use std::fs;
use std::time::{Duration, Instant};
use support_server::process::{Process, throng};
use support_server::{get, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Starts the binary with a limit on descriptors that it can not raise.
async fn with_descriptors(count: u32) -> Process {
    let program = throng(&["--addr", "127.0.0.1:0", "--connections-max", "10000"]);
    let program = program.as_std();
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\" \"$@\""));
    command.arg(program.get_program()).args(program.get_args()).kill_on_drop(true);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Process::spawn(&mut command).await
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

/// Returns how many clients could not be accepted as usual.
async fn accept_errors(process: &Process) -> usize {
    let page = get(process.addr, "/metrics").await.body;
    let count = page.lines().find_map(|line| line.strip_prefix("throng_accept_errors_total "));
    count.expect("there is such a number").parse().expect("it is a number")
}

/// A thousand clients for 256 descriptors: those beyond are told, and the core is not burnt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_beyond_the_descriptors_get_503_without_spinning_and_the_next_ones_are_served_again() {
    let process = with_descriptors(256).await;
    let mut connected = Vec::new();
    let refused = loop {
        let (status, stream) = connect(&process).await;
        match status {
            Some(101) => connected.push(stream),
            other => break other,
        }
        assert!(connected.len() < 256, "there are not so many descriptors");
    };
    assert_eq!(refused, Some(503));
    assert!(connected.len() > 200, "{}", connected.len());

    let others: Vec<_> = (0..750).map(|_| connect(&process)).collect();
    let others = within(futures_util::future::join_all(others)).await;
    let told = others.iter().filter(|(status, _)| *status == Some(503)).count();
    assert!(told >= 700, "{told} of 750 were told");

    // Nobody comes any more, and there is still no descriptor: a hub that spins takes what it gets of a core, which is
    // far more than a tenth on any machine.
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
    // Each of them told a client at least; one that spins has thousands for each.
    assert!(errors <= 1 + 750 + again, "{errors} tries to accept");
}
