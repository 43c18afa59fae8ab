//! Two hubs behind real HAProxy and real nginx, with the files of `deploy/`: upgrades, client addresses, reloads, and a
//! rolling deploy that every client sees as one declared interruption.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/server/mod.rs"]
mod server;

use futures_util::StreamExt;
use rustix::process::Signal;
use server::balancer::{Balancer, Kind};
use server::drain::{Pace, assert_even, watch};
use server::process::{Process, throng};
use server::{Client, get, within};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const BOTH: [Kind; 2] = [Kind::HaProxy, Kind::Nginx];

/// `--lb-grace` and `--drain-time` of the hubs in this file.
const GRACE: Duration = Duration::from_secs(3);
const DRAIN_TIME: Duration = Duration::from_secs(6);

/// All clients are on this machine, but come through a balancer, so that they are not exempt from limits.
async fn hub() -> Process {
    let grace = ["--lb-grace", "3s", "--drain-time", "6s", "--shards", "2"];
    let limits = ["--connections-per-address-max", "100000", "--handshake-rate-per-address-max", "100000"];
    let total = ["--trusted-proxies", "127.0.0.1", "--handshake-rate-max", "100000"];
    Process::start(&[&grace[..], &limits, &total].concat()).await
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
        let line = within(async {
            loop {
                let line = log.next_line().await.unwrap().unwrap();
                if line.contains("connected") {
                    return line;
                }
            }
        })
        .await;
        assert!(line.contains("127.0.0.2"), "{kind:?}: {line}");
    }
}

/// Balancers are reconfigured while traffic flows.
#[tokio::test]
async fn reload_of_the_balancer_closes_nobody() {
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

/// What one client saw: the numbers of each stretch, and when its connection was closed.
struct Seen {
    stretches: Vec<Vec<u64>>,
    closed: Option<Instant>,
}

async fn connect(addr: SocketAddr) -> Option<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await.ok()?;
    tokio_tungstenite::client_async("ws://throng.test/ws?channel=news", stream).await.ok().map(|(socket, _)| socket)
}

/// Follows the news until they end, and comes back after a 1012.
async fn follow(addr: SocketAddr, open: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen { stretches: Vec::new(), closed: None };
    loop {
        let Some(mut socket) = connect(addr).await else { continue };
        open.fetch_add(1, Ordering::Relaxed);
        let mut numbers = Vec::new();
        let code = loop {
            match within(socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    for line in text.lines() {
                        match line.parse() {
                            Ok(number) => numbers.push(number),
                            Err(_) => {
                                seen.stretches.push(numbers);
                                return seen;
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
        seen.stretches.push(numbers);
        seen.closed.get_or_insert_with(Instant::now);
    }
}

/// Tells both hubs the same numbers until told to stop, and then that this is the end.
async fn publish(hubs: [SocketAddr; 2], mut stop: tokio::sync::oneshot::Receiver<()>) {
    let mut papers = [connect(hubs[0]).await.unwrap(), connect(hubs[1]).await.unwrap()];
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    for number in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut stop => break,
        }
        for paper in &mut papers {
            // The one of the first hub may have been closed, as all there were.
            let _ = futures_util::SinkExt::send(paper, Message::text(number.to_string())).await;
        }
    }
    futures_util::SinkExt::send(&mut papers[1], Message::text("end")).await.unwrap();
}

/// A deploy: the first hub drains, all clients reconnect to the second, and nothing else is noticed.
async fn rolling_deploy(kind: Kind, clients: usize) {
    let (first, second) = (hub().await, hub().await);
    let balancer = Balancer::start(kind, [first.addr, second.addr]).await;
    let open = Arc::new(AtomicUsize::new(0));
    let mut followers = JoinSet::new();
    for number in 0..clients {
        followers.spawn(follow(balancer.addr, Arc::clone(&open)));
        // As fast as they are accepted, so that none waits long.
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
    let paper = tokio::spawn(publish([first.addr, second.addr], stopped));

    let pace = Pace { told: Instant::now(), grace: GRACE, time: DRAIN_TIME };
    first.signal(Signal::TERM);
    let watched = tokio::spawn(watch(first.addr));
    assert_eq!(first.ended().await.code(), Some(0));
    // All closed clients are back when as many have opened again.
    let page = get(second.addr, "/metrics").await.body;
    assert!(page.contains("throng_connections"), "{page}");
    within(async { while connections(second.addr).await < clients + 1 {} }).await;
    drop(stop);
    within(paper).await.unwrap();

    let seen = within(followers.join_all()).await;
    let closed: Vec<_> = seen.iter().filter_map(|seen| seen.closed).collect();
    // A balancer sends fewer connections to a hub that answers its health checks late.
    assert!(closed.len() > clients / 20, "{} of {clients} were on the first hub", closed.len());
    let with_paper = closed.len() + 1;
    assert_even(pace, &within(watched).await.unwrap(), closed, with_paper);
    for seen in &seen {
        let contiguous = |numbers: &Vec<u64>| numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(seen.stretches.iter().all(contiguous), "{:?}", seen.stretches);
        assert!(seen.stretches.len() <= 2, "one interruption at most");
        let all: Vec<_> = seen.stretches.concat();
        // The hubs know nothing of each other: the second may say again what the first has just said.
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
async fn rolling_deploy_behind_haproxy_is_one_declared_interruption_for_two_thousand_clients() {
    rolling_deploy(Kind::HaProxy, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_deploy_behind_nginx_is_one_declared_interruption_for_everybody() {
    rolling_deploy(Kind::Nginx, 500).await;
}
