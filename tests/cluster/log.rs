//! Trouble with the log itself: deleted, purged, forgotten, without a quorum, or faster than a hub follows.

use crate::administrator::stream;
use crate::scene::Scene;
use crate::subscriber::Kind;
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// A hub whose client library drops what waits notices every hole, and fetches what is missing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn what_a_hub_is_too_slow_for_is_fetched() {
    let mut scene = Scene::start(1, 2, 2, "follow_capacity = 16").await;
    for channel in scene.channels.clone() {
        for _ in 0..100 {
            scene.subscribe(Kind::Sdk, 0, &channel).await;
        }
    }
    // More than it holds, and less than a stream keeps, in the time for which it stands still.
    scene.publish(&[1; 20], 30.0);
    for _ in 0..5 {
        sleep(Duration::from_secs(1)).await;
        scene.hubs.hubs[0].signal(Signal::STOP);
        sleep(Duration::from_millis(500)).await;
        scene.hubs.hubs[0].signal(Signal::CONT);
    }
    scene.settle().await;
    let fetched = scene.hubs.hubs[0].metric("throng_resync_messages_total").await;
    assert!(fetched > 0.0, "nothing was dropped: the test proves nothing");
    scene.judge_without_gaps().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn hub_that_stands_still_catches_up() {
    let mut scene = Scene::start(3, 3, 4, "").await;
    scene.publish(&[1, 2], 100.0);
    sleep(Duration::from_secs(1)).await;
    scene.hubs.hubs[0].signal(Signal::STOP);
    sleep(Duration::from_secs(5)).await;
    scene.hubs.hubs[0].signal(Signal::CONT);
    sleep(Duration::from_secs(2)).await;
    scene.judge_without_gaps().await;
}

/// What was in a stream that was deleted is gone: everybody is told, and nobody mistakes a new offset for an old one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn stream_that_is_deleted_and_made_anew_is_a_gap_that_everybody_is_told_of() {
    let mut scene = Scene::start(1, 2, 4, "").await;
    scene.add_channels("skip:", 2).await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(2)).await;
    let administrator = scene.administrator().await;
    for partition in 0..2 {
        let answer = administrator.ask(&format!("STREAM.DELETE.{}", stream(partition)), &json!({})).await;
        assert_eq!(answer["success"], json!(true), "{answer}");
    }
    sleep(Duration::from_secs(2)).await;
    let created = scene.hubs.cluster("init").await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    scene.quieten().await;
    for hub in 0..2 {
        scene.hubs.hubs[hub].ready().await;
    }
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(3)).await;
    let subscribers = scene.subscribers.len();
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.gaps >= subscribers, "{verdict}");
}

/// No connection is lost, and the announcements look like old ones: their numbers are low.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten seconds: tests/faults"]
async fn log_that_begins_anew_under_its_epoch_is_a_gap_that_everybody_is_told_of() {
    let mut scene = Scene::start(1, 2, 4, "").await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(3)).await;
    let administrator = scene.administrator().await;
    for partition in 0..2 {
        administrator.make_anew(partition).await;
    }
    // Less than they had before, so that every number is one that the hubs know.
    sleep(Duration::from_secs(2)).await;
    let subscribers = scene.subscribers.len();
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.gaps >= subscribers, "{verdict}");
}

/// A stream denies what would be a gap that no hub can see.
#[tokio::test(flavor = "multi_thread")]
async fn administrator_cannot_purge_a_stream_by_mistake() {
    let mut scene = Scene::start(1, 2, 4, "").await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(1)).await;
    let administrator = scene.administrator().await;
    for partition in 0..2 {
        let answer = administrator.ask(&format!("STREAM.PURGE.{}", stream(partition)), &json!({})).await;
        assert!(answer["error"].is_object(), "{answer}");
    }
    scene.judge_without_gaps().await;
}

/// All servers at once lose what is only in memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn streams_that_all_servers_have_forgotten_are_a_gap_that_everybody_is_told_of() {
    let mut scene = Scene::start(3, 2, 4, "").await;
    scene.add_channels("skip:", 2).await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(2)).await;
    scene.nats.kill_and_start_all().await;
    sleep(Duration::from_secs(10)).await;
    // Streams in memory come back empty, or have to be made again.
    let created = scene.hubs.cluster("init").await;
    println!("init: {}", String::from_utf8_lossy(&created.stdout));
    scene.quieten().await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(5)).await;
    let subscribers = scene.subscribers.len();
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.gaps >= subscribers, "{verdict}");
}

/// Without a quorum nothing is stored, so nothing is acknowledged; subscribers stay.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: tests/faults"]
async fn quorum_that_is_lost_and_comes_back_costs_no_subscriber_anything() {
    let mut scene = Scene::start(3, 2, 4, "").await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(2)).await;
    for server in 0..2 {
        scene.nats.servers[server].signal(Signal::STOP);
    }
    sleep(Duration::from_secs(30)).await;
    for server in 0..2 {
        scene.nats.servers[server].signal(Signal::CONT);
    }
    sleep(Duration::from_secs(10)).await;
    scene.judge_without_gaps().await;
}
