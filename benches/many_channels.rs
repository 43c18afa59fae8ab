//! What does a delivery cost when the same people stand in ten of 10,000 channels each, few of them crowded and most
//! nearly empty, compared with one channel that all of them are in?
//!
//! The same sockets and the same number of deliveries; the floor is a bare loop of writes over the same sockets in the
//! same order. `busy` publishes where the people are, as people do, each publication in a pass of its own; `each`
//! publishes once to every channel that has subscribers, so that every log, frame and subscription is cold; `burst` is
//! `busy` in a single pass, and its floor one vectored write per member: what a member gets from one channel, or from
//! several, leaves in one write. CPU time of one thread, all ways in turns. Not measured: latency,
//! wake-ups and readers; those are the load generator's `channels`.

#[path = "../tests/common/sockets/mod.rs"]
mod sockets;

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput};
use rand::distr::weighted::WeightedIndex;
use rand::prelude::*;
use sockets::{Duel, Peers, Room, is_test, say};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use throng::hub::Channel;
use throng::net::socket::SocketSink;
use throng::protocol::Payload;
use throng::protocol::websocket::frame::{self, Opcode};
use tokio::runtime::Runtime;

const MEMBERS: usize = 2_000;
const CHANNELS: usize = 10_000;

/// Channels that each member is subscribed to.
const SUBSCRIPTIONS: usize = 10;

/// What is compared, in the order of a round.
const ONE_FLOOR: usize = 0;
const ONE: usize = 1;
const MANY_FLOOR: usize = 2;
const MANY: usize = 3;

/// The members of a channel, in the order of their subscriptions.
#[derive(Debug)]
struct Members {
    channel: Arc<Channel>,
    members: Vec<usize>,
}

/// The same sockets in two hubs: in one all are in one channel, in the other in many.
struct Bench {
    peers: Peers,
    one: Room<SocketSink>,
    /// The only channel of the one.
    lobby: [Members; 1],
    many: Room<SocketSink>,
    channels: Vec<Members>,
    body: Payload,
    frame: Bytes,
}

impl Bench {
    async fn new(members: usize) -> std::io::Result<Self> {
        let peers = Peers::connect(members).await?;
        let room = || Room::new(peers.servers.iter().map(|server| SocketSink::new(Arc::clone(server))));
        let (mut one, mut many) = (room(), room());
        let channels: Vec<_> = (0..members).map(|member| one.subscribe(member, "lobby")).collect();
        let lobby = [Members { channel: Arc::clone(&channels[0]), members: (0..members).collect() }];
        let channels = subscribe_by_zipf(&mut many, members);
        let body = Payload::line(&[b'x'; 64]).expect("it is text");
        Ok(Self { peers, one, lobby, many, channels, body, frame: frame::encode(Opcode::Text, &[b'x'; 64]) })
    }

    /// Once to every channel, in no order.
    fn each(&self) -> Vec<usize> {
        let mut plan: Vec<_> = (0..self.channels.len()).collect();
        plan.shuffle(&mut StdRng::seed_from_u64(2));
        plan
    }

    /// To channels as often as they have members, until there were as many deliveries as `each` has.
    fn busy(&self) -> Vec<usize> {
        let sizes = self.channels.iter().map(|channel| channel.members.len());
        let weights = WeightedIndex::new(sizes).expect("there are channels and all have members");
        let mut random = StdRng::seed_from_u64(3);
        let (mut plan, mut left) = (Vec::new(), self.peers.servers.len() * SUBSCRIPTIONS);
        while left > 0 {
            let next = weights.sample(&mut random);
            if let Some(rest) = left.checked_sub(self.channels[next].members.len()) {
                plan.push(next);
                left = rest;
            }
        }
        plan
    }

    /// Makes the same number of deliveries every way and returns the time of those to many channels.
    fn round(&mut self, plan: &Plan, duel: &mut Duel) -> Duration {
        let one = Plan { publications: vec![0; SUBSCRIPTIONS], is_burst: plan.is_burst };
        let Self { peers, one: room, lobby, many, channels, body, frame } = self;
        let bytes = peers.servers.len() * SUBSCRIPTIONS * frame.len();
        duel.time(|| one.write(peers, lobby, frame));
        peers.drain(bytes);
        duel.time(|| one.publish(room, lobby, body));
        peers.drain(one.bytes(lobby, body));
        duel.time(|| plan.write(peers, channels, frame));
        peers.drain(bytes);
        let spent = duel.time(|| plan.publish(many, channels, body));
        peers.drain(plan.bytes(channels, body));
        duel.end_round();
        spent
    }
}

