//! The echo face: every connection gets back what it sends, through the whole data plane, byte for byte.

use crate::server;
use crate::server::{Client, Raw, exchange, frame, get, start, stream_with_buffer, within};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

const SIZES: [usize; 6] = [0, 1, 125, 126, 65_535, 65_536];

async fn start_with_echo() -> server::TestServer {
    start(|config| {
        config.echo = true;
        // All of it may wait for a reader that stalls: 22 MB.
        config.limits.outbox_bytes_max = 1 << 30;
    })
    .await
}

/// `count` messages of all sizes and both kinds, as different as their size allows.
fn messages(count: usize) -> Vec<Message> {
    let body = |index: usize| {
        let mut body = index.to_string().into_bytes();
        body.resize(SIZES[index % SIZES.len()], b"abcdefg"[index % 7]);
        body
    };
    let is_text = |index: usize| (index / SIZES.len()).is_multiple_of(2);
    let message = |index| match String::from_utf8(body(index)) {
        Ok(text) if is_text(index) => Message::text(text),
        Ok(text) => Message::binary(text.into_bytes()),
        Err(_) => unreachable!("digits and letters"),
    };
    (0..count).map(message).collect()
}

fn frames(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(|one| frame(if one.is_text() { 0x81 } else { 0x82 }, &one.clone().into_data())).collect()
}

/// Reads as many messages as were sent, each in a frame of its own.
async fn assert_echoed(client: &mut server::Judge, sent: &[Message]) {
    for (index, sent) in sent.iter().enumerate() {
        let echoed = client.next().await;
        assert!(echoed == *sent, "message {index} of {} bytes became one of {}", sent.len(), echoed.len());
    }
}

/// A tool for tests must not be a public service.
#[tokio::test]
async fn echo_does_not_exist_unless_it_is_enabled() {
    let server = start(|_| {}).await;
    let answer = get(server.addr, "/echo").await;
    assert_eq!((answer.status, &*answer.body), (404, "Not found\n"));
    let upgrade = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(exchange(server.addr, upgrade).await.status, 404);
}

#[tokio::test]
async fn text_stays_text_binary_stays_binary_and_nothing_is_trimmed() {
    let server = start_with_echo().await;
    let mut client = server.connect("/echo").await;
    for message in [
        Message::text("text"),
        Message::text(""),
        Message::text(" two\nlines \n"),
        Message::binary(Vec::new()),
        Message::binary(vec![0, 0xff, b'\n', b' ']),
    ] {
        client.send(message.clone()).await;
        assert_eq!(client.next().await, message);
    }
    assert_eq!(client.close(Some(3000)).await, Some((3000, String::new())));
}

/// Batching writes is allowed, joining messages is not; a suite that sends one at a time does not see the difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_in_one_write_come_back_as_a_thousand() {
    let server = start_with_echo().await;
    let sent = messages(1000);
    let Raw { mut write, mut judge } = server.raw("/echo").await;
    let bytes = frames(&sent);
    let (written, ()) = tokio::join!(within(write.write_all(&bytes)), assert_echoed(&mut judge, &sent));
    written.unwrap();
}

/// Partial writes: the socket takes a few bytes now and then.
#[tokio::test]
async fn a_reader_that_stalls_gets_every_frame_whole() {
    let server = start_with_echo().await;
    let sent = messages(60);
    let stream = stream_with_buffer(server.addr, 32 * 1024).await;
    let mut client = Raw::over(stream, "/echo", b"").await;
    let Raw { write, judge } = &mut client;
    within(write.write_all(&frames(&sent))).await.unwrap();
    // Until the server has taken everything, nothing is read.
    within(async {
        while server.counts().publications < 60 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.counts().parks > 0, "the reader never lagged");
    assert_echoed(judge, &sent).await;
}

#[tokio::test]
async fn two_echo_clients_do_not_see_each_other() {
    let server = start_with_echo().await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..2 {
        clients.push(server.connect("/echo?channel=same").await);
    }
    let mut lobby = server.connect("/ws?channel=same").await;
    for (name, client) in ["first", "second"].iter().zip(&mut clients) {
        client.send(*name).await;
    }
    lobby.send("lobby").await;
    for (name, client) in ["first", "second"].iter().zip(&mut clients) {
        assert_eq!(client.text().await, *name);
        client.send("last").await;
        assert_eq!(client.text().await, "last");
    }
    assert_eq!(lobby.text().await, "lobby");
}
