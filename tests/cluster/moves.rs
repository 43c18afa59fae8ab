//! Clients that move to another hub: by a deploy, or because their hub is gone.

use crate::checker::Seen;
use crate::scene::Scene;
use crate::server::{get, within};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_killed_hub_recover_on_another_exactly_what_they_missed() {
    let mut scene = Scene::start_behind_haproxy(1, 4).await;
    scene.add_subscribers(40).await;
    scene.publish(&[1, 2], 100.0);
    sleep(Duration::from_secs(1)).await;
    scene.hubs.hubs[0].end(Signal::KILL).await;
    sleep(Duration::from_secs(2)).await;
    let verdict = scene.judge_without_gaps().await;
    assert!(verdict.recovered > 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_of_the_hubs_loses_nothing() {
    let mut scene = Scene::start_behind_haproxy(1, 4).await;
    scene.publish(&[0, 1, 2], 50.0);
    scene.restart_hubs(Duration::from_secs(1)).await;
    scene.judge_without_gaps().await;
}

/// A drain takes as long as balancers and clients need: a client that is not closed yet gets everything.
#[tokio::test(flavor = "multi_thread")]
async fn hub_that_drains_delivers_until_its_clients_leave() {
    let mut scene = Scene::start(1, 2, 1, "").await;
    let hub = &scene.hubs.hubs[0];
    hub.signal(Signal::TERM);
    within(async {
        while get(hub.addr, "/health/ready").await.status == 200 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    scene.publish_once(1, "c0", "meanwhile").await;
    let of_hub = &mut scene.subscribers[0];
    of_hub.has("meanwhile").await;
    let is_live = |one: &Seen| matches!(one, Seen::Publication { body, .. } if body == "meanwhile");
    assert!(of_hub.seen().iter().any(is_live), "{:?}", of_hub.seen());
    scene.hubs.hubs[0].end(Signal::TERM).await;
    scene.judge().await.check();
}
