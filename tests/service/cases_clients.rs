//! Other people's clients: what they need to receive, and what they send.

use crate::server::{Client, FrozenClock, exchange, start, stream_with_buffer};
use std::time::Duration;
use throng::config::{DrainCloseCode, SlowConsumer};
use throng::protocol::CloseReason;
use tokio_tungstenite::tungstenite::Message;

/// A client that parses each message as JSON fails under load when waiting messages come joined.
#[tokio::test]
async fn join_off_gives_one_message_each_however_many_wait() {
    const COUNT: usize = 2_000;
    let server = start(|config| config.limits.outbox_bytes_max = 1 << 30).await;
    let mut publisher = server.connect("/ws?channel=a&join=off").await;
    let mut split = server.connect("/ws?channel=a&join=off").await;
    let mut joined = server.connect("/ws?join=on&channel=a").await;
    let sent: Vec<_> = (0..COUNT).map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n % 200))).collect();
    publisher.send_all(sent.iter().map(|text| Message::from(text.as_str()))).await;
    for client in [&mut publisher, &mut split] {
        for text in &sent {
            let received = client.text().await;
            serde_json::from_str::<serde_json::Value>(&received).expect("each message is one JSON text");
            assert_eq!(&received, text);
        }
    }
    // Its neighbour gets the same, joined as ever.
    let mut lines = Vec::new();
    let mut messages = 0;
    while lines.len() < COUNT {
        messages += 1;
        lines.extend(joined.text().await.split('\n').map(str::to_owned));
    }
    assert_eq!(lines, sent);
    assert!(messages < COUNT, "what waits is joined");
}

/// Counters and logs treat it as any subscriber, and it holds nothing once it has everything.
#[tokio::test]
async fn client_with_join_off_is_pinged_closed_and_counted_as_any_other() {
    let mut server = start(|config| {
        (config.limits.ping_interval, config.limits.pong_timeout) =
            (Duration::from_millis(900), Duration::from_millis(800));
    })
    .await;
    let clock = FrozenClock::new();
    let mut client = server.connect("/ws?join=off").await;
    client.send("one").await;
    assert_eq!(client.text().await, "one");
    server.counted(|counts| counts.deliveries == 1 && counts.parked == 0).await;
    clock.pass_until(async { while !matches!(client.next().await, Message::Ping(_)) {} }).await;
    drop(clock);
    client.send("two").await;
    assert_eq!(client.text().await, "two");
    server.begin_stop();
    assert_eq!(client.closed().await, Some((1012, "shutting down".to_owned())));
}

/// A page cannot see pings; signs of life tell it when to expect the next one.
#[tokio::test]
async fn heartbeat_on_sends_signs_of_life_that_no_client_can_forge() {
    let server = start(|config| {
        (config.limits.ping_interval, config.limits.pong_timeout) =
            (Duration::from_millis(900), Duration::from_millis(800));
    })
    .await;
    let clock = FrozenClock::new();
    for target in ["/ws?channel=a&heartbeat=on", "/ws?channel=b&heartbeat=on&join=off"] {
        let mut client = server.connect(target).await;
        for _ in 0..3 {
            assert_eq!(clock.pass_until(client.line()).await, " [throng] ping 1", "{target}");
        }
        client.send(" [throng] ping 1").await;
        client.send("x\n [throng] ping 1").await;
        let mut lines = Vec::new();
        while lines.len() < 2 {
            lines.extend(Some(client.line().await).filter(|line| line != " [throng] ping 1"));
        }
        assert_eq!(lines, ["[throng] ping 1", "x  [throng] ping 1"], "{target}");
    }
}

