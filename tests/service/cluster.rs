//! Hubs of a cluster, with a real NATS server: one order, one history, one recovery; what `throng cluster` says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::api::{call, result, with};
use crate::server::centrifuge::Centrifuge;
use crate::server::nats::NatsServer;
use crate::server::{TestServer, get, within};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Times that something was fetched because an announcement showed that it was missing.
const RESYNCS: &str = "resyncs_total{reason=\"announcement\"}";

async fn hub(nats: &NatsServer) -> TestServer {
    hub_with(nats, |_| {}).await
}

pub(crate) async fn hub_with(nats: &NatsServer, tweak: impl FnOnce(&mut throng::config::Config)) -> TestServer {
    let hub = with(|config| {
        nats.join(config, "one of them");
        tweak(config);
    })
    .await;
    within(async { while get(hub.addr, "/health/ready").await.body != "ready\n" {} }).await;
    hub
}

/// Runs a command, and returns its exit code, and what it printed.
async fn command(arguments: &[&str]) -> (i32, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_throng")).args(arguments).output();
    let output = within(run).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

async fn cluster(nats: &NatsServer, action: &str, more: &[&str]) -> (i32, String) {
    let arguments = nats.arguments("one");
    command(&[&["cluster", action], &arguments[..], more].concat()).await
}

async fn metric(hub: &TestServer, name: &str) -> u64 {
    let page = get(hub.addr, "/metrics").await.body;
    let prefix = format!("throng_{name} ");
    page.lines().find_map(|line| line.strip_prefix(&*prefix)).unwrap().parse().unwrap()
}

/// Both steps of a beginner, and every mistake that he can make between them.
#[tokio::test]
async fn init_makes_the_streams_and_check_says_what_differs() {
    let nats = NatsServer::without_streams().await;
    let (code, text) = cluster(&nats, "check", &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("THRONG_main_0, THRONG_main_1 are missing; run throng cluster init"), "{text}");
    let (code, text) = cluster(&nats, "init", &[]).await;
    assert_eq!((code, text.lines().count()), (0, 3), "{text}");
    assert!(text.ends_with("cluster main: hubs can use it; 2 streams in memory, 1 copy each\n"), "{text}");
    for action in ["init", "check"] {
        let (code, text) = cluster(&nats, action, &[]).await;
        assert_eq!((code, text.lines().count()), (0, 1), "nothing is made twice: {text}");
    }
    for (more, expected) in [
        (
            ["--history-age", "2h"],
            "max_age is 1day, and --history-age is 2h; set the setting to 1day, or edit the stream",
        ),
        (["--storage", "file"], "storage is memory, and --storage is file; set the setting to memory, or remove"),
        (["--history-messages-max", "60"], "max_msgs_per_subject is 1000, and --history-messages-max is 60"),
        (["--duplicate-window", "1m"], "duplicate_window is 2m, and --duplicate-window is 1m"),
    ] {
        for action in ["init", "check"] {
            let (code, text) = cluster(&nats, action, &more).await;
            assert_eq!(code, 2, "{text}");
            assert!(
                text.starts_with("THRONG_main_0 to THRONG_main_1 (2 streams): ") && text.contains(expected),
                "{text}"
            );
        }
    }
    let arguments = nats.arguments("one").map(|argument| if argument == "2" { "3" } else { argument });
    let (code, text) = command(&[&["cluster", "check"], &arguments[..]].concat()).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("made for another number of partitions (2), and --partitions is 3"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_used_is_said_with_what_to_do() {
    let nats = NatsServer::without_streams().await;
    let arguments = nats.arguments("one").map(|argument| if argument == "1" { "3" } else { argument });
    let (code, text) = command(&[&["cluster", "init", "--prefix", "other"], &arguments[..]].concat()).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("THRONG_other_0 was not made: ") && text.contains("no stream is left"), "{text}");

    let (_child, url) = NatsServer::without_jetstream().await;
    let (code, text) = command(&["cluster", "check", "--engine", "nats", "--nats-servers", &url]).await;
    assert_eq!(
        (code, &*text),
        (2, "JetStream is off on the NATS server; start it with -js, or with jetstream {} in its configuration\n")
    );

    let (code, text) = command(&["cluster", "check", "--engine", "nats", "--nats-servers", "nats://127.0.0.1:1"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("throng: NATS cannot be reached: "), "{text}");
    assert!(text.ends_with("; --nats-servers is nats://127.0.0.1:1: start one of them, or name others\n"), "{text}");
    let (code, text) = command(&["cluster", "check"]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("set engine = \"nats\" in [cluster]"), "{text}");
}

/// A hub that guessed would be a service of its own.
#[tokio::test]
async fn hub_does_not_start_without_its_streams() {
    let nats = NatsServer::without_streams().await;
    let (code, text) = command(&[&["--addr", "127.0.0.1:0"], &nats.arguments("one")[..]].concat()).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("THRONG_main_0, THRONG_main_1 are missing; run throng cluster init"), "{text}");
    assert!(text.contains(" listens, and /health/ready says when its cluster is ready: open "), "{text}");
}

/// Whoever publishes on whichever hub, all subscribers see the same.
#[tokio::test]
async fn two_hubs_have_one_order_and_one_history() {
    let nats = NatsServer::start().await;
    let (one, two) = (hub(&nats).await, hub(&nats).await);
    let (mut here, mut there) = (one.connect("/ws?channel=a").await, two.connect("/ws?channel=a").await);
    for number in 0..20 {
        here.send(format!("here {number}")).await;
        there.send(format!("there {number}")).await;
    }
    let (seen_here, seen_there) = (here.lines(40).await, there.lines(40).await);
    assert_eq!(seen_here, seen_there);
    for author in ["here", "there"] {
        let own: Vec<_> = seen_here.iter().filter(|line| line.starts_with(author)).cloned().collect();
        assert_eq!(own, (0..20).map(|number| format!("{author} {number}")).collect::<Vec<_>>());
    }
    let read = json!({ "channel": "a", "limit": -1 });
    let published = |answer: &Value| answer["publications"].clone();
    let (first, second) = (result(&one, "history", read.clone()).await, result(&two, "history", read).await);
    assert_eq!(published(&first).as_array().unwrap().len(), 40);
    assert_eq!(published(&first), published(&second));
    assert_eq!(metric(&one, "gaps_declared_total").await, 0);
}

/// A deploy moves clients to hubs that had nothing of their channels.
#[tokio::test]
async fn client_that_moves_to_another_hub_gets_what_it_missed() {
    let nats = NatsServer::start().await;
    let one = hub(&nats).await;
    let mut before = Centrifuge::open(&one).await;
    before.call(json!({ "connect": {} })).await;
    let subscribe = json!({ "subscribe": { "channel": "a", "positioned": true, "recoverable": true } });
    let start = before.call(subscribe).await["subscribe"].clone();
    assert_eq!(start["recoverable"], true, "{start}");
    let first = result(&one, "publish", json!({ "channel": "a", "data": "seen" })).await;
    let (name, _) = before.publication().await;
    assert_eq!(name, "a");
    let kept = result(&one, "history", json!({ "channel": "a", "limit": -1 })).await;
    assert_eq!(kept["publications"][0]["offset"], first["offset"], "what is acknowledged is what is delivered");
    assert_eq!(kept["epoch"], first["epoch"]);
    drop(before);
    for number in 0..3 {
        result(&one, "publish", json!({ "channel": "a", "data": format!("missed {number}") })).await;
        result(&one, "publish", json!({ "channel": "b", "data": "of another channel" })).await;
    }
    let two = hub(&nats).await;
    let recover = json!({ "channel": "a", "recover": true, "offset": first["offset"], "epoch": start["epoch"] });
    let mut after = Centrifuge::open(&two).await;
    after.call(json!({ "connect": {} })).await;
    let recovered = after.call(json!({ "subscribe": recover })).await["subscribe"].clone();
    let data: Vec<_> = recovered["publications"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!(data, ["missed 0", "missed 1", "missed 2"], "{recovered}");
    assert_eq!(recovered["recovered"], true, "{recovered}");
    // A position of a log that there is not is no position.
    let unknown = json!({ "channel": "b", "recover": true, "offset": 1, "epoch": "00000000000000aa" });
    let refused = after.call(json!({ "subscribe": unknown })).await["subscribe"].clone();
    assert_ne!(refused["recovered"], true, "{refused}");
}

/// A history is fetched where a hub has not kept it, and forgotten everywhere when a backend says so.
#[tokio::test]
async fn history_is_the_same_on_a_hub_that_begins_later_and_removed_on_all() {
    let nats = NatsServer::start().await;
    let one = hub(&nats).await;
    for number in 0..5 {
        result(&one, "publish", json!({ "channel": "a", "data": number })).await;
    }
    // It fetches the last two messages of a partition only, so it has to ask for what is before them.
    let two = hub_with(&nats, |config| config.cluster.resync_messages_max = 2).await;
    let read = json!({ "channel": "a", "limit": -1 });
    let numbers = |answer: Value| -> Vec<u64> {
        answer["publications"].as_array().unwrap().iter().map(|one| one["data"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(result(&two, "history", read.clone()).await), [0, 1, 2, 3, 4]);
    result(&two, "history_remove", json!({ "channel": "a" })).await;
    result(&one, "publish", json!({ "channel": "a", "data": 7 })).await;
    for hub in [&one, &two] {
        within(async { while numbers(result(hub, "history", read.clone()).await) != [7] {} }).await;
    }
    let three = hub_with(&nats, |config| config.cluster.resync_messages_max = 1).await;
    assert_eq!(numbers(result(&three, "history", read).await), [7]);
}

/// A hub that is slower than NATS loses announcements, and must not lose publications.
#[tokio::test]
async fn what_the_client_library_drops_is_fetched() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| config.cluster.follow_capacity = 1).await;
    let mut client = hub.connect("/ws?channel=c0").await;
    let channels: Vec<_> = (0..200).map(|number| format!("c{number}")).collect();
    let mut rounds = 0;
    within(async {
        while metric(&hub, "follow_dropped").await == 0 || metric(&hub, RESYNCS).await == 0 {
            let answer = result(&hub, "broadcast", json!({ "channels": channels, "data": rounds.to_string() })).await;
            assert!(answer["responses"].as_array().unwrap().iter().all(|one| one["result"].is_object()), "{answer}");
            rounds += 1;
        }
    })
    .await;
    let expected: Vec<_> = (0..rounds).map(|round| round.to_string()).collect();
    assert_eq!(client.lines(rounds).await, expected);
    for channel in channels {
        let kept = || result(&hub, "history", json!({ "channel": channel, "limit": -1 }));
        within(async { while kept().await["publications"].as_array().unwrap().len() != rounds.min(50) {} }).await;
    }
    assert_eq!(metric(&hub, "gaps_declared_total").await, 0);
}

/// What is not acknowledged was not published: a backend is told so, and a chat client is closed.
#[tokio::test]
async fn publications_are_refused_while_nats_is_gone() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| {
        config.cluster.publish_ack_timeout = Duration::from_secs(1);
        config.cluster.beacon_interval = Duration::from_millis(100);
    })
    .await;
    let mut client = hub.connect("/ws?channel=a").await;
    client.round_trip().await;
    assert_eq!(metric(&hub, "broker_up").await, 1);
    drop(nats);
    let (status, answer) = call(&hub, "publish", json!({ "channel": "a", "data": 1 })).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!(108)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().starts_with("not published: channel a: "), "{answer}");
    client.send("nobody gets this").await;
    assert_eq!(client.closed().await, Some((1013, "not published".to_owned())));
    let mut sdk = Centrifuge::connect(&hub).await;
    let error = sdk.error(json!({ "publish": { "channel": "a", "data": "nobody gets this" } })).await;
    assert_eq!(error, 108, "not available, for an SDK client");
    assert_eq!(metric(&hub, "publish_refused_total{reason=\"timeout\"}").await, 3);
    within(async { while metric(&hub, "broker_up").await != 0 {} }).await;
    assert_eq!(get(hub.addr, "/health/ready").await.body, "ready\n", "--on-stale keep");
}

