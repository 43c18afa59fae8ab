//! A room: a hub of one shard and its connections, driven by hand.

use std::sync::Arc;
use std::time::Duration;
use throng::config::{Config, HubLimits};
use throng::hub::{Channel, ConnectionId, Hub, MessageShape, Shard, Sink, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Payload};

/// A hub of one shard and its connections.
#[derive(Debug)]
pub(crate) struct Room<S: Sink> {
    hub: Hub<S>,
    shard: Shard<S>,
    members: Vec<ConnectionId>,
}

impl<S: Sink> Room<S> {
    pub(crate) fn new(sinks: impl ExactSizeIterator<Item = S>) -> Self {
        let limits = HubLimits { connections_max: sinks.len(), ..Config::default().limits };
        let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
        let shard = shards.pop().expect("one was asked for");
        let mut room = Self { hub, shard, members: Vec::with_capacity(sinks.len()) };
        for sink in sinks {
            let credit = room.hub.inbox(0).try_credit(0).expect("every pass gives credits back");
            let slot = room.hub.reserve_slot().expect("there is room");
            room.members.push(room.hub.connect(slot, sink, MessageShape::default(), credit));
            room.pass();
        }
        room
    }

    /// Subscribes a member to a channel.
    pub(crate) fn subscribe(&mut self, member: usize, channel: &str) -> Arc<Channel> {
        let name = ChannelName::parse(channel).expect("it is valid");
        let credit = self.hub.inbox(0).try_credit(0).expect("every pass gives credits back");
        let channel = self.hub.subscribe(self.members[member], &name, &SubscribeOptions::default(), credit);
        self.pass();
        channel.expect("there is room").channel
    }

    /// Publishes without a pass: the shard is busy.
    pub(crate) fn publish(&self, channel: &Arc<Channel>, line: &Payload) {
        let mut credits = self.hub.credits(line.len());
        self.hub.publish(channel, line, &mut credits).expect("a batch fits the inbox");
    }

    /// Takes what was published and sends it.
    pub(crate) fn pass(&mut self) {
        self.shard.begin_pass(Duration::ZERO);
        while self.shard.step() {}
        self.shard.end_pass(Duration::ZERO);
    }
}
