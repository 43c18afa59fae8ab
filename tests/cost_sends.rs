//! What a burst costs on real sockets, counted: one write per receiver, and one wake-up of the shard.
//!
//! A part of the gate, see `benches/README.md`: exact numbers, no clock.

#[path = "common/server/mod.rs"]
mod server;

use server::{FrozenClock, TestServer, client::handshake, frame, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Enough that a write too much per receiver cannot hide among what a burst costs once.
const RECEIVERS: usize = 100;

/// Receivers that are subscribed, and read plain bytes.
async fn receivers(server: &TestServer) -> Vec<TcpStream> {
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        let stream = TcpStream::connect(server.addr).await.expect("the server listens");
        receivers.push(handshake(stream, "/ws", b"").await.0);
    }
    server.counted(|counts| counts.connections == RECEIVERS as u64).await;
    receivers
}

/// Whatever a burst holds, it leaves in one write per receiver, and the bell of a shard that sleeps rings once.
#[tokio::test]
async fn burst_costs_one_send_per_receiver_and_one_wake() {
    let server = start(|_| {}).await;
    let mut receivers = receivers(&server).await;
    // A shard that a tick has woken is not woken again.
    let _clock = FrozenClock::new();
    for burst in [1, 16, 64] {
        let before = server.counts();
        // One write, and less than the reader takes at once: what it holds is published without a pause.
        within(receivers[0].write_all(&frame(0x81, &[b'x'; 64]).repeat(burst))).await.expect("it fits the socket");
        let deliveries = before.deliveries + (burst * RECEIVERS) as u64;
        let after = server.counted(|counts| counts.deliveries == deliveries).await;
        assert_eq!(after.sends - before.sends, RECEIVERS as u64, "sends of a burst of {burst}");
        assert_eq!(after.wakes - before.wakes, 1, "wake-ups of a burst of {burst}");
        // One head, and a newline between any two lines.
        let len = 65 * burst - 1;
        let mut arrived = vec![0; len + if len < 126 { 2 } else { 4 }];
        for receiver in &mut receivers {
            within(receiver.read_exact(&mut arrived)).await.expect("it arrives");
        }
    }
}