/// A hub that starts before NATS, as in a machine that boots, waits for it.
#[tokio::test]
async fn hub_whose_nats_cannot_be_reached_tries_until_it_can() {
    let nats = NatsServer::start().await;
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", door.local_addr().unwrap());
    let (is_open, turned_away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let inside = nats.url.strip_prefix("nats://").unwrap().to_owned();
    let (opens, count) = (Arc::clone(&is_open), Arc::clone(&turned_away));
    tokio::spawn(async move {
        while let Ok((mut outer, _)) = door.accept().await {
            if opens.load(Ordering::SeqCst) {
                let mut inner = TcpStream::connect(&inside).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut outer, &mut inner).await });
            } else {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let hub = with(|config| {
        nats.join(config, "one of them");
        config.cluster.nats_servers = vec![url.parse().unwrap()];
    })
    .await;
    // Two connections, each of which is tried more than once.
    within(async {
        while turned_away.load(Ordering::SeqCst) < 6 {
            get(hub.addr, "/health/live").await;
        }
    })
    .await;
    let ready = get(hub.addr, "/health/ready").await;
    assert_eq!((ready.status, &*ready.body), (503, "not part of the cluster yet\n"));
    let (status, answer) = call(&hub, "publish", json!({ "channel": "a", "data": 1 })).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!(108)), "{answer}");
    is_open.store(true, Ordering::SeqCst);
    within(async { while get(hub.addr, "/health/ready").await.body != "ready\n" {} }).await;
    result(&hub, "publish", json!({ "channel": "a", "data": 1 })).await;
}

