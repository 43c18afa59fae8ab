//! Hubs whose clocks differ: one is an hour behind, and one an hour ahead.

use crate::hubs::Hub;
use crate::scene::Scene;
use crate::server::place::Place;
use crate::server::within;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

const HOUR: u64 = 3_600_000;

/// Histories are kept for an hour here: what one hub has just got would be too old for another one, if they compared
/// their clocks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn hubs_whose_clocks_differ_by_an_hour_lose_nothing_and_keep_what_they_should() {
    let hubs = [Place::here(), Place::with_clock(-3600), Place::with_clock(3600)];
    let mut scene = Scene::start_at(&[Place::here()], &hubs, 2, "").await;
    for hub in 0..3 {
        scene.publish_once(hub, "c0", &format!("of hub {hub}")).await;
    }
    clocks_differ(&scene).await;
    all_hubs_are_seen(&scene).await;
    scene.publish(&[0, 1, 2], 30.0);
    sleep(Duration::from_secs(2)).await;
    // Each of the hubs gets clients of another one, and has to fetch what they missed.
    scene.restart_hubs(Duration::from_secs(1)).await;
    scene.settle().await;
    histories_are_complete(&scene).await;
    all_hubs_are_seen(&scene).await;
    let verdict = scene.judge_without_gaps().await;
    assert!(verdict.recovered > 0, "{verdict}");
}

async fn history(hub: &Hub) -> Vec<Value> {
    let answer = hub.call("history", &json!({ "channel": "c0", "limit": 1000 })).await;
    answer["publications"].as_array().unwrap().clone()
}

/// Without that the test proves nothing. A publication has the time of the hub that it was published on.
async fn clocks_differ(scene: &Scene) {
    let times: Vec<_> = history(&scene.hubs.hubs[0]).await.iter().map(|one| one["time"].as_u64().unwrap()).collect();
    let [here, behind, ahead] = times[..] else { panic!("{times:?}") };
    let is_hour = |from: u64, to: u64| to.saturating_sub(from).abs_diff(HOUR) < HOUR / 2;
    assert!(is_hour(behind, here) && is_hour(here, ahead), "{times:?}");
}

/// Every publication of a channel is in the history of every hub.
async fn histories_are_complete(scene: &Scene) {
    let stored = scene.administrator().await.stored().await["c0"];
    for (index, hub) in scene.hubs.hubs.iter().enumerate() {
        assert_eq!(history(hub).await.len(), stored, "hub {index}");
    }
}

/// Every hub sees the others, and everybody who is there.
async fn all_hubs_are_seen(scene: &Scene) {
    let wanted = scene.subscribers.iter().filter(|subscriber| subscriber.channel() == "c0").count();
    for hub in &scene.hubs.hubs {
        within(async {
            while hub.admin("/admin/cluster").await["hubs"].as_array().unwrap().len() != 3 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let presence = hub.call("presence", &json!({ "channel": "c0" })).await;
        assert_eq!(presence["presence"].as_object().unwrap().len(), wanted, "{presence}");
    }
}
