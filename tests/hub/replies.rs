//! Replies: they stand where they belong, are bounded for a client that does not read, and pay back what they took.

use crate::simulation::{Peer, SimulatedHub};
use std::iter;
use throng::config::HubLimits;
use throng::engine::replies::{REPLY_BYTES_MAX, ReplyBudget};
use throng::hub::{Command, Opening, SubscribeError, SubscribeOptions};
use throng::protocol::position::Start;
use throng::protocol::websocket::frame::{self, Opcode};
use throng::protocol::{ChannelName, CloseReason, Publication};

fn hub() -> SimulatedHub {
    SimulatedHub::with_limits(&HubLimits::default())
}

/// Everything that waits has left, and what it took is back.
fn check_is_settled(hub: &SimulatedHub, budget: &ReplyBudget) {
    hub.run_until_idle();
    assert_eq!(budget.available(), REPLY_BYTES_MAX);
    assert_eq!(hub.hub().inbox(0).bytes(), 0, "credits");
}

/// Fills the budget of a client, and returns the replies that found a place.
fn fill(hub: &SimulatedHub, peer: &Peer, budget: &ReplyBudget) -> Vec<String> {
    let replies = (0..).map(|number| format!("{number}:{}", "x".repeat(1000)));
    let replies: Vec<_> = replies.take_while(|text| hub.try_reply(peer, budget, text)).collect();
    assert!((60..70).contains(&replies.len()), "{} replies of 1,000 bytes", replies.len());
    replies
}

#[test]
fn reply_stands_before_what_is_published_after_it() {
    let (hub, budget) = (hub(), ReplyBudget::default());
    let peer = hub.connect().subscribe("a");
    assert!(hub.try_reply(&peer, &budget, "reply"));
    hub.publish("a", "publication");
    hub.run_until_idle();
    assert_eq!(hub.received(&peer), ["reply", "publication"]);
    check_is_settled(&hub, &budget);
}

/// R3: replies of a client that does not read are bounded, and none is lost.
#[test]
fn replies_wait_for_a_client_that_does_not_read_up_to_their_bound() {
    let (hub, budget) = (hub(), ReplyBudget::default());
    let peer = hub.connect().subscribe("a").stalled();
    let replies = fill(&hub, &peer, &budget);
    hub.publish("a", "later");
    hub.run_until_idle();
    assert!(!hub.try_reply(&peer, &budget, &"x".repeat(1000)), "all of them still wait");
    // In pieces, so that a reply is cut in the middle: what is left of it is paid for.
    for _ in 0..10 {
        peer.pipe().drain(1003);
        hub.run_until_idle();
    }
    assert!(budget.available() < 1000, "{} bytes", budget.available());
    peer.resume();
    hub.run_until_idle();
    assert_eq!(hub.received(&peer), [replies, vec!["later".to_owned()]].concat());
    check_is_settled(&hub, &budget);
    assert!(hub.try_reply(&peer, &budget, &"y".repeat(2 * REPLY_BYTES_MAX)), "a long one, alone");
    check_is_settled(&hub, &budget);
}

#[test]
fn replies_of_a_connection_that_ends_are_paid_back() {
    for end in ["closed", "gone", "left", "restarted"] {
        let (hub, budget) = (hub(), ReplyBudget::default());
        let peer = hub.connect().subscribe("a").stalled();
        fill(&hub, &peer, &budget);
        if end != "left" {
            hub.run_until_idle();
        }
        match end {
            "closed" => hub.close(&peer, CloseReason::Shutdown),
            "gone" => peer.pipe().vanish(),
            "left" => peer.leave(),
            _ => hub.restart(0),
        }
        hub.run_until_idle();
        peer.resume();
        check_is_settled(&hub, &budget);
        peer.leave();
        hub.run_until_idle();
        // A connection that is gone.
        assert!(hub.try_reply(&peer, &budget, "late"));
        check_is_settled(&hub, &budget);
    }
}

