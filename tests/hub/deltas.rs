//! Deltas: a subscriber that asked for them gets what has changed, and everyone what was published.

use crate::simulation::{Peer, SimulatedHub};
use serde_json::Value;
use throng::config::HubLimits;
use throng::hub::MessageShape;
use throng::protocol::Encoding;
use throng::protocol::centrifuge::Format;

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

fn hub() -> SimulatedHub {
    SimulatedHub::with_limits(&HubLimits::default())
}

fn connect(hub: &SimulatedHub, encoding: Encoding) -> Peer {
    hub.connect_as(MessageShape { encoding, ..MessageShape::default() }).subscribe("scores")
}

fn score(minute: u32) -> String {
    format!("Alpha against Beta, a game of two halves: it is 1 to 0 in minute {minute} of 90, and it rains")
}

/// The texts that a peer has got, whatever they were written in.
fn texts(peer: &Peer) -> Vec<String> {
    let text = |line: String| {
        let push: Option<Value> = serde_json::from_str(&line).ok();
        push.map_or(line, |push| push["push"]["pub"]["data"].as_str().unwrap().to_owned())
    };
    peer.lines().into_iter().map(text).collect()
}

#[test]
fn subscribers_get_what_has_changed_and_all_of_them_what_was_published() {
    for format in FORMATS {
        let hub = hub();
        let [deltas, again] = [(); 2].map(|()| connect(&hub, Encoding::CentrifugeDeltas(format)));
        let (whole, chat) = (connect(&hub, Encoding::Centrifuge(format)), connect(&hub, Encoding::Lines));
        let scores: Vec<_> = (1..=90).map(score).collect();
        for score in &scores {
            hub.publish("scores", score);
            hub.run_until_idle();
        }
        for peer in [&deltas, &again, &whole, &chat] {
            assert_eq!(texts(peer), scores, "{format:?}");
        }
        assert_eq!([&deltas, &again, &whole].map(Peer::deltas), [89, 89, 0]);
        let [less, more] = [&deltas, &whole].map(|peer| peer.pipe().taken());
        assert!(less * 3 < more * 2, "{less} bytes instead of {more}");
        hub.end();
    }
}

/// A newcomer cannot make anything of a delta: the next publication is whole, for everyone in that log.
#[test]
fn newcomer_begins_with_a_whole_publication() {
    for format in FORMATS {
        let hub = hub();
        let first = connect(&hub, Encoding::CentrifugeDeltas(format));
        for minute in 1..=3 {
            hub.publish("scores", score(minute));
        }
        let second = connect(&hub, Encoding::CentrifugeDeltas(format));
        for minute in 4..=5 {
            hub.publish("scores", score(minute));
        }
        hub.run_until_idle();
        assert_eq!(texts(&first), (1..=5).map(score).collect::<Vec<_>>());
        assert_eq!(texts(&second), (4..=5).map(score).collect::<Vec<_>>());
        assert_eq!(
            (first.deltas(), second.deltas()),
            (3, 1),
            "all but the first and the fourth, and all but the first"
        );
        // Whoever leaves and comes back has the chain of the others no more.
        second.unsubscribe("scores");
        hub.publish("scores", score(6));
        let third = second.subscribe("scores");
        hub.publish("scores", score(7));
        hub.run_until_idle();
        assert_eq!(texts(&third).last(), Some(&score(7)));
        hub.end();
    }
}

/// A subscriber that lags reads the same log later: the deltas still fit each other.
#[test]
fn lagging_subscriber_gets_every_delta_in_order() {
    for format in FORMATS {
        let hub = hub();
        let slow = connect(&hub, Encoding::CentrifugeDeltas(format)).stalled();
        let fast = connect(&hub, Encoding::CentrifugeDeltas(format));
        let scores: Vec<_> = (1..=90).map(score).collect();
        for score in &scores {
            hub.publish("scores", score);
            hub.run_until_idle();
            slow.pipe().drain(7);
        }
        slow.resume();
        hub.run_until_idle();
        assert_eq!([texts(&slow), texts(&fast)], [scores.clone(), scores]);
        hub.end();
    }
}
