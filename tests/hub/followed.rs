//! A hub of a cluster: channels whose order a log decides. Deliveries with given offsets, recovery from a history whose
//! numbers have gaps, what is fetched for it, and what is declared lost.

use crate::simulation::followed::line;
use crate::simulation::{Peer, SimulatedHub};
use std::sync::Arc;
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::{Backfill, Coverage, Delivered, HistoryQuery, Logged, MessageShape, OnLag, Partitions, Since};
use throng::protocol::centrifuge::Format;
use throng::protocol::{CloseReason, Encoding, Epoch, Position};

const HOUR: Duration = Duration::from_secs(3600);

const EPOCH: Epoch = Epoch::new(7);

const LOST: &str = " [throng] messages lost: the hub cannot get them any more";

/// A hub that keeps so many lines, and has followed the log from after 100.
fn hub(size: usize) -> (SimulatedHub, Arc<Partitions>) {
    hub_with(&HubLimits { slow_consumer: SlowConsumer::Skip, ..HubLimits::default() }, size)
}

fn hub_with(limits: &HubLimits, size: usize) -> (SimulatedHub, Arc<Partitions>) {
    let hub = SimulatedHub::with_limits(limits);
    hub.keep(size, HOUR);
    let partitions = hub.follow(EPOCH.number(), 100);
    (hub, partitions)
}

fn after(offset: u64) -> Since {
    Since::After { position: Position { epoch: EPOCH, offset }, or_newest: 0 }
}

fn numbered(hub: &SimulatedHub) -> Peer {
    hub.connect_as(MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() })
}

fn offsets(peer: &Peer) -> Vec<u64> {
    let lines = peer.lines().into_iter().filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split(' ').next().and_then(|offset| offset.parse().ok()).expect("it is numbered")).collect()
}

fn recovers(hub: &SimulatedHub, channel: &str, offset: u64) -> (bool, usize) {
    let start = numbered(hub).subscribe_since(channel, after(offset));
    (start.is_recovered == Some(true), start.publications)
}

/// What the log has of a channel: these offsets, and nothing else in `floor..=until`.
fn logged(hub: &SimulatedHub, floor: u64, until: u64, offsets: &[u64]) -> Backfill {
    let stored_at = hub.time_of_day();
    let logged = |offset: &u64| Logged { publication: line(*offset, stored_at, "old"), stored_at };
    let publications = offsets.iter().map(logged).collect();
    Backfill { epoch: EPOCH, floor, until, publications }
}

const ALL: HistoryQuery = HistoryQuery { since: None, limit: 100, is_reverse: false };

/// Histories here are kept for an hour, as long as one clock is behind and the other one ahead.
#[test]
fn age_of_a_line_is_that_in_the_log_whatever_the_clock_of_its_hub_says() {
    let (hub, _) = hub(10);
    let (now, hour) = (hub.time_of_day(), 3_600_000_000);
    for (offset, at) in [(103, now), (110, now - hour), (111, now + hour), (112, now)] {
        hub.deliver_from(at, "lobby", offset, "x");
    }
    assert_eq!(recovers(&hub, "lobby", 100), (true, 4));
    hub.advance(HOUR - Duration::from_secs(1));
    assert_eq!(recovers(&hub, "lobby", 100), (true, 4));
    hub.advance(Duration::from_secs(1));
    assert_eq!(recovers(&hub, "lobby", 111), (false, 0));
    hub.end();
}

#[test]
fn lines_have_the_numbers_of_the_log_and_a_client_that_returns_gets_what_it_missed() {
    let (hub, _) = hub(10);
    let first = numbered(&hub);
    let start = first.subscribe_since("lobby", Since::Now);
    assert_eq!(start.position, Some(Position { epoch: EPOCH, offset: 100 }));
    for offset in [103, 110, 111] {
        assert_eq!(hub.deliver("lobby", offset, "x"), Delivered::ToSubscribers);
    }
    hub.run_until_idle();
    assert_eq!(offsets(&first), [103, 110, 111]);
    first.leave();
    assert_eq!(hub.deliver("lobby", 120, "x"), Delivered::ToHistory);
    for (offset, missed) in [(100, 4), (102, 4), (103, 3), (105, 3), (111, 1), (119, 1), (120, 0)] {
        assert_eq!(recovers(&hub, "lobby", offset), (true, missed), "after {offset}");
    }
    let again = numbered(&hub);
    again.subscribe_since("lobby", after(109));
    hub.deliver("lobby", 121, "x");
    hub.run_until_idle();
    assert_eq!(offsets(&again), [110, 111, 120, 121]);
    hub.end();
}

