//! Many clients: a deploy, an upgrade of NATS, and a hub that is gone, with thousands of connections.

use crate::scene::Scene;
use crate::server::within;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

/// All of them are on the first hub, since the others came later, and nobody knows before it is gone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes: tests/faults"]
async fn hub_with_5000_clients_is_killed_and_all_recover_what_they_missed() {
    let mut scene = Scene::start_behind_haproxy(3, 100).await;
    for hub in 1..3 {
        scene.hubs.hubs[hub].end(Signal::TERM).await;
    }
    scene.add_subscribers(5000 - scene.subscribers.len()).await;
    within(async { while scene.hubs.hubs[0].metric("throng_connections").await < 5000.0 {} }).await;
    for hub in 1..3 {
        scene.hubs.hubs[hub].start().await;
        scene.hubs.hubs[hub].ready().await;
    }
    scene.publish(&[1, 2, 1, 2, 1, 2, 1, 2, 1, 2], 50.0);
    sleep(Duration::from_secs(5)).await;
    scene.hubs.hubs[0].end(Signal::KILL).await;
    sleep(Duration::from_secs(15)).await;
    let verdict = scene.judge_without_gaps().await;
    assert!(verdict.recovered > 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes: tests/faults"]
async fn rolling_restart_of_nats_with_2000_clients() {
    let mut scene = Scene::start(3, 3, 50, "").await;
    scene.add_subscribers(2000 - scene.subscribers.len()).await;
    scene.publish(&[0, 1, 2], 50.0);
    for server in 0..3 {
        sleep(Duration::from_secs(3)).await;
        // As an upgrade does: a lame duck moves its clients and what it leads.
        scene.nats.servers[server].end(Signal::USR2).await;
        scene.nats.servers[server].start();
        scene.nats.servers[server].listening().await;
        // Until it has caught up: two of three have to have everything.
        sleep(Duration::from_secs(15)).await;
    }
    scene.judge_without_gaps().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes: tests/faults"]
async fn rolling_restart_of_the_hubs_with_2000_clients() {
    let mut scene = Scene::start_behind_haproxy(3, 50).await;
    scene.add_subscribers(2000 - scene.subscribers.len()).await;
    scene.publish(&[0, 1, 2], 50.0);
    scene.restart_hubs(Duration::from_secs(2)).await;
    scene.judge_without_gaps().await;
}
