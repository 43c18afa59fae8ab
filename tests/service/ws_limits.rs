//! Limits on what one client may send and how many may come: each at it, and one past it.

use crate::server::{
    Answer, FrozenClock, Raw, client::handshake, exchange, frame, get, http::read_to_end, start, within,
};
use std::time::Duration;
use throng::config::Config;
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(200);

/// The fields of a good handshake, without its request line.
const FIELDS: &str = "Host: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn closed(code: u16, reason: &str) -> Option<(u16, String)> {
    Some((code, reason.to_owned()))
}

/// A text in fragments of these lengths.
fn fragments(lens: &[usize]) -> Vec<u8> {
    let last = lens.len() - 1;
    let first = |index| u8::from(index == 0) | if index == last { 0x80 } else { 0 };
    lens.iter().enumerate().flat_map(|(index, len)| frame(first(index), &vec![b'x'; *len])).collect()
}

#[tokio::test]
async fn message_bytes_max_counts_a_frame_and_the_sum_of_fragments() {
    let server = start(|config| config.sockets.message_bytes_max = 1000).await;
    for lens in [&[1000][..], &[600, 400], &[999, 0, 1], &[0, 1000]] {
        let mut client = server.raw("/ws").await;
        client.send(&fragments(lens)).await;
        assert_eq!(client.judge.line().await.len(), 1000, "{lens:?}");
    }
    for lens in [&[1001][..], &[600, 401], &[1000, 0, 1], &[0, 1001]] {
        let mut client = server.raw("/ws").await;
        client.send(&fragments(lens)).await;
        assert_eq!(client.closed().await, closed(1009, "message too big"), "{lens:?}");
    }
    // The head is enough: the body never comes.
    let mut client = server.raw("/ws").await;
    client.send(&fragments(&[1001])[..4]).await;
    assert_eq!(client.closed().await, closed(1009, "message too big"));
}

/// Empty fragments cost as much attention as full ones.
#[tokio::test]
async fn fragments_max_counts_empty_fragments_too() {
    let server = start(|config| config.sockets.fragments_max = 8).await;
    for len in [0, 1] {
        let mut client = server.raw("/ws").await;
        client.send(&fragments(&[len; 8])).await;
        assert_eq!(client.judge.line().await.len(), 8 * len);
        client.send(&fragments(&[len; 9])).await;
        assert_eq!(client.closed().await, closed(1008, "too many fragments"));
    }
}

#[tokio::test]
async fn message_that_stops_midway_ends_with_1008_and_a_silent_client_stays() {
    let server = start(|config| config.sockets.message_timeout = SHORT).await;
    let mut silent = server.connect("/ws").await;
    for begun in [&frame(0x81, b"never complete")[..9], &frame(0x01, b"never continued"), &[0x81]] {
        let mut client = server.raw("/ws").await;
        client.send(begun).await;
        assert_eq!(client.closed().await, closed(1008, "message not complete in time"), "{begun:?}");
    }
    silent.send("still here").await;
    assert_eq!(silent.line().await, "still here");
}

