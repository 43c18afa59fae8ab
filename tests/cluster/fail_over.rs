//! NATS servers that fail: publications resume, and everything that was acknowledged arrives.

use crate::scene::Scene;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

/// Publications that a hub fetched because nobody had announced them.
const FETCHED: &str = "throng_resync_messages_total";

/// The promise after a leader was killed: each of two followers waits 4 to 9 s, by chance, before it wants to be
/// elected.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Others had a wedge: after a fail-over publications were acknowledged, offsets grew, health was green, and
/// subscribers got nothing until a restart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_a_fail_over_is_delivered() {
    let mut scene = Scene::start(3, 3, 4, "").await;
    scene.publish(&[0, 1, 2], 100.0);
    sleep(Duration::from_secs(1)).await;
    let leader = scene.administrator().await.leader(&scene.nats, 0).await;
    scene.nats.servers[leader].kill().await;
    sleep(Duration::from_secs(10)).await;
    // Subscribers have everything without the server that is gone.
    scene.settle().await;
    scene.nats.servers[leader].start();
    scene.judge_without_gaps().await;
}

/// What was stored by a leader that was killed before it announced it: nothing else is published to the channel that
/// would reveal it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: tests/faults"]
async fn message_that_was_stored_and_never_announced_arrives_on_a_quiet_channel() {
    let mut fetched = 0.0;
    // Until it was hit, and a few more times.
    for round in 0..20 {
        if round >= 5 && fetched > 0.0 {
            break;
        }
        let mut scene = Scene::start(3, 3, 8, "").await;
        scene.publish(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 1000.0);
        sleep(Duration::from_millis(500)).await;
        let administrator = scene.administrator().await;
        let leader = administrator.leader(&scene.nats, 0).await;
        scene.nats.servers[leader].kill().await;
        // Publishers wait for their answers, and nobody else publishes.
        scene.quieten().await;
        let pause = scene.longest_pause;
        assert!(pause < RESUMES_WITHIN, "publications were not acknowledged for {pause:?}");
        let took = scene.is_complete(&administrator).await;
        println!("everything that is stored had arrived {took:?} after the last answer");
        assert!(took < Duration::from_secs(2), "{took:?}");
        for hub in &scene.hubs.hubs {
            fetched += hub.metric(FETCHED).await;
        }
        scene.judge().await.check();
    }
    assert!(fetched > 0.0, "no kill came between storing and announcing: the test proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn killed_follower_is_not_noticed() {
    let mut scene = Scene::start(3, 3, 4, "").await;
    scene.publish(&[0, 1, 2], 100.0);
    sleep(Duration::from_secs(1)).await;
    let administrator = scene.administrator().await;
    let leaders = [administrator.leader(&scene.nats, 0).await, administrator.leader(&scene.nats, 1).await];
    let follower = (0..3).find(|index| !leaders.contains(index)).unwrap();
    scene.nats.servers[follower].kill().await;
    sleep(Duration::from_secs(8)).await;
    scene.nats.servers[follower].start();
    sleep(Duration::from_secs(5)).await;
    scene.quieten().await;
    let pause = scene.longest_pause;
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.gaps == 0 && pause < RESUMES_WITHIN, "{pause:?}: {verdict}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn leader_that_steps_down_is_hardly_noticed() {
    let mut scene = Scene::start(3, 3, 4, "").await;
    scene.publish(&[0, 1, 2], 100.0);
    let administrator = scene.administrator().await;
    for round in 0..10 {
        sleep(Duration::from_secs(1)).await;
        administrator.step_down(round % 2).await;
    }
    scene.judge_without_gaps().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: tests/faults"]
async fn leader_that_stands_still_is_replaced() {
    let mut scene = Scene::start(3, 3, 4, "").await;
    scene.publish(&[0, 1, 2], 100.0);
    sleep(Duration::from_secs(1)).await;
    let leader = scene.administrator().await.leader(&scene.nats, 0).await;
    scene.nats.servers[leader].signal(Signal::STOP);
    sleep(Duration::from_secs(15)).await;
    scene.nats.servers[leader].signal(Signal::CONT);
    sleep(Duration::from_secs(5)).await;
    scene.judge_without_gaps().await;
}
