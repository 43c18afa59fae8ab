//! The paced end of a hub: in an order that balancers and clients can follow. docs/threats.md, row 32.

use crate::server::drain::{Pace, assert_even, watch};
use crate::server::process::Process;
use crate::server::{Client, FrozenClock, KEY, TestServer, ask, exchange, get, start, within};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use throng::protocol::CloseReason;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A server whose drains take no longer than a test should.
async fn started() -> TestServer {
    start(|config| {
        config.access.admin_keys = vec![KEY.parse().expect("it is long enough")];
        config.stopping.lb_grace = Duration::ZERO;
        config.stopping.drain_time = Duration::from_millis(500);
    })
    .await
}

async fn is_ready(server: &TestServer) -> (u16, String) {
    let answer = get(server.addr, "/health/ready").await;
    (answer.status, answer.body)
}

/// A balancer must look elsewhere before the first connection is closed; new connections are served meanwhile.
#[tokio::test]
async fn hub_is_not_ready_from_the_first_moment_of_a_drain_and_serves_until_the_grace_is_over() {
    let server = started().await;
    let mut client = server.connect("/ws").await;
    let (status, drain) = ask(&server, "POST", "/admin/drain?grace=1h&time=1h").await;
    assert_eq!((status, &drain["state"]), (200, &"waiting for the balancer".into()));
    assert_eq!(is_ready(&server).await, (503, "draining\n".to_owned()));
    assert_eq!(get(server.addr, "/health/live").await.status, 200);
    let mut late = server.connect("/ws").await;
    client.send("still here").await;
    assert_eq!(late.line().await, "still here");
    assert_eq!(server.closes(CloseReason::Shutdown), 0);
}

/// A drain by API leaves the hub up, so that an operator can change his mind.
#[tokio::test]
async fn drain_closes_everybody_after_what_is_pending_and_can_be_taken_back() {
    let server = started().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.connect("/ws").await);
    }
    clients[0].send("pending").await;
    assert_eq!(ask(&server, "POST", "/admin/drain").await.0, 200);
    assert_eq!(ask(&server, "POST", "/admin/drain").await.0, 409, "one at a time");
    for client in &mut clients {
        let (lines, end) = client.rest().await;
        assert_eq!((lines, end), (vec!["pending".to_owned()], Some((1012, "shutting down".to_owned()))));
    }
    drop(clients);
    server.vacated().await;
    let drained = within(async {
        loop {
            let (_, drain) = ask(&server, "GET", "/admin/drain").await;
            if drain["state"] == "drained" {
                return drain;
            }
        }
    })
    .await;
    assert_eq!((&drained["closed"], &drained["to_close"]), (&20.into(), &20.into()));
    let refused = ask_for_a_socket(&server).await;
    assert_eq!(refused, (503, "Service Unavailable: the hub is stopping\n".to_owned()));
    assert_eq!(ask(&server, "DELETE", "/admin/drain").await.0, 200);
    assert_eq!(is_ready(&server).await, (200, "ready\n".to_owned()));
    drop(server.connect("/ws").await);
    assert_eq!(ask(&server, "DELETE", "/admin/drain").await.0, 409, "there is none any more");
}

async fn ask_for_a_socket(server: &TestServer) -> (u16, String) {
    let request = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = exchange(server.addr, request).await;
    (answer.status, answer.body)
}

/// After a deploy the oldest hub has most connections: a share of them moves, no more.
#[tokio::test]
async fn shed_moves_a_share_and_the_hub_stays_ready() {
    for (query, moved) in [("percent=25&time=200ms", 5), ("count=7&time=0s", 7), ("count=1000&time=0s", 20)] {
        let server = started().await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(server.connect("/ws").await);
        }
        assert_eq!(ask(&server, "POST", &format!("/admin/shed?{query}")).await.0, 200);
        server.counted(|counts| counts.closes[CloseReason::Shed.index()] == moved).await;
        within(async { while ask(&server, "GET", "/admin/shed").await.1["state"] != "shed" {} }).await;
        assert_eq!(server.closes(CloseReason::Shed), moved, "{query}");
        assert_eq!(is_ready(&server).await.0, 200);
    }
}