/// A client takes the position with it: what it says has to include what was published to other channels.
#[test]
fn subscriber_begins_where_the_log_is_and_not_where_its_channel_is() {
    let (hub, partitions) = hub(10);
    hub.deliver("lobby", 101, "x");
    hub.deliver("other", 105, "x");
    partitions.all()[0].set_applied(110);
    for (channel, missed) in [("lobby", 1), ("new", 0)] {
        let start = numbered(&hub).subscribe_since(channel, Since::Now);
        assert_eq!(start.position, Some(Position { epoch: EPOCH, offset: 110 }), "{channel}");
        assert_eq!(recovers(&hub, channel, 110), (true, 0), "{channel}");
        assert_eq!(recovers(&hub, channel, 100), (true, missed), "{channel}");
        assert_eq!(recovers(&hub, channel, 111), (false, 0), "{channel}: this hub is not that far");
    }
    assert_eq!(hub.coverage("lobby", after(111)), Coverage::Ahead { offset: 111 });
}

#[test]
fn line_that_is_not_new_is_dropped() {
    let (hub, partitions) = hub(10);
    let peer = hub.connect().subscribe("lobby");
    for (offset, delivered) in [(101, Delivered::ToSubscribers), (101, Delivered::Foreign), (100, Delivered::Foreign)] {
        assert_eq!(hub.deliver("lobby", offset, "x"), delivered);
    }
    hub.run_until_idle();
    assert_eq!((peer.lines().len(), partitions.all()[0].applied()), (1, 101));
}

/// What the hub has not seen, or has dropped, is never taken for nothing.
#[test]
fn what_is_not_known_is_not_recovered() {
    let (hub, _) = hub(3);
    hub.deliver("lobby", 102, "x");
    assert_eq!(recovers(&hub, "lobby", 99), (false, 0), "before the log was followed");
    assert_eq!(recovers(&hub, "lobby", 100), (true, 1));
    for offset in [104, 106, 108] {
        hub.deliver("lobby", offset, "x");
    }
    assert_eq!(recovers(&hub, "lobby", 101), (false, 0), "102 had to go");
    assert_eq!(recovers(&hub, "lobby", 102), (true, 3));
    let other = Position { epoch: Epoch::new(8), offset: 102 };
    let start = numbered(&hub).subscribe_since("lobby", Since::After { position: other, or_newest: 0 });
    assert_eq!(start.is_recovered, Some(false), "another epoch");
    assert_eq!(hub.coverage("lobby", Since::After { position: other, or_newest: 0 }), Coverage::Ready);
}

/// A channel goes with its last line; what it had dropped must not be forgotten with it.
#[test]
fn channel_that_was_closed_does_not_forget_what_it_dropped() {
    let (hub, partitions) = hub(10);
    hub.deliver("lobby", 101, "x");
    hub.pause(HOUR);
    hub.sweep();
    assert!(hub.hub().directory().is_empty());
    partitions.all()[0].set_applied(105);
    assert_eq!(recovers(&hub, "lobby", 100), (false, 0));
    assert_eq!(recovers(&hub, "lobby", 101), (true, 0));
}

#[test]
fn line_that_no_channel_has_room_for_is_known_to_be_missing() {
    let (hub, partitions) = hub_with(&HubLimits { channels_max: 1, ..HubLimits::default() }, 10);
    hub.deliver("lobby", 101, "x");
    assert_eq!(hub.deliver("other", 102, "x"), Delivered::NotKept);
    assert_eq!((partitions.all()[0].applied(), partitions.all()[0].floor()), (102, 102));
    assert_eq!(recovers(&hub, "lobby", 100), (true, 1), "the other channel has it");
    hub.reconfigured(&HubLimits { channels_max: 2, ..HubLimits::default() });
    assert_eq!(recovers(&hub, "other", 101), (false, 0));
}