/// Subscribes a peer whose reply is this text.
fn subscribe(hub: &SimulatedHub, peer: &Peer, budget: &ReplyBudget, text: &str, bytes: usize) -> Result<(), usize> {
    let encode =
        |_: Start, _: &mut dyn Iterator<Item = Publication>| Some(frame::encode(Opcode::Text, text.as_bytes()));
    let permit = budget.try_acquire(bytes).expect("little waits");
    let opening = Opening { encode: &encode, permit };
    let credit = hub.hub().inbox(0).try_credit(bytes).expect("little waits");
    let name = ChannelName::parse("a").expect("it is a name");
    match hub.hub().subscribe_with(peer.id(), &name, &SubscribeOptions::default(), Some(opening), credit) {
        Ok(subscribed) => {
            peer.note_subscription("a", subscribed.channel);
            Ok(())
        }
        Err(SubscribeError::Credit { bytes }) => Err(bytes),
        Err(refused) => unreachable!("{refused}"),
    }
}

/// The reply to a subscription stands before the first publication, also when it has to wait for the socket.
#[test]
fn reply_to_a_subscription_stands_before_its_first_publication() {
    for is_stalled in [false, true] {
        let (hub, budget) = (hub(), ReplyBudget::default());
        let other = hub.connect().subscribe("a");
        let mut peer = hub.connect().subscribe("b");
        if is_stalled {
            peer = peer.stalled();
            hub.publish("b", "before");
        }
        hub.publish("a", "not for it");
        subscribe(&hub, &peer, &budget, "subscribed", 64).expect("it is paid for");
        hub.publish("a", "first");
        hub.run_until_idle();
        peer.resume();
        hub.run_until_idle();
        let lines: Vec<_> = hub.received(&peer).into_iter().filter(|line| line != "before").collect();
        assert_eq!(lines, ["subscribed", "first"]);
        assert_eq!(hub.received(&other), ["not for it", "first"]);
        check_is_settled(&hub, &budget);
        hub.end();
    }
}

/// A reply that is longer than was reckoned with must not give back more credits than it took.
#[test]
fn reply_to_a_subscription_takes_the_credits_of_its_length() {
    let (hub, budget) = (hub(), ReplyBudget::default());
    let (peer, text) = (hub.connect(), iter::repeat_n('x', 5000).collect::<String>());
    hub.run_until_idle();
    let needed = subscribe(&hub, &peer, &budget, &text, 64).expect_err("it is longer");
    assert!(needed >= 5000);
    check_is_settled(&hub, &budget);
    subscribe(&hub, &peer, &budget, &text, needed).expect("it is paid for");
    assert!(hub.hub().inbox(0).bytes() >= 5000);
    check_is_settled(&hub, &budget);
    assert_eq!(hub.received(&peer), [text]);
    hub.end();
}

/// What a client gets with its connect stands before every publication, however many subscriptions it begins with.
#[test]
fn held_connection_gets_everything_after_its_release_and_its_reply_first() {
    for is_stalled in [false, true] {
        let (hub, budget) = (hub(), ReplyBudget::default());
        let mut peer = hub.connect();
        hub.run_until_idle();
        let id = peer.id();
        hub.push(id.shard(), Command::Hold { id });
        peer = peer.subscribe("a").subscribe("b");
        hub.publish("a", "one");
        hub.publish("b", "two");
        hub.push(id.shard(), Command::Ping { id, body: "ping".into() });
        // A runtime may call for nothing.
        peer.pipe().wake_in_vain();
        hub.run_until_idle();
        assert!(hub.received(&peer).is_empty() && peer.pongs().is_empty());
        if is_stalled {
            peer = peer.stalled();
        }
        assert!(hub.try_reply(&peer, &budget, "connected"));
        hub.push(id.shard(), Command::Release { id });
        hub.run_until_idle();
        peer.resume();
        hub.run_until_idle();
        let mut lines = hub.received(&peer);
        assert_eq!(lines.remove(0), "connected");
        lines.sort();
        assert_eq!((lines, peer.pongs().len()), (vec!["one".to_owned(), "two".to_owned()], 1));
        check_is_settled(&hub, &budget);
        hub.end();
    }
}