#[tokio::test]
async fn unknown_value_of_a_wish_is_refused_with_the_values() {
    let server = start(|_| {}).await;
    for query in ["join=no", "join=", "heartbeat=1"] {
        let text = format!(
            "GET /ws?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = exchange(server.addr, text.as_bytes()).await;
        let text = "Bad Request: join and heartbeat are on or off\n";
        assert_eq!((answer.status, &*answer.body), (400, text), "{query}");
    }
}

/// RFC 6455 section 5.4 sets no bound on fragments, and some clients stream a message in very many: its bytes and its
/// time bound it.
#[tokio::test]
async fn message_may_come_byte_by_byte() {
    let server = start(|_| {}).await;
    let mut client = server.raw("/ws").await;
    let count = 65_536;
    let mut bytes = Vec::new();
    for at in 0..count {
        let opcode = if at == 0 { 1 } else { 0 };
        bytes.extend_from_slice(&[if at + 1 == count { 0x80 | opcode } else { opcode }, 0x81, 0, 0, 0, 0, b'x']);
    }
    client.send(&bytes).await;
    assert_eq!(client.judge.line().await, "x".repeat(count));
}

/// .NET's ClientWebSocket and old Starscream, Tyrus and Java-WebSocket take 1012 for an error and drop the reason.
#[tokio::test]
async fn close_code_of_a_drain_is_a_setting() {
    for (code, number) in [(DrainCloseCode::ServiceRestart, 1012), (DrainCloseCode::GoingAway, 1001)] {
        let mut server = start(|config| config.limits.drain_close_code = code).await;
        let mut clients = [server.connect("/ws").await, server.connect("/ws?join=off").await];
        server.begin_stop();
        for client in &mut clients {
            assert_eq!(client.closed().await, Some((number, "shutting down".to_owned())));
        }
        drop(clients);
        server.stopped().await;
    }
}

/// A backend sends 2 MB in one loop, without reading, to a page that is as busy meanwhile. Both then read as fast as
/// they can, and nothing is lost. docs/threats.md, row 15.
#[tokio::test]
async fn burst_of_a_backend_throws_out_neither_its_audience_nor_itself() {
    const COUNT: usize = 20_000;
    // With the defaults both have a second before they read; how long this machine takes must not count.
    let server = start(|config| config.sockets.send_buffer_bytes = 4_096).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(Client::over(stream_with_buffer(server.addr, 4_096).await, "/ws").await);
    }
    let lines: Vec<_> = (0..COUNT).map(|number| format!("{number:0>95}")).collect();
    clients[0].send_all(lines.iter().map(|line| Message::from(line.as_str()))).await;
    // None of it is read before all of it has arrived, or the first of them is gone.
    while server.counts().publications < COUNT as u64 && server.closes(CloseReason::SlowConsumer) == 0 {
        tokio::task::yield_now().await;
    }
    for client in &mut clients {
        for line in &lines {
            assert_eq!(&client.line().await, line);
        }
    }
    assert_eq!(server.closes(CloseReason::SlowConsumer), 0);
}

/// A client that does not read is limited by the same outbox, and told the same, when its messages come split.
#[tokio::test]
async fn slow_client_with_join_off_skips_and_is_told_in_a_message_of_its_own() {
    let server = start(|config| {
        config.limits.slow_consumer = SlowConsumer::Skip;
        (config.limits.outbox_bytes_max, config.sockets.send_buffer_bytes) = (65_536, 4_096);
    })
    .await;
    let mut slow = Client::over(stream_with_buffer(server.addr, 4096).await, "/ws?join=off").await;
    let mut publisher = server.connect("/ws").await;
    let text = "y".repeat(20_000);
    let mut sent = 0;
    while server.counts().skipped == 0 {
        publisher.send(text.as_str()).await;
        assert_eq!(publisher.line().await, text);
        sent += 1;
    }
    publisher.send("last").await;
    let (mut received, mut skipped) = (0, 0);
    loop {
        let message = slow.text().await;
        match message.strip_prefix(" [throng] ") {
            Some(notice) => skipped += notice.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number"),
            None if message == "last" => break,
            None => {
                assert_eq!(message, text);
                received += 1;
            }
        }
    }
    assert_eq!(received + skipped, sent, "{received} received, {skipped} skipped");
}
