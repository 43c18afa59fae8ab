//! Broadcast in the chat protocol: which client gets which message, in which order, and how messages share a frame.

use crate::server::{Client, Judge, Raw, client::handshake, frame, namespaces, start, stream_with_buffer, within};
use std::pin::Pin;
use std::task::{Context, Poll};
use throng::protocol::{CloseReason, ProtocolError};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Lengths on both sides of every form of a frame's length.
const SIZES: [usize; 6] = [0, 1, 125, 126, 65_535, 65_536];

/// `count` lines of these lengths in turn, as different as their length allows.
fn bodies(count: usize, sizes: &[usize]) -> Vec<String> {
    let filled = |(index, size): (usize, &usize)| {
        let fill = ["a", "b", "c", "d", "e", "f", "g"][index % 7];
        let name = format!("{index}:");
        if *size < name.len() { fill.repeat(*size) } else { name.clone() + &fill.repeat(size - name.len()) }
    };
    sizes.iter().cycle().take(count).enumerate().map(filled).collect()
}

fn frames(bodies: &[String]) -> Vec<u8> {
    bodies.iter().flat_map(|body| frame(0x81, body.as_bytes())).collect()
}

/// Lines that differ are named by their place and length: a megabyte in a failure does not help.
fn assert_same(received: &[String], sent: &[String], who: &str) {
    assert_eq!(received.len(), sent.len(), "{who}");
    for (index, (received, sent)) in received.iter().zip(sent).enumerate() {
        assert!(received == sent, "{who}: line {index} has {} bytes instead of {}", received.len(), sent.len());
    }
}

/// Has every client say `count` lines at once; returns what each received.
async fn talk(clients: &mut [Client], count: usize) -> Vec<Vec<String>> {
    let total = clients.len() * count;
    let talking = clients.iter_mut().enumerate().map(|(name, client)| async move {
        client.send_all((0..count).map(|number| format!("{name}:{number}").into())).await;
        client.lines(total).await
    });
    futures_util::future::join_all(talking).await
}

fn assert_one_order(received: &[Vec<String>], count: usize) {
    for (name, lines) in received.iter().enumerate() {
        assert_eq!(lines, &received[0], "client {name} saw another order than client 0");
        let own: Vec<_> = lines.iter().filter(|line| line.starts_with(&format!("{name}:"))).collect();
        assert_eq!(
            own,
            (0..count).map(|number| format!("{name}:{number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

/// The example's hub has one order for all, and so have we; the sender is among the receivers.
#[tokio::test]
async fn everyone_gets_everything_in_one_order_the_sender_too() {
    let server = start(|_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(server.connect("/ws").await);
    }
    assert_one_order(&talk(&mut clients, 100).await, 100);
}

/// A channel has one order however many shards its subscribers are spread over.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn subscribers_on_two_shards_see_one_order() {
    let server = start(|config| config.shards = Some(2)).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.connect("/ws").await);
    }
    let received = talk(&mut clients, 250).await;
    let publications: Vec<_> = server.hub().metrics().shards().iter().map(|shard| shard.read().publications).collect();
    assert!(publications.iter().all(|count| *count > 0), "both shards take part: {publications:?}");
    assert_one_order(&received, 250);
}

/// Without a name it is the lobby; a name may be escaped; nothing crosses from one channel to another.
#[tokio::test]
async fn channels_are_apart_and_the_default_is_the_lobby() {
    let server = start(|config| config.namespaces = namespaces("[[namespace]]\nname = \"a\"")).await;
    let mut default = server.connect("/ws").await;
    let mut lobby = server.connect("/ws?x=1&channel=lobby").await;
    let mut other = server.connect("/ws?channel=a:b$c").await;
    let mut escaped = server.connect("/ws?channel=%61%3ab%24%63&channel=lobby").await;

    other.send("to the others").await;
    assert_eq!(escaped.line().await, "to the others", "the first name counts, unescaped");
    default.send("to the lobby").await;
    for client in [&mut default, &mut lobby] {
        assert_eq!(client.line().await, "to the lobby");
    }
    escaped.send("again").await;
    assert_eq!(other.lines(2).await, ["to the others", "again"]);
}

/// The transformations of the example: its page splits what it gets at newlines.
#[tokio::test]
async fn newlines_become_spaces_ends_are_trimmed_and_blank_is_an_empty_line() {
    let server = start(|_| {}).await;
    let mut client = server.connect("/ws").await;
    for (sent, received) in [
        ("one\ntwo", "one two"),
        ("  both ends \t\n", "both ends"),
        ("", ""),
        (" \n\u{a0}", ""),
        ("sn\u{2603}w", "sn\u{2603}w"),
    ] {
        client.send(sent).await;
        assert_eq!(client.text().await, received, "{sent:?}");
    }
}

#[tokio::test]
async fn binary_is_sent_on_as_text() {
    let server = start(|_| {}).await;
    let mut client = server.connect("/ws").await;
    client.send(Message::binary("b\u{ef}n\u{e4}ry ".as_bytes().to_vec())).await;
    assert_eq!(client.next().await, Message::text("b\u{ef}n\u{e4}ry"));
}

/// In the example such a message ends the connection of every browser that receives it.
#[tokio::test]
async fn binary_that_is_not_text_ends_its_sender_and_nobody_else() {
    let server = start(|_| {}).await;
    let mut sender = server.connect("/ws").await;
    let mut other = server.connect("/ws").await;
    sender.send(Message::binary(vec![b'x', 0xff])).await;
    assert_eq!(sender.closed().await, Some((1007, "invalid utf-8".to_owned())));
    other.send("still here").await;
    assert_eq!(other.line().await, "still here");
    server.closed(CloseReason::Protocol(ProtocolError::InvalidUtf8), 1).await;
}

/// A browser does not wait for the answer to its handshake.
#[tokio::test]
async fn messages_glued_to_the_request_are_delivered() {
    let server = start(|_| {}).await;
    let glued = frames(&["first".to_owned(), "second".to_owned()]);
    let mut whole = Raw::connect(server.addr, "/ws?channel=whole", &glued).await;
    assert_eq!(whole.judge.lines(2).await, ["first", "second"]);

    let (begun, rest) = glued.split_at(glued.len() - 3);
    let mut cut = Raw::connect(server.addr, "/ws?channel=cut", begun).await;
    assert_eq!(cut.judge.line().await, "first");
    cut.send(rest).await;
    assert_eq!(cut.judge.line().await, "second");
}

/// Reads one byte at a time.
struct Trickle(TcpStream);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = [0; 1];
        let mut one = ReadBuf::new(&mut byte);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut one);
        buffer.put_slice(one.filled());
        polled
    }
}

