//! Two hubs behind real HAProxy and real nginx, with the files of `deploy/`: upgrades, client addresses, reloads, and a
//! rolling deploy that every client sees as one declared interruption.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::balancer::{Balancer, Kind};
use crate::server::drain::{self, Pace, assert_even};
use crate::server::process::{Process, logged, throng};
use crate::server::{Client, exchange, get, within};
use futures_util::StreamExt;
use rustix::process::Signal;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const BOTH: [Kind; 2] = [Kind::HaProxy, Kind::Nginx];

/// `--lb-grace` and `--drain-time` of the hubs in this file.
const GRACE: Duration = Duration::from_secs(3);
const DRAIN_TIME: Duration = Duration::from_secs(6);

const API_KEY: &str = "the-key-of-the-backends";

/// All clients are on this machine, but come through a balancer, so that they are not exempt from limits.
async fn hub() -> Process {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.toml");
    // Of the spellings below.
    std::fs::write(&path, "[[namespace]]\nname = \"news\"\n[[namespace]]\nname = \"a\"\n").unwrap();
    let grace = ["--lb-grace", "3s", "--drain-time", "6s", "--shards", "2"];
    let limits = ["--connections-per-address-max", "100000", "--handshake-rate-per-address-max", "100000"];
    let total = ["--trusted-proxies", "127.0.0.1", "--handshake-rate-max", "100000"];
    let config = ["--config", path.to_str().unwrap(), "--api-keys", API_KEY];
    Process::start(&[&grace[..], &limits, &total, &config].concat()).await
}