/// Which channel gets a publication, one after another.
struct Plan {
    publications: Vec<usize>,
    /// All of them wait when the pass begins.
    is_burst: bool,
}

impl Plan {
    /// The hub's way.
    fn publish(&self, room: &mut Room<SocketSink>, channels: &[Members], body: &Payload) {
        for next in &self.publications {
            room.publish(&channels[*next].channel, body);
            if !self.is_burst {
                room.pass();
            }
        }
        room.pass();
    }

    /// The floor.
    fn write(&self, peers: &Peers, channels: &[Members], frame: &[u8]) {
        let members = || self.publications.iter().flat_map(|next| channels[*next].members.iter().copied());
        if !self.is_burst {
            return peers.write(members(), frame, 1);
        }
        let mut counts = vec![0; peers.servers.len()];
        members().for_each(|member| counts[member] += 1);
        for (member, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            peers.write(std::iter::once(member), frame, count);
        }
    }

    /// Returns the bytes that the hub's way writes.
    fn bytes(&self, channels: &[Members], body: &Payload) -> usize {
        let mut runs: BTreeMap<usize, usize> = BTreeMap::new();
        self.publications.iter().for_each(|next| *runs.entry(*next).or_default() += 1);
        // One head for a run, and a newline between any two of its lines.
        let frame = |messages: usize| {
            let lines = messages * body.len() - 1;
            frame::Head::new(Opcode::Text, lines).as_slice().len() + lines
        };
        let run = |messages| if self.is_burst { frame(messages) } else { messages * frame(1) };
        runs.into_iter().map(|(next, messages)| channels[next].members.len() * run(messages)).sum()
    }
}

/// Subscribes every member to as many channels, drawn by Zipf's law: the second is half as popular as the first.
fn subscribe_by_zipf(room: &mut Room<SocketSink>, members: usize) -> Vec<Members> {
    let popularity = WeightedIndex::new((1..=CHANNELS).map(|rank| 1.0 / rank as f64)).expect("all are positive");
    let mut random = StdRng::seed_from_u64(1);
    let mut channels: BTreeMap<usize, Members> = BTreeMap::new();
    for member in 0..members {
        let mut drawn = Vec::new();
        while drawn.len() < SUBSCRIPTIONS {
            let rank = popularity.sample(&mut random);
            if !drawn.contains(&rank) {
                drawn.push(rank);
                let channel = room.subscribe(member, &rank.to_string());
                channels.entry(rank).or_insert(Members { channel, members: Vec::new() }).members.push(member);
            }
        }
    }
    channels.into_values().collect()
}

fn main() -> std::io::Result<()> {
    if Peers::hold_if_asked()? {
        return Ok(());
    }
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    let mut bench = runtime.block_on(Bench::new(if is_test() { MEMBERS / 100 } else { MEMBERS }))?;
    let mut criterion = Criterion::default().configure_from_args().sample_size(30);
    let mut group = criterion.benchmark_group("many_channels");
    let deliveries = bench.peers.servers.len() * SUBSCRIPTIONS;
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(deliveries as u64));
    let plans = [("busy", bench.busy(), false), ("each", bench.each(), false), ("burst", bench.busy(), true)];
    for (name, publications, is_burst) in plans {
        let (plan, mut duel) = (Plan { publications, is_burst }, Duel::default());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| bench.round(&plan, &mut duel)).sum());
        });
        say_ratios(name, plan.publications.len(), deliveries, &duel);
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn say_ratios(name: &str, publications: usize, deliveries: usize, duel: &Duel) {
    if duel.is_empty() {
        return;
    }
    let [one_floor, one, many_floor, many] = [ONE_FLOOR, ONE, MANY_FLOOR, MANY].map(|way| duel.micros(way, deliveries));
    say(format_args!("{name}: {deliveries} deliveries of {publications} publications, us each"));
    say(format_args!("  one channel    floor {one_floor:.3}, hub {one:.3}, ratio {:.3}", duel.ratio(ONE, ONE_FLOOR)));
    say(format_args!(
        "  many channels  floor {many_floor:.3}, hub {many:.3}, ratio {:.3}",
        duel.ratio(MANY, MANY_FLOOR)
    ));
    say(format_args!(
        "  many to one    floor {:.3}, hub {:.3}",
        duel.ratio(MANY_FLOOR, ONE_FLOOR),
        duel.ratio(MANY, ONE)
    ));
}