/// A reload may let a namespace keep what it did not keep before.
#[test]
fn line_that_was_not_to_be_kept_is_known_to_be_missing_once_it_is() {
    let (hub, _) = hub(0);
    let peer = hub.connect().subscribe("open");
    assert_eq!(hub.deliver("open", 101, "x"), Delivered::ToSubscribers);
    assert_eq!(hub.deliver("closed", 102, "x"), Delivered::Foreign);
    assert!(hub.hub().directory().len() == 1, "nothing is opened for nobody");
    hub.reload(|options| options.history_size = 10);
    for channel in ["open", "closed"] {
        assert_eq!(recovers(&hub, channel, 100), (false, 0), "{channel}");
        hub.deliver(channel, if channel == "open" { 103 } else { 104 }, "x");
        assert_eq!(recovers(&hub, channel, 102), (true, 1), "{channel}");
    }
    peer.leave();
}

#[test]
fn history_is_read_by_the_numbers_of_the_log() {
    let (hub, partitions) = hub(10);
    for offset in [102, 105, 109] {
        hub.deliver("lobby", offset, "x");
    }
    partitions.all()[0].set_applied(120);
    let since = |offset| Some(Position { epoch: EPOCH, offset });
    for (since, is_reverse, expected) in [
        (None, false, vec![102, 105, 109]),
        (None, true, vec![109, 105, 102]),
        (since(103), false, vec![105, 109]),
        (since(105), false, vec![109]),
        (since(105), true, vec![102]),
        (since(106), true, vec![105, 102]),
        (since(120), false, vec![]),
        (since(0), true, vec![]),
    ] {
        let query = HistoryQuery { since, limit: 10, is_reverse };
        assert_eq!(hub.read("lobby", query), (expected, 120), "{query:?}");
    }
    assert_eq!(hub.read("lobby", HistoryQuery { limit: 1, ..ALL }), (vec![102], 120));
    assert_eq!(hub.read("new", ALL), (vec![], 120), "where the partition stands");
}

/// The log is asked for what the history lacks, once.
#[test]
fn backfill_is_put_before_what_is_here_and_lowers_the_floor() {
    let (hub, _) = hub(10);
    hub.deliver("lobby", 105, "x");
    assert_eq!(hub.coverage("lobby", after(100)), Coverage::Ready);
    assert_eq!(hub.coverage("lobby", after(50)), Coverage::Backfill { after: 50, until: 100 });
    // The log is further than what is asked for, and has what is here.
    assert!(hub.backfill("lobby", &logged(&hub, 40, 110, &[45, 60, 99, 105, 108])));
    assert_eq!(hub.coverage("lobby", after(50)), Coverage::Ready);
    assert_eq!(recovers(&hub, "lobby", 50), (true, 3));
    assert_eq!(recovers(&hub, "lobby", 40), (true, 4));
    assert_eq!(hub.coverage("lobby", after(39)), Coverage::Ready, "nobody has more");
    assert_eq!(recovers(&hub, "lobby", 39), (false, 0));
    hub.deliver("lobby", 108, "x");
    assert_eq!(hub.read("lobby", ALL), (vec![45, 60, 99, 105, 108], 108));
    hub.end();
}

/// Nothing at all is an answer, too: a quiet channel is recovered by it.
#[test]
fn backfill_without_lines_proves_that_nothing_was_missed() {
    let (hub, _) = hub(10);
    assert_eq!(hub.coverage("quiet", after(50)), Coverage::Backfill { after: 50, until: 100 });
    assert!(hub.backfill("quiet", &logged(&hub, 20, 100, &[])));
    assert_eq!(recovers(&hub, "quiet", 50), (true, 0));
    assert!(hub.backfill("nobody", &logged(&hub, 20, 100, &[])));
    hub.end();
}

#[test]
fn backfill_that_does_not_lead_up_to_the_history_is_refused() {
    let (hub, _) = hub(2);
    for offset in [101, 102, 103, 104] {
        hub.deliver("lobby", offset, "x");
    }
    assert!(!hub.backfill("lobby", &logged(&hub, 50, 101, &[60, 101])), "102 would be missing");
    assert!(
        !hub.backfill("lobby", &Backfill { epoch: Epoch::new(8), ..logged(&hub, 50, 104, &[60]) }),
        "another epoch"
    );
    assert_eq!(recovers(&hub, "lobby", 101), (false, 0));
    assert_eq!(recovers(&hub, "lobby", 102), (true, 2));
    // More than the channel keeps: the oldest go, and their absence is known.
    assert!(hub.backfill("lobby", &logged(&hub, 50, 104, &[60, 101, 102])));
    assert_eq!(recovers(&hub, "lobby", 101), (false, 0));
    assert_eq!(recovers(&hub, "lobby", 102), (true, 2));
}

