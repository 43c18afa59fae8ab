//! A simulation: a hub whose shards, sockets and clock are driven by one thread.

use super::peer::State;
use super::{Peer, Pipe};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{ChannelOptions, HubLimits, NamespaceOptions, TuningConfig};
use throng::engine::replies::ReplyBudget;
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use throng::hub::{
    Channel, Command, Hub, MessageShape, NoCredit, PublishError, Published, Shard, Since, SubscribeError,
    SubscribeOptions,
};
use throng::metrics::{Metrics, ShardCounts};
use throng::protocol::position::Start;
use throng::protocol::websocket::frame::{self, Opcode};
use throng::protocol::{ChannelName, CloseReason, Payload};

/// Longest step of the simulated clock: shards look at it as often as a busy process would.
const STEP: Duration = Duration::from_millis(50);

/// A hub in one thread.
#[derive(Clone)]
pub(crate) struct SimulatedHub {
    pub(super) parts: Rc<Parts>,
}

pub(super) struct Parts {
    hub: Hub<Pipe>,
    shards: RefCell<Vec<Shard<Pipe>>>,
    now: Cell<Duration>,
    channels: RefCell<HashMap<String, Arc<Channel>>>,
    pub(super) options: RefCell<Arc<ChannelOptions>>,
    peers: RefCell<Vec<Rc<State>>>,
}

impl SimulatedHub {
    /// One shard.
    pub(crate) fn with_limits(limits: &HubLimits) -> Self {
        Self::new(1, limits)
    }

    pub(crate) fn new(shards: usize, limits: &HubLimits) -> Self {
        Self::tuned(shards, limits, &TuningConfig::default())
    }

    pub(crate) fn tuned(shards: usize, limits: &HubLimits, tuning: &TuningConfig) -> Self {
        let (hub, shards) = Hub::tuned(limits, tuning, Arc::new(Metrics::new(shards)));
        let shards = RefCell::new(shards);
        let parts = Parts {
            hub,
            shards,
            now: Cell::default(),
            channels: RefCell::default(),
            options: RefCell::default(),
            peers: RefCell::default(),
        };
        Self { parts: Rc::new(parts) }
    }

    pub(crate) fn hub(&self) -> &Hub<Pipe> {
        &self.parts.hub
    }

    /// Channels that are created from here on keep so many publications for so long.
    pub(crate) fn keep(&self, size: usize, ttl: Duration) {
        let mut options = ChannelOptions::default();
        (options.options.history_size, options.options.history_ttl) = (size, ttl);
        options.options.recovery = true;
        self.parts.options.replace(Arc::new(options));
    }

    pub(crate) fn connect(&self) -> Peer {
        self.connect_as(MessageShape::default())
    }

    pub(crate) fn connect_as(&self, shape: MessageShape) -> Peer {
        let seat = self.hub().reserve_slot().unwrap();
        let (id, pipe) = (seat.id(), Pipe::default());
        self.make_room(id.shard(), 0);
        let credit = self.hub().inbox(id.shard()).try_credit(0).unwrap();
        self.hub().connect(seat, pipe.clone(), shape, credit);
        if shape.encoding.waits_for_client() {
            self.push(id.shard(), Command::Pong { id });
        }
        let state = Rc::new(State::new(id, pipe, shape));
        self.parts.peers.borrow_mut().push(Rc::clone(&state));
        Peer { hub: self.clone(), state }
    }

    /// Subscribes as soon as the shard has room for what the peer gets first.
    pub(super) fn subscribe(&self, peer: &Peer, name: &str, since: Since) -> Start {
        let options = SubscribeOptions {
            since,
            shape: peer.state.shape,
            channel: Arc::clone(&self.parts.options.borrow()),
            now: self.time_of_day(),
            bytes_max: self.hub().limits().outbox_bytes_max,
            info: peer.state.info.borrow().clone(),
        };
        let (known, mut bytes) = (ChannelName::parse(name).unwrap(), 0);
        let subscribed = loop {
            self.make_room(peer.id().shard(), bytes);
            let credit = self.hub().inbox(peer.id().shard()).try_credit(bytes).unwrap();
            match self.hub().subscribe(peer.id(), &known, &options, credit) {
                Err(SubscribeError::Credit { bytes: needed }) => bytes = needed,
                subscribed => break subscribed.unwrap(),
            }
        };
        self.note_subscription(peer, name, subscribed.channel);
        subscribed.start
    }