/// Otherwise clients would wait for publications that go elsewhere.
#[tokio::test]
async fn hub_that_is_cut_off_sends_its_clients_away_if_it_is_told_to() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| {
        config.cluster.on_stale = throng::config::OnStale::Close;
        config.cluster.beacon_interval = Duration::from_millis(100);
        // A busy machine may give NATS no core for a while.
        config.cluster.stale_after = Duration::from_secs(6);
    })
    .await;
    let mut client = hub.connect("/ws?channel=a").await;
    client.round_trip().await;
    drop(nats);
    assert_eq!(client.closed().await, Some((1013, "cut off from the cluster".to_owned())));
    let ready = get(hub.addr, "/health/ready").await;
    assert_eq!((ready.status, &*ready.body), (503, "cut off from the cluster\n"));
}

/// A position of the streams before could mean another publication in the new ones.
#[tokio::test]
async fn subscribers_are_told_when_the_streams_are_made_anew() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| config.cluster.beacon_interval = Duration::from_millis(100)).await;
    let mut client = hub.connect("/ws?channel=a").await;
    client.round_trip().await;
    nats.remove_streams().await;
    Box::pin(nats.init()).await;
    assert_eq!(client.closed().await, Some((4010, "insufficient state".to_owned())));
    assert_eq!(metric(&hub, "epoch_changes_total").await, 1);
    let mut again = hub.connect("/ws?channel=a").await;
    again.round_trip().await;
}

