//! How much one client may send: back-pressure first; only a client that goes on is closed.
//! docs/threats.md, rows 10 and 16.

use crate::server::{FrozenClock, Raw, TestServer, frame, start};
use throng::config::Config;
use throng::protocol::CloseReason;

/// Nobody is exempt.
fn limited(config: &mut Config) {
    config.access.limits_exempt = Vec::new();
    config.sockets.message_rate_max = 10;
}

/// Waits until a client is closed. While the hub is delayed for other reasons the client's allowance grows, so the
/// clock must not run by itself.
async fn closed_in_time(clock: &FrozenClock, talker: &mut Raw) -> Option<(u16, String)> {
    clock.pass_until(talker.closed()).await
}

/// A burst is not a flood: it is slowed down and arrives whole.
#[tokio::test]
async fn burst_beyond_the_rate_is_slowed_down_and_nothing_of_it_is_lost() {
    let server = start(limited).await;
    let mut listener = server.connect("/ws").await;
    let mut talker = server.connect("/ws").await;
    for number in 0..24 {
        talker.send(number.to_string()).await;
    }
    let lines = listener.lines(24).await;
    assert_eq!(lines, (0..24).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(server.closes(CloseReason::TooManyRequests), 0);
}

#[tokio::test]
async fn flood_is_closed_with_4013_after_a_second_of_back_pressure() {
    let server = start(limited).await;
    let clock = FrozenClock::new();
    let mut talker = server.raw("/ws").await;
    talker.send(&frame(0x81, b"x").repeat(1_000)).await;
    assert_eq!(closed_in_time(&clock, &mut talker).await, Some((4013, "too many requests".to_owned())));
    server.closed(CloseReason::TooManyRequests, 1).await;
    // 20 at once and 10 in the second of back-pressure; timers fire up to 1 ms late, which may allow one more.
    let publications = server.counts().publications;
    assert!((30..=31).contains(&publications), "{publications}");
}

/// Bytes count as well as messages.
#[tokio::test]
async fn flood_of_bytes_is_closed_with_4013() {
    let server = start(|config| {
        config.access.limits_exempt = Vec::new();
        config.sockets.message_bytes_rate_max = 10_000;
    })
    .await;
    let clock = FrozenClock::new();
    let mut talker = server.raw("/ws").await;
    talker.send(&frame(0x81, &[b'x'; 9_000]).repeat(6)).await;
    assert_eq!(closed_in_time(&clock, &mut talker).await, Some((4013, "too many requests".to_owned())));
}

/// docs/threats.md, row 10. A thousand pings are too many, also from an exempt address.
#[tokio::test]
async fn flood_of_pings_is_closed_with_4013_even_from_who_is_exempt() {
    let _clock = FrozenClock::new();
    for tweak in [limited, |_: &mut Config| {}] {
        let server: TestServer = start(tweak).await;
        let mut talker = server.raw("/ws").await;
        talker.send(&frame(0x89, b"").repeat(1_000)).await;
        assert_eq!(talker.closed().await, Some((4013, "too many requests".to_owned())));
    }
}

/// A load test on the machine itself measures the hub.
#[tokio::test]
async fn who_is_exempt_says_as_much_as_it_likes() {
    let server = start(|config| config.sockets.message_rate_max = 1).await;
    let mut listener = server.connect("/ws").await;
    let mut talker = server.connect("/ws").await;
    for number in 0..500 {
        talker.send(number.to_string()).await;
    }
    assert_eq!(listener.lines(500).await.len(), 500);
}