    pub(super) fn note_subscription(&self, peer: &Peer, name: &str, channel: Arc<Channel>) {
        peer.state.channels.borrow_mut().push(Arc::clone(&channel));
        self.parts.channels.borrow_mut().insert(name.to_owned(), channel);
    }

    pub(super) fn unsubscribe(&self, peer: &Peer, name: &str) {
        self.make_room(peer.id().shard(), 0);
        let credit = self.hub().inbox(peer.id().shard()).try_credit(0).unwrap();
        let mut channels = peer.state.channels.borrow_mut();
        let at = channels.iter().position(|channel| channel.name().as_str() == name).unwrap();
        self.hub().unsubscribe(peer.id(), &channels.remove(at), credit);
    }

    pub(crate) fn time_of_day(&self) -> u64 {
        self.hub().metrics().time_of_day(self.parts.now.get())
    }

    /// Publishes a line; waits for shards by running them.
    pub(crate) fn publish(&self, channel: &str, text: impl AsRef<str>) {
        while let Err(NoCredit { shard }) = self.try_publish(channel, text.as_ref()) {
            self.pass(shard);
        }
    }

    /// Publishes a line to a channel that may have no subscribers; waits for shards by running them. Returns the offset
    /// if anybody gets it, now or later.
    pub(crate) fn publish_to(&self, channel: &str, text: &str) -> Option<Published> {
        let (name, line) = (ChannelName::parse(channel).unwrap(), Payload::line(text.as_bytes()).unwrap());
        loop {
            let mut credits = self.hub().credits(line.len()).arrived(self.parts.now.get());
            match self.hub().publish_to(&name, &self.parts.options.borrow(), &line, &mut credits) {
                Err(PublishError::Credit(NoCredit { shard })) => drop((credits, self.pass(shard))),
                published => return published.unwrap(),
            }
        }
    }

    /// Follows other limits from here on.
    pub(crate) fn reconfigured(&self, limits: &HubLimits) {
        self.hub().reconfigure(&Arc::new(limits.clone()));
    }

    /// Drops what is too old from histories, all of them.
    pub(crate) fn sweep(&self) {
        (0..16).for_each(|_| self.hub().sweep_histories(self.time_of_day()));
    }

