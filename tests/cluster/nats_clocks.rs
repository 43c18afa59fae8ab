//! NATS servers whose clocks differ: one is an hour ahead, and one an hour behind; or one clock that is set right.

use crate::administrator::{Administrator, PARTITIONS, stream};
use crate::checker::Seen;
use crate::nats::NatsServer;
use crate::scene::Scene;
use crate::server::place::Place;
use crate::server::within;
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const HOUR: i32 = 3600;

/// The servers of a scene by their clocks.
const RIGHT: usize = 0;
const AHEAD: usize = 1;
const BEHIND: usize = 2;

/// Streams keep everything for a minute, so an hour makes a difference.
const SHORT: &str = "history_age = \"1m\"\nduplicate_window = \"30s\"";

/// Publications that the server ahead has forgotten, and the others have not, before clients return for them.
const FORGOTTEN: u64 = 50;

/// A client that returns for what one server has forgotten too early gets it from the others, or is told. A log whose
/// times go back, because another server began to lead, is the same log.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: tests/faults"]
async fn nats_servers_whose_clocks_differ_by_an_hour_lose_nothing_that_nobody_is_told_of() {
    let servers = [Place::here(), Place::with_clock(HOUR), Place::with_clock(-HOUR)];
    let mut scene = Scene::start_at(&servers, &vec![Place::here(); 3], 2, SHORT).await;
    let administrator = scene.administrator().await;
    lead(&scene, &administrator, RIGHT).await;
    clocks_differ(&scene).await;
    scene.publish(&[0, 1, 2], 10.0);
    has_forgotten(&scene).await;
    restart_hubs_and_return(&mut scene, &administrator).await;
    for leader in [AHEAD, RIGHT, BEHIND, RIGHT] {
        lead(&scene, &administrator, leader).await;
        stamps(&scene, &administrator, leader).await;
        // The hubs that were connected to it have to look at the streams again.
        let follower = &mut scene.nats.servers[(leader + 1) % 3];
        follower.end(Signal::TERM).await;
        follower.start();
        follower.healthy().await;
        restart_hubs_and_return(&mut scene, &administrator).await;
    }
    logs_are_the_same(&scene);
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.recovered > 0, "{verdict}");
}

/// A clock that was an hour ahead is set right: what is stored from then on is older than what was stored before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten seconds: tests/faults"]
async fn clock_of_a_nats_server_that_is_set_back_makes_no_other_log() {
    let mut scene = Scene::start_at(&[Place::with_clock(HOUR)], &vec![Place::here(); 2], 2, "").await;
    scene.publish(&[0, 1], 50.0);
    assert_ahead(&scene.nats.servers[0], HOUR).await;
    sleep(Duration::from_secs(1)).await;
    scene.nats.servers[0].set_clock(0);
    assert_ahead(&scene.nats.servers[0], 0).await;
    sleep(Duration::from_secs(1)).await;
    // It says nothing for longer than three beacons take, so the hubs look at the streams.
    scene.nats.servers[0].signal(Signal::STOP);
    sleep(Duration::from_secs(5)).await;
    scene.nats.servers[0].signal(Signal::CONT);
    sleep(Duration::from_secs(2)).await;
    logs_are_the_same(&scene);
    scene.judge_without_gaps().await;
}

/// Without a lost connection, and with times that say nothing: only the numbers show that the log is another one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten seconds: tests/faults"]
async fn log_that_begins_anew_with_earlier_times_is_a_gap_that_everybody_is_told_of() {
    let mut scene = Scene::start_at(&[Place::with_clock(HOUR)], &vec![Place::here(); 2], 2, "").await;
    scene.publish(&[0, 1], 100.0);
    assert_ahead(&scene.nats.servers[0], HOUR).await;
    sleep(Duration::from_secs(5)).await;
    scene.quieten().await;
    scene.nats.servers[0].set_clock(0);
    assert_ahead(&scene.nats.servers[0], 0).await;
    let administrator = scene.administrator().await;
    for partition in 0..PARTITIONS {
        administrator.make_anew(partition).await;
    }
    // So few that it would take minutes until the numbers are higher than those that the hubs know.
    scene.publish(&[0], 1.0);
    // What comes before a client goes on does not come to it.
    for subscriber in &mut scene.subscribers {
        let is_gap = |one: &Seen| matches!(one, Seen::Gap);
        subscriber.until(|seen| seen.iter().any(is_gap) && !seen.last().is_some_and(is_gap)).await;
    }
    let subscribers = scene.subscribers.len();
    let verdict = scene.judge().await;
    verdict.check();
    assert!(verdict.gaps >= subscribers, "{verdict}");
}

