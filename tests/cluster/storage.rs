//! Streams in files: what all servers lose at once with streams in memory is there again.

use crate::checker::Seen;
use crate::hubs::Hubs;
use crate::nats::Nats;
use crate::scene::Scene;
use crate::server::place::Place;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn servers_that_are_all_killed_lose_nothing_that_is_in_files() {
    let mut scene = Scene::start(3, 2, 4, "storage = \"file\"").await;
    scene.publish(&[0, 1], 50.0);
    sleep(Duration::from_secs(2)).await;
    scene.nats.kill_and_start_all().await;
    for server in &scene.nats.servers {
        server.healthy().await;
    }
    // The publishers went on, and nobody has made streams anew.
    scene.settle().await;
    for subscriber in &scene.subscribers {
        let starts = subscriber.seen().iter().filter(|one| matches!(one, Seen::Start { .. } | Seen::Here)).count();
        assert_eq!(starts, 1, "a subscriber of {} did not stay", subscriber.channel());
    }
    // Clients recover what was stored before and after, from hubs that have to fetch it.
    scene.publish(&[0, 1], 50.0);
    scene.restart_hubs(Duration::from_secs(1)).await;
    let verdict = scene.judge_without_gaps().await;
    assert!(verdict.recovered > 0, "{verdict}");
}

/// Streams do not change where they are stored, so a hub with the other setting does not start, and this says why.
#[tokio::test(flavor = "multi_thread")]
async fn check_says_that_the_streams_are_stored_elsewhere() {
    let nats = Nats::start_at(&[Place::here()]).await;
    let of_files = Hubs::configure(&[Place::here()], &nats, "storage = \"file\"");
    let created = of_files.cluster("init").await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    assert!(of_files.cluster("check").await.status.success());
    let of_memory = Hubs::configure(&[Place::here()], &nats, "storage = \"memory\"");
    let checked = of_memory.cluster("check").await;
    let text = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(!checked.status.success(), "{text}");
    assert!(text.contains("storage is file, and --storage is memory; set the setting to file"), "{text}");
}