/// An alert has to know a hub that cannot get what its clients wait for, and when that is over.
#[tokio::test]
async fn hub_whose_streams_are_gone_says_that_it_is_behind_until_they_are_back() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| config.cluster.beacon_interval = Duration::from_millis(100)).await;
    let mut client = hub.connect("/ws?channel=a").await;
    client.send("before").await;
    assert_eq!(client.lines(1).await, ["before"]);
    assert_eq!(metric(&hub, "partitions_behind").await, 0);
    nats.remove_streams().await;
    within(async { while metric(&hub, "partitions_behind").await != 1 {} }).await;
    Box::pin(nats.init()).await;
    assert_eq!(client.closed().await, Some((4010, "insufficient state".to_owned())));
    within(async { while metric(&hub, "partitions_behind").await != 0 {} }).await;
}

/// The deployment files must not allow too little, which shows at night, nor what nobody needs.
#[tokio::test]
async fn permissions_of_the_deployment_files_are_what_is_needed() {
    let nats = NatsServer::with_permissions().await;
    let (as_hub, as_init) = (nats.credentials("hub"), nats.credentials("init"));
    let run = async |action: &str, user: &std::path::Path| {
        cluster(&nats, action, &["--nats-credentials", user.to_str().unwrap()]).await
    };
    let (code, text) = run("init", &as_hub).await;
    assert_eq!(code, 2, "{text}");
    let refused = "Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.THRONG_main_0\"";
    assert!(text.contains(refused) && text.contains("docs/cluster.md lists the permissions"), "{text}");
    assert!(nats.take_refused().iter().any(|line| line.contains("$JS.API.STREAM.CREATE.THRONG_main_0")));

    for (action, of) in [("init", &as_init), ("check", &as_init), ("check", &as_hub)] {
        let (code, text) = run(action, of).await;
        assert_eq!(code, 0, "{action}: {text}");
    }
    let as_it_should = |config: &mut throng::config::Config| {
        config.cluster.nats_credentials = Some(as_hub.clone());
        config.cluster.presence_timeout = Duration::from_secs(100);
        config.default_namespace.presence = true;
    };
    let one = hub_with(&nats, as_it_should).await;
    let mut client = Centrifuge::open(&one).await;
    client.call(json!({ "connect": {} })).await;
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    for number in 0..5 {
        result(&one, "publish", json!({ "channel": "a", "data": number })).await;
    }
    // It has to fetch, from a copy and from the leader, and to ask the other one.
    let two = hub_with(&nats, |config| {
        as_it_should(config);
        config.cluster.resync_messages_max = 2;
    })
    .await;
    let read = json!({ "channel": "a", "limit": -1 });
    let kept = result(&two, "history", read).await;
    assert_eq!(kept["publications"].as_array().unwrap().len(), 5, "{kept}");
    assert_ne!(metric(&two, "backfills_total").await, 0);
    let stats = || result(&two, "presence_stats", json!({ "channel": "a" }));
    within(async { while stats().await["num_clients"] != 1 {} }).await;
    let removed = result(&two, "history_remove", json!({ "channel": "a" })).await;
    assert!(removed.is_object(), "{removed}");
    assert_eq!(nats.take_refused(), [""; 0]);
}

