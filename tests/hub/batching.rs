//! What several channels hold for one connection leaves in one write, and a short one loses nothing.

use crate::simulation::SimulatedHub;
use throng::config::HubLimits;

const CHANNELS: [&str; 3] = ["red", "green", "blue"];

/// Two lines to each channel, of all of which nothing was sent yet.
fn publish(hub: &SimulatedHub) {
    for channel in CHANNELS {
        hub.publish(channel, format!("first of {channel}"));
        hub.publish(channel, format!("second of {channel}"));
    }
}

/// The lines of a channel, in the order in which they came.
fn of(channel: &str, lines: &[String]) -> Vec<String> {
    lines.iter().filter(|line| line.ends_with(channel)).cloned().collect()
}

/// A delivery costs one write: a subscriber of ten channels must not cost ten.
#[test]
fn news_of_several_channels_leaves_in_one_write() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let everywhere = CHANNELS.into_iter().fold(hub.connect(), |peer, channel| peer.subscribe(channel));
    let somewhere = hub.connect().subscribe("green");
    hub.run_until_idle();
    publish(&hub);
    hub.run_until_idle();
    assert_eq!((everywhere.pipe().writes(), somewhere.pipe().writes()), (1, 1));
    let counts = hub.counts(0);
    assert_eq!((counts.sends, counts.deliveries), (2, 8));
    let lines = hub.received(&everywhere);
    for channel in CHANNELS {
        assert_eq!(of(channel, &lines), [format!("first of {channel}"), format!("second of {channel}")]);
    }
    assert_eq!(hub.received(&somewhere).len(), 2);
    hub.end();
}

/// The socket may be full at any byte, also between two frames and after the last one.
#[test]
fn joined_frames_survive_a_short_write_at_every_byte() {
    let whole = CHANNELS.iter().map(|name| 2 + format!("first of {name}\nsecond of {name}").len()).sum::<usize>();
    for room in 0..=whole {
        let hub = SimulatedHub::with_limits(&HubLimits::default());
        let peer = CHANNELS.into_iter().fold(hub.connect(), |peer, channel| peer.subscribe(channel));
        hub.run_until_idle();
        peer.pipe().limit(room);
        publish(&hub);
        hub.run_until_idle();
        assert_eq!(peer.pipe().taken(), room as u64);
        peer.resume();
        hub.run_until_idle();
        let lines = hub.received(&peer);
        for channel in CHANNELS {
            let expected = [format!("first of {channel}"), format!("second of {channel}")];
            assert_eq!(of(channel, &lines), expected, "{room} bytes of room");
        }
        assert_eq!((lines.len(), hub.counts(0).deliveries), (6, 6), "{room} bytes of room");
        hub.end();
    }
}

/// Publications too large to be copied per connection leave channel by channel, and nothing twice.
#[test]
fn large_news_is_not_joined() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let peer = CHANNELS.into_iter().fold(hub.connect(), |peer, channel| peer.subscribe(channel));
    hub.run_until_idle();
    CHANNELS.iter().for_each(|channel| hub.publish(channel, channel.repeat(4000)));
    hub.run_until_idle();
    let mut lines = hub.received(&peer);
    lines.sort_by_key(String::len);
    assert_eq!(lines, ["red", "blue", "green"].map(|channel| channel.repeat(4000)));
    hub.end();
}
