//! One order per channel, whatever hub it is published on and read from.

use crate::scene::Scene;
use std::time::Duration;
use tokio::time::sleep;

/// How long publishers publish here: long enough that all of them are in each other's way.
const UNDER_LOAD: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn publishers_on_every_hub_make_one_order_for_subscribers_of_every_hub() {
    let mut scene = Scene::start(1, 3, 4, "").await;
    scene.publish(&[0, 1, 2, 0, 1, 2], 200.0);
    sleep(UNDER_LOAD).await;
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.acknowledged > 100 && verdict.gaps == 0, "{verdict}");
}