/// Who watches a cluster has to see where its time goes and which hub is behind.
#[tokio::test]
async fn metrics_say_how_long_a_publication_takes_to_nats_and_to_the_other_hub() {
    let nats = NatsServer::start().await;
    let (one, two) = (hub(&nats).await, hub(&nats).await);
    let (mut here, mut there) = (one.connect("/ws?channel=a").await, two.connect("/ws?channel=a").await);
    for number in 0..3 {
        here.send(number.to_string()).await;
    }
    here.lines(3).await;
    there.lines(3).await;
    let times = async |hub: &TestServer| {
        (metric(hub, "publish_ack_seconds_count").await, metric(hub, "cluster_delivery_seconds_count").await)
    };
    // The counter follows the delivery that the client has seen.
    within(async { while times(&one).await != (3, 3) || times(&two).await != (0, 3) {} }).await;
    let offsets = async |hub: &TestServer| -> Vec<String> {
        let page = get(hub.addr, "/metrics").await.body;
        page.lines().filter(|line| line.starts_with("throng_partition_offset{")).map(str::to_owned).collect()
    };
    within(async {
        loop {
            let found = offsets(&one).await;
            if found.len() == 1 && found == offsets(&two).await {
                return;
            }
        }
    })
    .await;
    assert_eq!(metric(&one, "partitions_behind").await, 0);
    // What was published before a hub followed is old, and says nothing of how fast anything is.
    let three = hub(&nats).await;
    let mut later = three.connect("/ws?channel=a").await;
    later.send("new").await;
    assert_eq!(later.lines(1).await, ["new"]);
    within(async { while times(&three).await != (1, 1) {} }).await;
}

/// The staging service next to the real one must neither hear nor answer it.
#[tokio::test]
async fn services_with_different_prefixes_do_not_see_each_other() {
    let nats = NatsServer::start().await;
    let (code, text) = cluster(&nats, "init", &["--prefix", "other"]).await;
    assert_eq!(code, 0, "{text}");
    let with_presence = |config: &mut throng::config::Config| {
        config.default_namespace.presence = true;
        config.cluster.presence_timeout = Duration::from_secs(100);
    };
    let [one, two] = [hub_with(&nats, with_presence).await, hub_with(&nats, with_presence).await];
    let other = hub_with(&nats, |config| {
        with_presence(config);
        config.cluster.prefix = "other".to_owned();
    })
    .await;
    let (mut here, mut there) = (one.connect("/ws?channel=a").await, other.connect("/ws?channel=a").await);
    here.send("of main").await;
    there.send("of other").await;
    assert_eq!((here.lines(1).await, there.lines(1).await), (vec!["of main".to_owned()], vec!["of other".to_owned()]));
    // Each pair of hubs of one service has found the other one, so a third would be there too.
    within(async { while metric(&one, "peers").await == 0 || metric(&two, "peers").await == 0 {} }).await;
    assert_eq!((metric(&one, "peers").await, metric(&other, "peers").await), (1, 0));
    let stats = result(&two, "presence_stats", json!({ "channel": "a" })).await;
    assert_eq!(stats["num_clients"], 1, "{stats}");
    let kept = result(&other, "history", json!({ "channel": "a", "limit": -1 })).await;
    assert_eq!(kept["publications"].as_array().unwrap().len(), 1, "{kept}");
}