#[test]
fn page_of_a_history_is_fetched_where_it_may_be_longer() {
    let (hub, _) = hub(3);
    let query = |limit, since: Option<u64>, is_reverse| HistoryQuery {
        since: since.map(|offset| Position { epoch: EPOCH, offset }),
        limit,
        is_reverse,
    };
    hub.deliver("lobby", 101, "x");
    hub.deliver("lobby", 102, "x");
    let backfill = |after| Coverage::Backfill { after, until: 100 };
    for (query, expected) in [
        (query(0, None, false), Coverage::Ready),
        (query(2, None, true), Coverage::Ready),
        (query(3, None, true), backfill(0)),
        (query(1, Some(102), true), Coverage::Ready),
        (query(2, Some(102), true), backfill(0)),
        (query(3, Some(100), false), Coverage::Ready),
        (query(3, Some(99), false), backfill(99)),
        (query(1, None, false), backfill(0)),
        (query(1, Some(103), false), Coverage::Ahead { offset: 103 }),
    ] {
        assert_eq!(hub.coverage_of("lobby", query), expected, "{query:?}");
    }
    hub.deliver("lobby", 103, "x");
    assert_eq!(hub.coverage_of("lobby", ALL), Coverage::Ready, "as many as are kept");
    assert_eq!(hub.coverage("lobby", Since::Newest(3)), Coverage::Ready);
    assert_eq!(hub.coverage("new", Since::Newest(3)), backfill(0));
    assert_eq!(hub.coverage("new", Since::Now), Coverage::Ready);
}

#[test]
fn history_that_is_removed_is_not_recovered_nor_fetched() {
    let (hub, partitions) = hub(10);
    hub.deliver("lobby", 101, "x");
    hub.remove_history_at("lobby", 103);
    hub.remove_history_at("other", 104);
    assert_eq!(partitions.all()[0].applied(), 104);
    for channel in ["lobby", "other"] {
        assert_eq!(recovers(&hub, channel, 100), (false, 0), "{channel}");
        assert_eq!(recovers(&hub, channel, 104), (true, 0), "{channel}");
    }
    hub.deliver("lobby", 105, "x");
    assert_eq!(hub.read("lobby", ALL), (vec![105], 105));
}

/// The channel that has lost something, and no other one.
#[test]
fn gap_is_declared_at_its_place_to_those_whom_it_concerns() {
    let (hub, _) = hub(10);
    let (peer, other) = (hub.connect().subscribe("lobby"), hub.connect().subscribe("other"));
    hub.deliver("lobby", 101, "before");
    hub.declare_gap("lobby", 109);
    hub.deliver("lobby", 110, "after");
    hub.deliver("other", 111, "x");
    hub.run_until_idle();
    assert_eq!(peer.lines(), ["before", LOST, "after"]);
    assert_eq!(other.lines(), ["x"]);
    assert_eq!(recovers(&hub, "lobby", 101), (false, 0), "what is lost is not recovered");
    assert_eq!(recovers(&hub, "lobby", 109), (true, 1));
    assert_eq!(recovers(&hub, "other", 101), (true, 1));
}

/// Nothing after the gap may reach a client that cannot be told: its position would be after what it lost.
#[test]
fn gap_ends_connections_where_the_policy_is_to_close() {
    let (hub, _) = hub_with(&HubLimits { slow_consumer: SlowConsumer::Close, ..HubLimits::default() }, 10);
    let (peer, other) = (hub.connect().subscribe("lobby"), hub.connect().subscribe("other"));
    hub.deliver("lobby", 101, "before");
    hub.run_until_idle();
    hub.declare_gap("lobby", 109);
    hub.deliver("lobby", 110, "after");
    hub.run_until_idle();
    assert_eq!((peer.lines(), peer.closed()), (vec!["before".to_owned()], Some(CloseReason::InsufficientState)));
    assert_eq!(other.closed(), None);
    hub.end();
}