/// docs/threats.md, row 22. The controls need a key, and a wrong guess reveals nothing.
#[tokio::test]
async fn admin_needs_a_key_and_says_what_it_takes() {
    let server = started().await;
    // Up to ten wrong keys per second get 401, more get 429.
    let _clock = FrozenClock::new();
    let with = async |header: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
        exchange(server.addr, request.as_bytes()).await.status
    };
    assert_eq!(with("", "/admin/drain").await, 401);
    assert_eq!(with("X-API-Key: 0123456789abcdeX\r\n", "/admin/drain").await, 401);
    assert_eq!(with(&format!("Authorization: Bearer {KEY}\r\n"), "/admin/drain").await, 200);
    assert_eq!(with(&format!("X-API-Key: {KEY}\r\n"), "/admin/else").await, 404);
    assert_eq!(ask(&server, "PUT", "/admin/drain").await.0, 405);
    for path in
        ["shed", "shed?percent=0", "shed?percent=101", "shed?count=1&percent=1", "drain?time=soon", "drain?tim=1s"]
    {
        let (status, answer) = ask(&server, "POST", &format!("/admin/{path}")).await;
        assert_eq!(status, 400, "{path}");
        assert!(answer["error"].as_str().is_some_and(|error| error.len() > 20), "{answer}");
    }
    let mut wrong = Vec::new();
    for _ in 0..20 {
        wrong.push(with("X-API-Key: guess\r\n", "/admin/drain").await);
    }
    assert!(wrong.contains(&429), "{wrong:?}");
    assert_eq!(ask(&server, "GET", "/admin/drain").await.0, 200, "a right key still works");

    let server = start(|_| {}).await;
    assert_eq!(get(server.addr, "/admin/drain").await.status, 404, "without keys there is nothing");
}

/// docs/threats.md, row 22. Where operators are served clients are not, and the other way round.
#[tokio::test]
async fn internal_address_has_what_operators_need_and_the_public_one_has_not() {
    let server = start(|config| {
        config.internal_addr = "127.0.0.1:0".parse().ok();
        config.access.admin_keys = vec![KEY.parse().expect("it is long enough")];
    })
    .await;
    let internal = server.internal.expect("it was configured");
    for (path, public, inside) in [
        // Under a name that is not this machine's: a page in a browser could ask so.
        ("/metrics", 404, 401),
        ("/admin/drain", 404, 401),
        ("/health/ready", 200, 200),
        ("/health/live", 200, 200),
        ("/", 200, 404),
        ("/ws", 400, 404),
    ] {
        assert_eq!(get(server.addr, path).await.status, public, "{path}");
        assert_eq!(get(internal, path).await.status, inside, "{path}");
    }
}

/// A wave of reconnects would hit the other hubs: no connection is closed too early, and not all at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_closes_two_thousand_connections_evenly_and_exits_with_0() {
    const CLIENTS: usize = 2_000;
    let (grace, time) = (Duration::from_millis(200), Duration::from_secs(8));
    let process = Process::start(&["--lb-grace", "200ms", "--drain-time", "8s", "--shards", "2"]).await;
    let mut clients = JoinSet::new();
    // Few enough handshakes at once that none is cut off for a newer one.
    let doors = Arc::new(Semaphore::new(100));
    for _ in 0..CLIENTS {
        let (addr, doors) = (process.addr, Arc::clone(&doors));
        clients.spawn(async move {
            let door = doors.acquire().await.expect("it stays open");
            let mut client = Client::connect(addr, "/ws?channel=quiet").await;
            drop(door);
            let (_, end) = client.rest().await;
            (end, Instant::now())
        });
    }
    within(async { while connections(process.addr).await < CLIENTS {} }).await;
    let pace = Pace { told: Instant::now(), grace, time };
    process.signal(Signal::TERM);
    let watched = tokio::spawn(watch(process.addr));
    let ends = within(clients.join_all()).await;
    for (end, _) in &ends {
        assert_eq!(*end, Some((1012, "shutting down".to_owned())));
    }
    assert_eq!(process.ended().await.code(), Some(0));
    let watched = within(watched).await.expect("it ends with the hub");
    assert_even(pace, &watched, ends.into_iter().map(|(_, at)| at).collect(), CLIENTS);
}

/// Returns the number of connections of a hub.
async fn connections(addr: SocketAddr) -> usize {
    let page = get(addr, "/metrics").await.body;
    let shards = page
        .lines()
        .filter_map(|line| line.strip_prefix("throng_connections{")?.rsplit_once(' ')?.1.parse::<usize>().ok());
    shards.sum()
}