async fn lead(scene: &Scene, administrator: &Administrator, server: usize) {
    for partition in 0..PARTITIONS {
        within(administrator.let_lead(&scene.nats, server, partition)).await;
    }
}

/// Without that the test proves nothing.
async fn clocks_differ(scene: &Scene) {
    for (server, seconds) in [(RIGHT, 0), (AHEAD, HOUR), (BEHIND, -HOUR)] {
        assert_ahead(&scene.nats.servers[server], seconds).await;
    }
}

async fn assert_ahead(server: &NatsServer, seconds: i32) {
    let says = server.monitor("/varz").await["now"].clone();
    assert_hour(&says, seconds, &server.name);
}

#[track_caller]
fn assert_hour(says: &Value, seconds: i32, who: &str) {
    let says = humantime::parse_rfc3339(says.as_str().unwrap()).unwrap();
    let since = |time: SystemTime| i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    let ahead = since(says).unwrap() - since(SystemTime::now()).unwrap();
    assert!((ahead - i64::from(seconds)).abs() < 1800, "the clock of {who} is {ahead} s ahead");
}

/// What is published has the time of the server that leads.
async fn stamps(scene: &Scene, administrator: &Administrator, leader: usize) {
    for partition in 0..PARTITIONS {
        let last = administrator.stream(partition).await["state"]["last_seq"].as_u64().unwrap();
        let state = within(async {
            loop {
                let state = administrator.stream(partition).await["state"].clone();
                if state["last_seq"].as_u64().unwrap() > last {
                    return state;
                }
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_hour(&state["last_ts"], [0, HOUR, -HOUR][leader], &scene.nats.servers[leader].name);
    }
}

/// Waits until the server that is ahead has forgotten what the others have.
async fn has_forgotten(scene: &Scene) {
    within(async {
        for partition in 0..PARTITIONS {
            while first(scene, AHEAD, partition).await < first(scene, RIGHT, partition).await + 2 * FORGOTTEN {
                sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
}

/// Returns the number of the first message that a server has of a stream.
async fn first(scene: &Scene, server: usize, partition: usize) -> u64 {
    let says = scene.nats.servers[server].monitor("/jsz?streams=true").await;
    let streams = says["account_details"][0]["stream_detail"].as_array().unwrap();
    let ours = streams.iter().find(|one| one["name"] == stream(partition)).unwrap();
    ours["state"]["first_seq"].as_u64().unwrap()
}

/// Restarts the hubs one by one, and lets a client of each channel come to each that was away for so long that the
/// server ahead has forgotten a part of what it missed.
async fn restart_hubs_and_return(scene: &mut Scene, administrator: &Administrator) {
    for hub in 0..scene.hubs.hubs.len() {
        let restarted = &mut scene.hubs.hubs[hub];
        restarted.end(Signal::TERM).await;
        restarted.start().await;
        restarted.ready().await;
        for channel in scene.channels.clone() {
            let forgotten = first(scene, AHEAD, administrator.partition_of(&channel).await).await;
            let position = (epoch(scene, &channel), forgotten.saturating_sub(FORGOTTEN));
            scene.return_from(position, hub, &channel).await;
        }
    }
}

/// Returns the epoch that the subscribers of a channel know.
fn epoch(scene: &Scene, channel: &str) -> String {
    let seen = scene.subscribers.iter().filter(|one| one.channel() == channel).flat_map(|one| one.seen());
    let mut epochs = seen.filter_map(|one| if let Seen::Start { epoch, .. } = one { Some(epoch) } else { None });
    epochs.next_back().unwrap()
}

/// No hub took its log for another one, also before it was restarted.
fn logs_are_the_same(scene: &Scene) {
    for hub in &scene.hubs.hubs {
        let renewed: Vec<_> = hub.warnings().into_iter().filter(|line| line.contains("was made anew")).collect();
        assert!(renewed.is_empty(), "{renewed:#?}");
    }
}