/// A client with a position makes its subscription again, and learns what it can get.
#[test]
fn gap_ends_positioned_subscriptions_and_their_clients_learn_what_is_lost() {
    let (hub, _) = hub(10);
    let json = MessageShape { encoding: Encoding::Centrifuge(Format::Json), ..MessageShape::default() };
    let [own, backends] = [OnLag::Resubscribe, OnLag::Reconnect].map(|on_lag| {
        let peer = hub.connect_as(json).on_lag(on_lag);
        ["lobby", "other"].iter().for_each(|channel| _ = peer.subscribe_since(channel, Since::Now));
        peer
    });
    hub.deliver("lobby", 101, "before");
    hub.run_until_idle();
    hub.declare_gap("lobby", 109);
    hub.deliver("lobby", 110, "after");
    hub.deliver("other", 111, "x");
    hub.run_until_idle();
    let ended: Vec<_> =
        hub.hub().take_lagging().iter().map(|(id, channel)| (*id, channel.name().to_string())).collect();
    assert_eq!(ended, [(own.id(), "lobby".to_owned())]);
    assert_eq!(backends.closed(), Some(CloseReason::InsufficientState));
    let has = |peer: &Peer, text: &str| peer.lines().iter().any(|line| line.contains(text));
    assert!(!has(&own, "after") && !has(&backends, "after"), "its position would be after the gap");
    assert!(own.closed().is_none() && has(&own, "\"other\""), "its other channel goes on");
    own.unsubscribe("lobby");
    let again = own.subscribe_since("lobby", after(101));
    assert_eq!((again.is_recovered, again.publications), (Some(false), 0));
    hub.deliver("lobby", 112, "again");
    hub.run_until_idle();
    assert!(has(&own, "again"));
    hub.end();
}

/// A hub that comes back to a log after a while does not know what it missed, but may ask the log.
#[test]
fn loss_of_a_partition_is_told_in_every_channel() {
    let (hub, partitions) = hub(10);
    let partition = &partitions.all()[0];
    let peers = ["lobby", "other"].map(|channel| hub.connect().subscribe(channel));
    hub.deliver("lobby", 101, "x");
    let channels = hub.hub().lose(partition, 200);
    let between = numbered(&hub);
    let start = between.subscribe_since("between", Since::Now);
    assert_eq!(start.position, Some(Position { epoch: EPOCH, offset: 200 }), "nothing before comes any more");
    assert_eq!(recovers(&hub, "lobby", 100), (false, 0), "before it was told");
    hub.tell_gap(channels);
    partition.set_applied(200);
    hub.run_until_idle();
    assert_eq!(peers[0].lines(), ["x", LOST]);
    assert_eq!(peers[1].lines(), [LOST]);
    assert_eq!(offsets(&between), [0; 0]);
    assert!(between.lines().iter().all(|line| line != LOST), "it came after the loss");
    assert_eq!(hub.coverage("lobby", after(150)), Coverage::Backfill { after: 150, until: 200 });
    hub.deliver("lobby", 201, "x");
    assert_eq!(recovers(&hub, "lobby", 200), (true, 1));
}

/// A log made anew counts from 1 again: an old position is never one of it.
#[test]
fn new_epoch_begins_every_channel_anew() {
    let (hub, partitions) = hub(10);
    let partition = &partitions.all()[0];
    let peer = hub.connect().subscribe("lobby");
    hub.deliver("lobby", 101, "old");
    let channels = hub.hub().renew_epoch(partition, Epoch::new(8), 0);
    hub.tell_gap(channels);
    hub.deliver("lobby", 1, "new");
    hub.run_until_idle();
    assert_eq!(peer.lines(), ["old", LOST, "new"]);
    assert_eq!(recovers(&hub, "lobby", 1), (false, 0), "an old position");
    assert_eq!(hub.read("lobby", ALL), (vec![1], 1));
    let position = Position { epoch: Epoch::new(8), offset: 0 };
    let again = numbered(&hub).subscribe_since("lobby", Since::After { position, or_newest: 0 });
    assert_eq!((again.is_recovered, again.publications), (Some(true), 1));
    peer.leave();
    hub.end();
}
