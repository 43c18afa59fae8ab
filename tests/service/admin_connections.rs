//! The questions of an operator with a slow hub: which connections are slow, and which channels are busy.

use crate::server;
use crate::server::{KEY, Raw, TestServer, ask, start, stream_with_buffer, within};
use std::time::Instant;
use throng::config::Config;

fn open(config: &mut Config) {
    config.access.admin_keys = vec![KEY.parse().expect("it is long enough")];
    // Small, so that a client that does not read soon takes nothing.
    config.sockets.send_buffer_bytes = 4096;
    config.limits.outbox_bytes_max = 1 << 24;
}

async fn connections(server: &TestServer, query: &str) -> Vec<serde_json::Value> {
    let (status, answer) = ask(server, "GET", &format!("/admin/connections{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["connections"].as_array().expect("it is a list").clone()
}

/// The first question: which client is slow, by how much, and is it the client or the network?
#[tokio::test]
async fn slowest_connection_comes_first_with_what_waits_for_it_and_why() {
    let server = start(|config| {
        open(config);
        config.shards = Some(2);
    })
    .await;
    let mut sender = server.connect("/ws?channel=busy").await;
    let _idle = server.connect("/ws?channel=quiet").await;
    let since = Instant::now();
    let slow = stream_with_buffer(server.addr, 4096).await;
    let addr = slow.local_addr().expect("it is connected").ip().to_string();
    let _slow = Raw::over(slow, "/ws?channel=busy", &[]).await;
    while server.counts().parked == 0 {
        sender.send("x".repeat(50_000)).await;
        sender.line().await;
    }
    // More of the same waits for it alone.
    sender.send("y".repeat(50_000)).await;
    sender.line().await;
    sender.round_trip().await;

    let listed = connections(&server, "?sort=lag&limit=2").await;
    let age = since.elapsed().as_secs_f64();
    assert_eq!(listed.len(), 2, "of three");
    let (slow, next) = (&listed[0], &listed[1]);
    assert!(slow["lag_bytes"].as_u64() >= Some(50_001) && slow["lag_publications"].as_u64() >= Some(1), "{slow}");
    assert!(slow["queued_bytes"].as_u64() >= slow["lag_bytes"].as_u64(), "the rest of a frame counts too");
    assert!(slow["stalled_seconds"].as_f64().is_some_and(|seconds| seconds <= age), "{slow}");
    assert!(slow["unsent_bytes"].as_u64() > Some(0), "the client does not read: {slow}");
    assert_eq!((&slow["client"], &slow["state"]), (&addr.into(), &"open".into()));
    assert_eq!((&slow["channels"], &slow["channels_total"]), (&serde_json::json!(["busy"]), &1.into()));
    assert!(slow["round_trip_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds <= age), "{slow}");
    assert_eq!((&next["queued_bytes"], &next["stalled_seconds"]), (&0.into(), &serde_json::Value::Null));

    let stalled = connections(&server, "?sort=stalled&limit=1").await;
    assert_eq!(stalled[0]["id"], slow["id"]);
    let shard = slow["shard"].as_u64().expect("it is a number");
    let elsewhere = connections(&server, &format!("?shard={}", 1 - shard)).await;
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|one| one["shard"].as_u64() == Some(1 - shard)));
}

/// What is asked wrongly must not be answered with something else.
#[tokio::test]
async fn parameter_that_means_nothing_is_refused_with_the_rule() {
    let server = start(open).await;
    for (path, said) in [
        ("connections?sort=size", "sort=\"size\" is not one of lag, stalled, age"),
        ("connections?limit=101", "limit=\"101\" is not a number from 1 to 100"),
        ("connections?limit=0", "is not a number from 1 to 100"),
        ("connections?shard=1", "shard=\"1\" is not a number from 0 to 0"),
        ("connections?order=lag", "\"order\" is not a parameter of this path; its parameters are sort, limit, shard"),
        ("channels?sort=name", "sort=\"name\" is not one of subscribers, publications, rate"),
        ("channels?over=soon", "over=\"soon\" is not a time"),
    ] {
        let (status, answer) = ask(&server, "GET", &format!("/admin/{path}")).await;
        let error = answer["error"].as_str().expect("it says why");
        assert!(status == 400 && error.contains(said), "{path}: {status} {error}");
    }
    assert_eq!(ask(&server, "DELETE", "/admin/connections").await.0, 405);
    assert_eq!(server::get(server.addr, "/admin/connections").await.status, 401, "without a key");
}

/// The largest channel and the busiest one are rarely the same.
#[tokio::test]
async fn channels_are_listed_by_size_by_publications_and_by_rate() {
    let server = start(|config| {
        open(config);
        config.shards = Some(2);
    })
    .await;
    let mut large = Vec::new();
    for _ in 0..3 {
        large.push(server.connect("/ws?channel=large").await);
    }
    let mut busy = server.connect("/ws?channel=busy").await;
    for number in 0..9 {
        busy.send(number.to_string()).await;
        busy.line().await;
    }
    let first = async |query: &str| {
        let (status, answer) = ask(&server, "GET", &format!("/admin/channels?limit=1&{query}")).await;
        assert_eq!((status, &answer["channels_total"]), (200, &2.into()), "{answer}");
        answer["channels"][0].clone()
    };
    let by_size = first("sort=subscribers").await;
    assert_eq!((&by_size["channel"], &by_size["subscribers"]), (&"large".into(), &3.into()));
    let by_number = first("sort=publications").await;
    assert_eq!((&by_number["channel"], &by_number["publications"]), (&"busy".into(), &9.into()));
    let talk = async {
        loop {
            large[0].send("now").await;
            large[0].line().await;
        }
    };
    // A machine that is busy elsewhere may let no line through in one such time, but not in all of them.
    let by_rate = async {
        loop {
            let row = first("sort=rate&over=200ms").await;
            if row["publications_per_second"].as_f64() > Some(0.0) {
                return row;
            }
        }
    };
    let by_rate = tokio::select! {
        row = within(by_rate) => row,
        () = talk => unreachable!("it talks on"),
    };
    assert_eq!(by_rate["channel"], "large");
}