#[tokio::test]
async fn chat_goes_through_and_the_hub_knows_the_client() {
    for kind in BOTH {
        let mut command = throng(&["--addr", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1", "--log", "debug"]);
        let (hub, mut log) = Process::spawn_logging(&mut command).await;
        let balancer = Balancer::start(kind, [hub.addr; 2]).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut client = Client::over(within(socket.connect(balancer.addr)).await.unwrap(), "/ws").await;
        let mut other = Client::connect(hub.addr, "/ws").await;
        client.send("through").await;
        assert_eq!(other.line().await, "through");
        let line = logged(&mut log, "connected").await;
        assert!(line.contains("127.0.0.2"), "{kind:?}: {line}");
    }
}

/// Balancers are reconfigured while traffic flows.
#[tokio::test]
async fn reload_of_the_balancer_closes_no_connection() {
    for kind in BOTH {
        let (one, two) = (hub().await, hub().await);
        let mut balancer = Balancer::start(kind, [one.addr, two.addr]).await;
        let mut client = Client::connect(balancer.addr, "/ws?channel=kept").await;
        balancer.reload().await;
        // The new process serves new connections once this comes through.
        within(async { while get(balancer.addr, "/health/live").await.status != 200 {} }).await;
        client.round_trip().await;
    }
}

/// Spellings of one channel, as clients write it. The hub and HAProxy decode them; nginx looks at what all have in
/// common.
const SPELLINGS: [[&str; 3]; 7] = [
    ["/ws?channel=a:b,c,d", "/ws?channel=a%3Ab%2Cc%2cd", "/ws?channel=a:b,c%2Cd&x=1"],
    ["/ws?channel=x,y", "/ws?channel=x%2Cy", "/ws?channel=x%2cy"],
    [
        "/ws?channel=a:1,2,3,4,5,6,7,8",
        "/ws?channel=a%3A1%2C2%2C3%2C4%2C5%2C6%2C7%2C8",
        "/ws?channel=a:1,2,3,4,5,6,7%2C8",
    ],
    ["/ws", "/ws?channel=lobby", "/ws?token=x"],
    ["/ws?channel=news:sport:live", "/ws?channel=news%3Asport%3Alive", "/ws?token=x&channel=news%3asport%3alive"],
    ["/ws?channel=a:b", "/ws?channel=a%3Ab", "/ws?channel=a%3Ab&token=x"],
    ["/ws?channel=to@me", "/ws?channel=to%40me", "/ws?channel=to%40me&channel=other"],
];

/// Two hubs are two chats, so all clients of a channel have to be on one of them.
#[tokio::test]
async fn every_client_of_a_channel_reaches_the_same_hub() {
    for kind in BOTH {
        let (one, two) = (hub().await, hub().await);
        let balancer = Balancer::start(kind, [one.addr, two.addr]).await;
        let numbered =
            (0..20).map(|number| ["x=1&", "", "x=2&"].map(|more| format!("/ws?{more}channel=room-{number}")));
        let channels: Vec<[String; 3]> =
            SPELLINGS.map(|paths| paths.map(str::to_owned)).into_iter().chain(numbered).collect();
        let mut held = Vec::new();
        for paths in &channels {
            let mut clients = Vec::new();
            for path in paths {
                clients.push(Client::connect(balancer.addr, path).await);
            }
            clients[1].send(paths[0].as_str()).await;
            for client in &mut clients {
                assert_eq!(client.line().await, paths[0], "{kind:?}: {paths:?}");
            }
            held.push(clients);
        }
        // Not because one hub has them all.
        for hub in [one.addr, two.addr] {
            let connections = connections(hub).await;
            assert!((3..held.len() * 3).contains(&connections), "{kind:?}: {connections} of {}", held.len() * 3);
        }
    }
}

/// A balancer reads no body, so a backend names the channel in the address as well.
#[tokio::test]
async fn backend_reaches_the_hub_of_its_channel() {
    for kind in BOTH {
        let (one, two) = (hub().await, hub().await);
        let balancer = Balancer::start(kind, [one.addr, two.addr]).await;
        let mut held = Vec::new();
        for number in 0..20 {
            let mut client = Client::connect(balancer.addr, &format!("/ws?channel=room-{number}")).await;
            let body = format!(r#"{{"channel":"room-{number}","data":"from a backend"}}"#);
            let head = format!(
                "POST /api/publish?channel=room-{number} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\n\
                 Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = exchange(balancer.addr, (head + &body).as_bytes()).await;
            assert_eq!(answer.status, 200, "{kind:?}: {}", answer.body);
            assert_eq!(client.line().await, "from a backend", "{kind:?}: room-{number}");
            held.push(client);
        }
        let each = [connections(one.addr).await, connections(two.addr).await];
        assert!(each.iter().all(|open| *open < 20), "{kind:?}: not because one hub has them all: {each:?}");
    }
}

/// The channels of a hub that stops move as a whole, and clients that come meet those that were closed.
#[tokio::test]
async fn channels_of_a_stopped_hub_move_together() {
    for kind in BOTH {
        let (one, two) = (hub().await, hub().await);
        let balancer = Balancer::start(kind, [one.addr, two.addr]).await;
        one.signal(Signal::INT);
        assert_eq!(one.ended().await.code(), Some(0));
        for number in 0..10 {
            let path = format!("/ws?channel=room-{number}");
            let mut clients = Vec::new();
            while clients.len() < 2 {
                // A balancer may try the hub that has ended first; no client may notice.
                clients.push(Client::connect(balancer.addr, &path).await);
            }
            clients[0].send("moved").await;
            assert_eq!(clients[1].line().await, "moved", "{kind:?}: {path}");
        }
    }
}

/// What one client received: the numbers of each of its connections, and when the first was closed.
struct Received {
    connections: Vec<Vec<u64>>,
    closed: Option<Instant>,
}

/// Channels of the rolling deploys: enough that both hubs have some.
const CHANNELS: usize = 16;

async fn connect(addr: SocketAddr, channel: usize) -> Option<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await.ok()?;
    let url = format!("ws://throng.test/ws?channel=news-{channel}");
    tokio_tungstenite::client_async(url, stream).await.ok().map(|(socket, _)| socket)
}

/// Receives until the publisher says that this is the end, and reconnects after a close with 1012.
async fn subscribe(addr: SocketAddr, channel: usize, open: Arc<AtomicUsize>) -> Received {
    let mut received = Received { connections: Vec::new(), closed: None };
    loop {
        let Some(mut socket) = connect(addr, channel).await else { continue };
        open.fetch_add(1, Ordering::Relaxed);
        let mut numbers = Vec::new();
        let code = loop {
            match within(socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    for line in text.lines() {
                        match line.parse() {
                            Ok(number) => numbers.push(number),
                            Err(_) => {
                                received.connections.push(numbers);
                                return received;
                            }
                        }
                    }
                }
                Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break None,
            }
        };
        assert_eq!(code, Some(1012), "every interruption is declared");
        received.connections.push(numbers);
        received.closed.get_or_insert_with(Instant::now);
    }
}

/// Publishes the same numbers to all channels of both hubs until `stop`, and from then on the end: a balancer may still
/// have a client that it brings back late.
async fn publish(hubs: [SocketAddr; 2], mut stop: tokio::sync::oneshot::Receiver<()>) -> Infallible {
    let (mut publishers, mut heard) = (Vec::new(), Vec::new());
    for hub in hubs {
        for channel in 0..CHANNELS {
            let (sink, mut stream) = connect(hub, channel).await.unwrap().split();
            let (hears, last) = watch::channel(0);
            // A client that does not read answers no ping either, and is closed for it.
            tokio::spawn(async move {
                while let Some(Ok(message)) = stream.next().await {
                    let lines = message.to_text().unwrap_or_default().lines();
                    if let Some(number) = lines.rev().find_map(|line| line.parse().ok()) {
                        hears.send_replace(number);
                    }
                }
            });
            publishers.push(sink);
            heard.push(last);
        }
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    for number in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut stop => break,
        }
        for publisher in &mut publishers {
            // The first hub may have closed its publishers, as all its connections.
            let _ = futures_util::SinkExt::send(publisher, Message::text(number.to_string())).await;
        }
        // However busy the machine is, no hub is more than one number ahead of the other. One that has closed its
        // publishers is not waited for.
        for last in &mut heard {
            let _ = within(last.wait_for(|last| *last >= number)).await;
        }
    }
    loop {
        for publisher in &mut publishers[CHANNELS..] {
            futures_util::SinkExt::send(publisher, Message::text("end")).await.unwrap();
        }
        ticks.tick().await;
    }
}

/// A deploy: the first hub drains, and all its clients reconnect to the second.
async fn rolling_deploy(kind: Kind, clients: usize) {
    let (first, second) = (hub().await, hub().await);
    let balancer = Balancer::start(kind, [first.addr, second.addr]).await;
    let open = Arc::new(AtomicUsize::new(0));
    let mut subscribers = JoinSet::new();
    for number in 0..clients {
        subscribers.spawn(subscribe(balancer.addr, number % CHANNELS, Arc::clone(&open)));
        // At most 100 handshakes at a time.
        within(async {
            while number > open.load(Ordering::Relaxed) + 100 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    within(async {
        while open.load(Ordering::Relaxed) < clients {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let publisher = tokio::spawn(publish([first.addr, second.addr], stopped));

    let pace = Pace { told: Instant::now(), grace: GRACE, time: DRAIN_TIME };
    first.signal(Signal::TERM);
    let watched = tokio::spawn(drain::watch(first.addr));
    assert_eq!(first.ended().await.code(), Some(0));
    // All clients are on the second hub, next to its publishers.
    let page = get(second.addr, "/metrics").await.body;
    assert!(page.contains("throng_connections"), "{page}");
    within(async { while connections(second.addr).await < clients + CHANNELS {} }).await;
    drop(stop);
    let received = within(subscribers.join_all()).await;
    publisher.abort();
    let closed: Vec<_> = received.iter().filter_map(|client| client.closed).collect();
    // Each hub has some of the channels.
    assert!(closed.len() > clients / 20, "{} of {clients} were on the first hub", closed.len());
    let with_publishers = closed.len() + CHANNELS;
    assert_even(pace, &within(watched).await.unwrap(), closed, with_publishers);
    for Received { connections, .. } in &received {
        let contiguous = |numbers: &Vec<u64>| numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(connections.iter().all(contiguous), "{connections:?}");
        assert!(connections.len() <= 2, "one interruption at most");
        let all: Vec<_> = connections.concat();
        // The hubs do not know each other: the second may repeat what the first has just delivered.
        assert!(all.is_sorted(), "nothing out of order: {all:?}");
    }
}

/// Returns the number of connections of a hub.
async fn connections(addr: SocketAddr) -> usize {
    let page = get(addr, "/metrics").await.body;
    let shards = page
        .lines()
        .filter_map(|line| line.strip_prefix("throng_connections{")?.rsplit_once(' ')?.1.parse::<usize>().ok());
    shards.sum::<usize>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_deploy_behind_haproxy_is_one_declared_interruption_for_2000_clients() {
    rolling_deploy(Kind::HaProxy, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_deploy_behind_nginx_is_one_declared_interruption_for_five_hundred_clients() {
    rolling_deploy(Kind::Nginx, 500).await;
}