/// The clock runs from the first byte, so neither a drop now and then nor pings in between buy time.
#[tokio::test]
async fn trickling_does_not_extend_message_timeout() {
    let server = start(|config| {
        config.sockets.message_timeout = SHORT;
        config.sockets.fragments_max = u32::MAX;
        config.sockets.control_rate_max = u32::MAX;
        config.sockets.message_bytes_max = 1 << 26;
        config.limits.outbox_bytes_max = 1 << 26;
    })
    .await;
    let client = server.raw("/ws").await;
    let Raw { mut write, mut judge } = client;
    let trickle = async {
        within(write.write_all(&frame(0x01, b"x"))).await?;
        loop {
            within(write.write_all(&[frame(0x89, b""), frame(0x00, b"x")].concat())).await?;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = trickle => { let _: std::io::Result<()> = result; }
        closed_with = judge.closed() => {
            assert_eq!(closed_with, closed(1008, "message not complete in time"));
            return;
        }
    }
    // The server has ended first, which the writer may see first.
    assert_eq!(judge.closed().await, closed(1008, "message not complete in time"));
}

/// What waits for the hub is complete: the client is not late because the hub is busy.
#[tokio::test]
async fn message_behind_one_that_waited_for_the_hub_has_its_own_time() {
    let server = start(|config| {
        config.shards = Some(2);
        config.sockets.message_timeout = Duration::from_secs(1);
    })
    .await;
    let clock = FrozenClock::new();
    // The least loaded shard is the other one, so the two are apart.
    let mut patient = server.raw("/ws?channel=patient").await;
    patient.round_trip().await;
    let mut other = server.raw("/ws?channel=other").await;
    other.round_trip().await;
    patient.send(&frame(0x01, b"fi")).await;
    patient.round_trip().await;

    // The other client's time began later and passes in full: by then the patient one's has passed too.
    let credits = server.hub().inbox(0).credit(CREDITS * CREDIT_BYTES).await;
    let next = frame(0x81, b"next");
    patient.send(&[&frame(0x80, b"rst"), &next[..3]].concat()).await;
    other.send(&next[..3]).await;
    assert_eq!(clock.pass_until(other.closed()).await, closed(1008, "message not complete in time"));
    drop(credits);
    assert_eq!(patient.judge.line().await, "first");
    patient.send(&next[3..]).await;
    assert_eq!(patient.judge.line().await, "next");
}

#[tokio::test]
async fn control_rate_max_is_allowed_and_more_is_4013() {
    let server = start(|config| config.sockets.control_rate_max = 5).await;
    let _clock = FrozenClock::new();
    let mut client = server.raw("/ws").await;
    let pings = |count| frame(0x89, b"raw").repeat(count);
    client.send(&pings(4)).await;
    client.round_trip().await;
    client.send(&frame(0x81, b"a message is no control frame")).await;
    assert_eq!(client.judge.line().await, "a message is no control frame");

    for kind in [0x89, 0x8a] {
        let mut client = server.raw("/ws").await;
        client.send(&frame(kind, b"").repeat(6)).await;
        assert_eq!(client.closed().await, closed(4013, "too many requests"));
    }
}

fn retry_after(answer: &Answer) -> Option<u64> {
    answer.header("Retry-After")?.parse().ok()
}

#[tokio::test]
async fn connections_max_is_allowed_one_more_is_503_and_who_leaves_makes_room() {
    let server = start(|config| config.limits.connections_max = 2).await;
    let request = format!("GET /ws HTTP/1.1\r\n{FIELDS}\r\n");
    let mut first = server.connect("/ws").await;
    let mut second = server.connect("/ws").await;
    let answer = exchange(server.addr, request.as_bytes()).await;
    assert_eq!(answer.status, 503);
    assert!(retry_after(&answer).is_some_and(|seconds| (5..=10).contains(&seconds)), "spread over as much again");
    assert_eq!(answer.body, "Service Unavailable: the hub has reached its limit of connections\n");
    assert_eq!(get(server.addr, "/health/live").await.status, 200, "full is not dead");

    first.close(Some(1000)).await;
    drop(first);
    second.close(None).await;
    drop(second);
    server.vacated().await;
    let _first = server.connect("/ws").await;
    let _second = server.connect("/ws").await;
    assert_eq!(exchange(server.addr, request.as_bytes()).await.status, 503);
}

#[tokio::test]
async fn channels_max_is_allowed_one_more_is_503_and_an_empty_channel_makes_room() {
    let server = start(|config| config.limits.channels_max = 2).await;
    let request = format!("GET /ws?channel=c HTTP/1.1\r\n{FIELDS}\r\n");
    let mut first = server.connect("/ws?channel=a").await;
    let mut second = server.connect("/ws?channel=b").await;
    let also_second = server.connect("/ws?channel=b").await;
    let answer = exchange(server.addr, request.as_bytes()).await;
    assert_eq!(answer.status, 503);
    assert!(retry_after(&answer).is_some_and(|seconds| (5..=10).contains(&seconds)), "spread over as much again");
    assert_eq!(answer.body, "Service Unavailable: the hub has reached its limit of channels\n");

    first.close(None).await;
    second.close(None).await;
    drop((first, second, also_second));
    server.vacated().await;
    let _third = server.connect("/ws?channel=c").await;
}

/// Slowloris: a peer may hold a place among the handshakes for so long and no longer. docs/threats.md, row 2.
#[tokio::test]
async fn slow_request_head_is_cut_off() {
    let server = start(|config| config.sockets.handshake_timeout = SHORT).await;
    for begun in ["", "GET /ws HTTP/1.1\r\nHost: thr"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "), "{begun:?}");
    }
    assert_eq!(get(server.addr, "/health/live").await.status, 200);
}

#[tokio::test]
async fn handshakes_max_is_served_and_one_more_waits_for_its_turn() {
    let server = start(|config| config.sockets.handshakes_max = 1).await;
    // A handshake that is 0.3 s old may be cut off for a newer one; with this clock the first never is.
    let _clock = FrozenClock::new();
    let request = b"GET /health/live HTTP/1.1\r\nHost: throng.test\r\n\r\n";
    let mut first = TcpStream::connect(server.addr).await.unwrap();
    let mut second = TcpStream::connect(server.addr).await.unwrap();
    second.write_all(&[&request[..request.len() - 2], b"Connection: close\r\n\r\n"].concat()).await.unwrap();
    for _ in 0..3 {
        first.write_all(request).await.unwrap();
        assert_ne!(within(first.read(&mut [0; 1024])).await.unwrap(), 0);
    }
    assert!(second.try_read(&mut [0; 1]).is_err(), "the second waits as long as the first is there");
    drop(first);
    assert_eq!(read_to_end(&mut second).await.status, 200);
}

async fn status_of(addr: std::net::SocketAddr, target: &str, extra: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\n{FIELDS}{extra}\r\n");
    let mut stream = TcpStream::connect(addr).await.expect("the server listens");
    within(stream.write_all(request.as_bytes())).await.expect("a head fits the socket");
    let mut answer = [0; 1024];
    let taken = within(stream.read(&mut answer)).await.expect("the server answers");
    let answer = Answer::parse(answer[..taken].to_vec());
    (answer.status, answer.body)
}

#[tokio::test]
async fn channel_name_of_255_bytes_is_accepted_and_other_names_are_refused_with_the_rule() {
    let server = start(|_: &mut Config| {}).await;
    handshake(TcpStream::connect(server.addr).await.unwrap(), &format!("/ws?channel={}", "n".repeat(255)), b"").await;
    let rule = "; allowed are ASCII letters, digits and _ . : , # $ @ -\n";
    for (name, complaint) in [
        ("n".repeat(256), "channel name has 256 bytes; shorten it to 255\n".to_owned()),
        (String::new(), "channel name is empty; give it 1 to 255 characters\n".to_owned()),
        ("a%20b".to_owned(), format!("channel name has ' ' at byte 1{rule}")),
        ("a%0d%0aSet-Cookie:x".to_owned(), format!(r"channel name has '\r' at byte 1{rule}")),
        ("a/b".to_owned(), format!("channel name has '/' at byte 1{rule}")),
        ("%ff".to_owned(), "the channel name is not UTF-8\n".to_owned()),
    ] {
        let (status, body) = status_of(server.addr, &format!("/ws?channel={name}"), "").await;
        assert_eq!((status, body), (400, format!("Bad Request: {complaint}")), "{name:?}");
    }
}

#[tokio::test]
async fn target_of_4096_bytes_is_accepted_and_one_more_is_414() {
    let server = start(|_: &mut Config| {}).await;
    let target = |len: usize| format!("/ws?{}", "x".repeat(len - 4));
    assert_eq!(status_of(server.addr, &target(4096), "").await.0, 101);
    let (status, body) = status_of(server.addr, &target(4097), "").await;
    assert_eq!((status, &*body), (414, "URI Too Long: the limit is 4096 bytes\n"));
}

/// docs/threats.md, row 4.
#[tokio::test]
async fn head_of_16_kib_or_64_fields_is_accepted_and_more_is_431() {
    let server = start(|_: &mut Config| {}).await;
    let line = "GET /ws HTTP/1.1\r\n\r\n".len() + FIELDS.len();
    let padding = |head: usize| format!("X-Padding: {}\r\n", "x".repeat(head - line - "X-Padding: \r\n".len()));
    assert_eq!(status_of(server.addr, "/ws", &padding(16 * 1024)).await.0, 101);
    assert_eq!(status_of(server.addr, "/ws", &padding(16 * 1024 + 1)).await.0, 431);
    let known = FIELDS.lines().count();
    assert_eq!(status_of(server.addr, "/ws", &"X: y\r\n".repeat(64 - known)).await.0, 101);
    assert_eq!(status_of(server.addr, "/ws", &"X: y\r\n".repeat(65 - known)).await.0, 431);
}
