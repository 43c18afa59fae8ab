//! The bound of the queue.

use super::*;
use crate::config::Config;

/// What does not fit is counted and said, and takes no time from the client. docs/threats.md, row 42.
#[test]
fn events_beyond_the_bound_are_dropped_and_counted() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let text = format!("[events]\nevents_url = \"http://127.0.0.1:1/\"\nevents_secret = \"{secret}\"\n");
    let (users, metrics) = (Arc::default(), Arc::new(Metrics::new(1)));
    let (queue, sender) = channel(&Config::from_toml(&text).unwrap().events, &users, None, &metrics).unwrap();
    let name = crate::protocol::ChannelName::parse("news").unwrap();
    for _ in 0..QUEUE_MAX {
        queue.observe(Change::Occupied(&name));
    }
    assert_eq!((metrics.process.read().events_lost, sender.unsent().count()), (0, QUEUE_MAX));
    for _ in 0..3 {
        queue.observe(Change::Vacated(&name));
    }
    assert_eq!((metrics.process.read().events_lost, sender.unsent().count()), (3, QUEUE_MAX));
    let event = Event {
        kind: EventType::Vacated,
        time: std::time::Duration::ZERO,
        client: None,
        user: None,
        channel: Some(name),
    };
    let body = event::body(&[event], queue.queued.take_lost());
    assert_eq!(body, br#"{"lost":3,"events":[{"type":"vacated","time":0,"channel":"news"}]}"#.as_slice());
    assert_eq!(queue.queued.take_lost(), 0, "it is said once");
    assert!(!format!("{queue:?} {sender:?}").contains("MfKQ"));
}