    /// Lets all channels, those that exist and those to come, follow other options.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut NamespaceOptions)) {
        let mut options = ChannelOptions::clone(&self.parts.options.borrow());
        change(&mut options.options);
        options.revision += 1;
        drop(self.parts.options.replace(Arc::new(options)));
        self.hub().follow_options(|_| Some(Arc::clone(&self.parts.options.borrow())));
    }

    /// Who is in a channel, as `CLIENT USER`, in the order of the texts.
    pub(crate) fn presence(&self, channel: &str) -> Vec<String> {
        let members = self.hub().presence(&ChannelName::parse(channel).unwrap());
        let mut known: Vec<_> =
            members.known.iter().map(|member| format!("{} {}", member.id, member.info().user())).collect();
        known.sort();
        known
    }

    /// Tells subscribers how many they are, where that has changed. Returns the number of announcements.
    pub(crate) fn announce(&self) -> usize {
        let announcements = self.hub().take_announcements();
        let count = announcements.len();
        for announcement in announcements {
            let shard = announcement.shard;
            let (command, bytes) = announcement.command();
            self.make_room(shard, bytes);
            self.hub().inbox(shard).try_credit(bytes).unwrap().push(command);
        }
        count
    }

    /// Publishes a line, unless a shard has no room.
    pub(crate) fn try_publish(&self, channel: &str, text: &str) -> Result<u64, NoCredit> {
        let line = Payload::line(text.as_bytes()).unwrap();
        let channel = Arc::clone(&self.parts.channels.borrow()[channel]);
        self.hub().publish(&channel, &line, &mut self.hub().credits(line.len()))
    }

    pub(crate) fn push(&self, shard: usize, command: Command<Pipe>) {
        self.make_room(shard, 0);
        let inbox = self.hub().inbox(shard);
        inbox.try_credit(0).unwrap().push(command);
    }

    /// Sends a text message to a peer as a reply, unless too many bytes of them wait for it.
    pub(crate) fn try_reply(&self, peer: &Peer, budget: &ReplyBudget, text: &str) -> bool {
        let frames = frame::encode(Opcode::Text, text.as_bytes());
        let Some(permit) = budget.try_acquire(frames.len()) else { return false };
        self.make_room(peer.id().shard(), frames.len());
        let credit = self.hub().inbox(peer.id().shard()).try_credit(frames.len()).unwrap();
        credit.push(Command::Reply { id: peer.id(), frames, permit });
        true
    }

    pub(crate) fn close(&self, peer: &Peer, reason: CloseReason) {
        self.push(peer.id().shard(), Command::Close { id: peer.id(), reason });
    }

    pub(crate) fn close_all(&self, reason: CloseReason) {
        for shard in 0..self.hub().shards() {
            self.push(shard, Command::CloseAll { reason });
        }
    }

    fn make_room(&self, shard: usize, bytes: usize) {
        while self.hub().inbox(shard).try_credit(bytes).is_none() {
            self.pass(shard);
        }
    }

    /// Runs one pass of one shard. Returns whether there was anything to do.
    pub(crate) fn pass(&self, shard: usize) -> bool {
        self.pass_with(shard, || {})
    }

    /// Runs one pass of one shard, while `between` its steps others do something.
    pub(crate) fn pass_with(&self, shard: usize, mut between: impl FnMut()) -> bool {
        let mut shards = self.parts.shards.borrow_mut();
        let shard = &mut shards[shard];
        let has_work = shard.begin_pass(self.parts.now.get());
        while shard.step() {
            between();
        }
        shard.end_pass(self.parts.now.get());
        has_work
    }

    /// Runs every shard, and lets every peer read and answer pings, until nothing moves.
    pub(crate) fn run_until_idle(&self) {
        let mut is_busy = true;
        while is_busy {
            is_busy = false;
            for shard in 0..self.hub().shards() {
                is_busy |= self.pass(shard);
            }
            let peers: Vec<_> = self.parts.peers.borrow().clone();
            for peer in peers {
                for _ in 0..peer.read() {
                    self.push(peer.id().shard(), Command::Pong { id: peer.id() });
                    is_busy = true;
                }
            }
        }
    }

    /// Lets time pass, and everything happen that happens meanwhile.
    pub(crate) fn advance(&self, time: Duration) {
        self.run_until_idle();
        let until = self.parts.now.get() + time;
        while self.parts.now.get() < until {
            self.parts.now.set(until.min(self.parts.now.get() + STEP));
            self.run_until_idle();
        }
    }

    /// Time since the hub's start.
    pub(crate) fn now(&self) -> Duration {
        self.parts.now.get()
    }

    /// Stops the process for a while.
    pub(crate) fn pause(&self, time: Duration) {
        self.parts.now.set(self.parts.now.get() + time);
    }

    /// Drops a shard as a panic would, and starts another in its place.
    pub(crate) fn restart(&self, index: usize) {
        let mut shards = self.parts.shards.borrow_mut();
        let failed = shards.remove(index);
        drop(failed);
        shards.insert(index, self.hub().shard(index));
    }

    pub(crate) fn received(&self, peer: &Peer) -> Vec<String> {
        peer.lines()
    }

    pub(crate) fn closed(&self, peer: &Peer) -> Option<CloseReason> {
        peer.closed()
    }

    /// What a shard counted.
    pub(crate) fn counts(&self, shard: usize) -> ShardCounts {
        self.hub().metrics().shards()[shard].read()
    }

    /// Ends every connection and checks that nothing is left of them.
    pub(crate) fn end(&self) {
        self.run_until_idle();
        let peers: Vec<_> = self.parts.peers.borrow().clone();
        for state in peers {
            Peer { hub: self.clone(), state }.leave();
        }
        self.run_until_idle();
        self.pause(self.parts.options.borrow().options.history_ttl);
        self.sweep();
        assert_eq!(self.hub().history_bytes(), 0, "histories");
        assert_eq!(self.hub().metrics().process.read().presence_members, 0, "members");
        assert_eq!(self.announce(), 0, "announcements");
        assert_eq!(self.hub().placement().taken(), 0, "seats");
        assert!(self.hub().directory().is_empty(), "channels");
        for (index, shard) in self.parts.shards.borrow().iter().enumerate() {
            assert_eq!((shard.connections(), shard.channels()), (0, 0), "connections and channels of {index}");
            let inbox = self.hub().inbox(index);
            assert_eq!(inbox.depth(), 0);
            let all = inbox.try_credit(CREDITS * CREDIT_BYTES);
            assert!(all.is_some() && inbox.try_credit(0).is_none(), "credits of {index}");
            assert_eq!((self.counts(index).connections, self.counts(index).parked), (0, 0));
        }
    }
}