/// Batching is between lines, never inside one: every boundary and the order survive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_in_one_write_keep_boundaries_and_order() {
    // A reader of this test may lag by all of it: 22 MB.
    let server = start(|config| config.limits.outbox_bytes_max = 1 << 30).await;
    let sent = bodies(1000, &SIZES);
    let mut observer = server.connect("/ws").await;
    let flood = frames(&sent);
    let (own, observed) = tokio::join!(write_at_once(server.raw("/ws").await, &flood, 1000), observer.lines(1000));
    assert_same(&own, &sent, "the sender");
    assert_same(&observed, &sent, "the observer");
}

/// Sends everything in one write, while it reads the lines that come of it.
async fn write_at_once(client: Raw, bytes: &[u8], count: usize) -> Vec<String> {
    let Raw { mut write, mut judge } = client;
    let (written, lines) = tokio::join!(within(write.write_all(bytes)), judge.lines(count));
    written.expect("the server reads on");
    lines
}

/// Partial writes: the socket is full, and later takes a few bytes now and then.
#[tokio::test]
async fn a_reader_that_stalls_and_comes_back_has_missed_nothing() {
    let server = start(|config| {
        config.limits.outbox_bytes_max = 1 << 30;
        config.sockets.send_buffer_bytes = 4096;
    })
    .await;
    let mut stalled = Raw::over(stream_with_buffer(server.addr, 8 * 1024).await, "/ws", &[]).await;
    stalled.round_trip().await;
    let sent = bodies(60, &SIZES);
    let own = write_at_once(server.raw("/ws").await, &frames(&sent), 60).await;
    assert_same(&own, &sent, "the sender");
    // The counts of a pass are published at its end.
    server.counted(|counts| counts.parks > 0).await;
    assert_same(&stalled.judge.lines(60).await, &sent, "the stalled reader");
}

/// A client on the worst of networks: its messages come, and ours leave, byte by byte.
#[tokio::test]
async fn byte_by_byte_in_both_directions_changes_nothing() {
    let server = start(|config| config.sockets.send_buffer_bytes = 16 * 1024).await;
    let mut sent = bodies(200, &SIZES[..4]);
    sent.extend(bodies(2, &SIZES[4..]));
    let (stream, early) = handshake(stream_with_buffer(server.addr, 16 * 1024).await, "/ws", &[]).await;
    let mut trickle = Judge::reading(Trickle(stream), early).await;
    let mut dripper = server.raw("/ws").await;
    dripper.round_trip().await;

    let bytes = frames(&sent);
    let Raw { mut write, mut judge } = dripper;
    let (_, own, received) = tokio::join!(
        async {
            // The largest bodies add nothing to this direction but time.
            let (drops, rest) = bytes.split_at(bytes.len() - 65_536 - 65_535);
            for byte in drops.chunks(1) {
                within(write.write_all(byte)).await.unwrap();
            }
            within(write.write_all(rest)).await.unwrap();
        },
        judge.lines(202),
        trickle.lines(202),
    );
    assert_same(&own, &sent, "sent byte by byte");
    assert_same(&received, &sent, "read byte by byte");
}
