//! What presence holds of the heap, by the byte: per member, nothing where it is off, and nothing once all have left.

#[path = "common/null.rs"]
mod null;

use allocation_counter::measure;
use null::Null;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{ChannelOptions, HubLimits};
use throng::hub::{ConnectionId, Hub, MessageShape, Shard, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Encoding};

/// Just beyond a power of two of the table's places: where a member costs most.
const MEMBERS: usize = 7_200;

/// Bytes that a shard keeps for the next announcement: room for one message, and for the ends of its lines.
const KEPT: usize = 80 * 1024;

/// Bytes that an anonymous member may hold.
const PER_MEMBER_MAX: f64 = 40.0;

fn pass(shard: &mut Shard<Null>) {
    shard.begin_pass(Duration::ZERO);
    while shard.step() {}
    shard.end_pass(Duration::ZERO);
}

struct Crowd {
    hub: Hub<Null>,
    shard: Shard<Null>,
    ids: Vec<ConnectionId>,
}

impl Crowd {
    fn new() -> Self {
        let limits = HubLimits { connections_max: MEMBERS, ..HubLimits::default() };
        let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
        let mut shard = shards.remove(0);
        let shape = MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() };
        let connect = |_| {
            let credit = hub.inbox(0).try_credit(0).expect("there is room");
            let id = hub.connect(hub.reserve_slot().expect("there is room"), Null, shape, credit);
            pass(&mut shard);
            id
        };
        let ids = (0..MEMBERS).map(connect).collect();
        Self { hub, shard, ids }
    }

    /// Subscribes all of them.
    fn join(&mut self, channel: &Arc<ChannelOptions>) {
        let shape = MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() };
        let options = SubscribeOptions { shape, channel: Arc::clone(channel), ..SubscribeOptions::default() };
        let name = ChannelName::parse("lobby").expect("it is a name");
        for id in &self.ids {
            let credit = self.hub.inbox(0).try_credit(1024).expect("there is room");
            self.hub.subscribe(*id, &name, &options, credit).expect("there is room");
            pass(&mut self.shard);
        }
    }

    /// Tells everything that there is to tell.
    fn announce(&mut self) {
        loop {
            let announcements = self.hub.take_announcements();
            if announcements.is_empty() {
                return;
            }
            for announcement in announcements {
                let (command, bytes) = announcement.command();
                self.hub.inbox(0).try_credit(bytes).expect("there is room").push(command);
                pass(&mut self.shard);
            }
        }
    }

    /// Unsubscribes all of them but one.
    fn leave(&mut self) {
        let channel = self.hub.directory().channels().remove(0);
        for id in &self.ids[1..] {
            let credit = self.hub.inbox(0).try_credit(0).expect("there is room");
            self.hub.unsubscribe(*id, &channel, credit);
            pass(&mut self.shard);
        }
    }
}

fn options(presence: bool, join_leave: bool) -> Arc<ChannelOptions> {
    let mut options = ChannelOptions::default();
    (options.options.presence, options.options.join_leave) = (presence, join_leave);
    Arc::new(options)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn held(run: impl FnOnce()) -> f64 {
    measure(run).bytes_current as f64 / MEMBERS as f64
}

#[test]
fn member_holds_no_more_than_the_document_says_and_nothing_once_it_was_told() {
    let [mut plain, mut known, mut told] = [(); 3].map(|()| Crowd::new());
    let [off, on, telling] = [options(false, false), options(true, false), options(true, true)];
    let base = held(|| {
        plain.join(&off);
        plain.announce();
    });
    let member = held(|| {
        known.join(&on);
        known.announce();
    });
    assert!(member - base <= PER_MEMBER_MAX, "{} bytes per member", member - base);
    assert!(member - base > 16.0, "the map of members holds them, {} bytes each", member - base);
    let member = held(|| {
        told.join(&telling);
        told.announce();
    });
    assert!(member - base <= PER_MEMBER_MAX + 1.0, "{} bytes per member that was told", member - base);
}

/// One that stays keeps no memory of the others.
#[test]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn crowd_that_has_left_holds_nothing() {
    let [mut plain, mut told] = [(); 2].map(|()| Crowd::new());
    let come_and_go = |crowd: &mut Crowd, channel: Arc<ChannelOptions>| {
        crowd.join(&channel);
        crowd.announce();
        crowd.leave();
        crowd.announce();
    };
    let base = held(|| come_and_go(&mut plain, options(false, false)));
    let left = held(|| come_and_go(&mut told, options(true, true)));
    assert!(left - base <= (KEPT / MEMBERS) as f64, "{} bytes per member that has left", left - base);
}
