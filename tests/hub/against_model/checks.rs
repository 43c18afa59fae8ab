//! What has to hold at the end of a run: everyone got what was due, and what was counted is what happened.

#![expect(clippy::panic, reason = "what fails here fails the test")]

use super::{COALESCE_DELAY_MAX, Due, PUSH_BYTES, REPLY, Subscriber, World, milliseconds};
use crate::simulation::{End, published_line};
use std::collections::HashMap;
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::OnLag;
use throng::protocol::CloseReason;

impl World {
    pub(super) fn check(&self, subscriber: &Subscriber) {
        let peer = &subscriber.peer;
        let reason = peer.closed();
        match reason {
            None => {}
            Some(CloseReason::SlowConsumer) => {
                let is_closed = self.limits.slow_consumer == SlowConsumer::Close || !subscriber.encoding.may_skip();
                assert!(subscriber.was_slow && is_closed);
                self.check_had_its_time(subscriber);
                // Its subscriptions end when they lag, and the connection only when its socket stalls.
                let has_stalled = self.hub.now() - subscriber.since >= self.limits.outbox_stall_max;
                assert!(subscriber.on_lag != OnLag::Resubscribe || has_stalled || self.is_closing_all);
            }
            Some(CloseReason::InsufficientState) => {
                assert!(subscriber.was_slow && subscriber.on_lag == OnLag::Reconnect);
                self.check_had_its_time(subscriber);
            }
            Some(CloseReason::NoPong) => assert!(subscriber.was_slow || subscriber.is_mute),
            Some(CloseReason::TooManyRequests) => assert!(subscriber.asked_to_close),
            Some(CloseReason::Shutdown) => assert!(self.is_closing_all),
            Some(other) => panic!("{other:?} was not asked for"),
        }
        assert!(reason.is_none() || peer.pipe().undecoded() == 0, "bytes after the close frame");
        let was_cut = peer.has_left() || peer.pipe().is_gone() || peer.end() == End::Aborted;
        let has_all = !was_cut && matches!(reason, None | Some(CloseReason::Shutdown));
        assert!(!has_all || self.is_closing_all == reason.is_some(), "open although all were closed");
        self.check_lines(subscriber, has_all);
        let is_told_all = has_all && !self.is_closing_all;
        if let Some(view) = subscriber.view.as_ref().filter(|_| is_told_all) {
            let lines = subscriber.peer.lines();
            if !lines.iter().any(|line| line.ends_with("skipped: this connection is too slow")) {
                self.members.check_view(view, &lines);
            }
        }
    }

    /// A slow consumer lagged by more than memory allows; or by more than its bound, for a while; or stalled for long.
    fn check_had_its_time(&self, subscriber: &Subscriber) {
        let HubLimits { outbox_bytes_max, outbox_stall_max, .. } = self.limits;
        let published = |due: &Due| {
            let lines = &self.published[due.channel];
            let besides = if subscriber.encoding.may_skip() { 1 } else { PUSH_BYTES };
            lines[due.from..due.to.unwrap_or(lines.len())].iter().map(|line| line.text.len() + besides).sum::<usize>()
        };
        let most = subscriber.due.iter().map(published).max().unwrap_or(0) + self.members.told_bytes_max();
        let time = self.hub.now() - subscriber.since;
        let is_over = most > outbox_bytes_max && time >= outbox_stall_max / 10;
        assert!(most > 8 * outbox_bytes_max || is_over || time >= outbox_stall_max, "{most} bytes in {time:?}");
    }

    /// No log keeps more than the slowest may lag by, once everything was fanned out and a tick has measured it.
    pub(super) fn check_memory(&self, time: Duration) {
        if time < milliseconds(COALESCE_DELAY_MAX + 50) {
            return;
        }
        let longest = (0..self.hub.hub().shards()).map(|shard| self.hub.counts(shard).lag_bytes).max();
        assert!(longest <= Some(8 * self.limits.outbox_bytes_max as u64), "a log of {longest:?} bytes");
    }

    /// Order, no gap that was not told exactly, no duplicate, nothing of another channel.
    fn check_lines(&self, subscriber: &Subscriber, has_all: bool) {
        let mut next: HashMap<_, _> = subscriber.due.iter().map(|due| (due.channel, due.from)).collect();
        let (mut told, mut missed, mut replies) = (0, 0, 0);
        let is_single = subscriber.due.len() == 1;
        let is_told = subscriber.encoding.tells_missed();
        for line in subscriber.peer.lines() {
            if let Some(reply) = line.strip_prefix(REPLY) {
                assert!(reply.starts_with(&format!("{replies} ")), "replies come in order, each once: {line}");
                replies += 1;
                continue;
            }
            if let Some(notice) = line.strip_prefix(" [throng] ") {
                told += notice.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
                continue;
            }
            let (offset, line) = published_line(subscriber.encoding, line);
            let mut parts = line.split(':');
            let (channel, number) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let number: usize = number.parse().unwrap_or_else(|_| panic!("not ours: {line}"));
            let known = subscriber.due.iter().map(|due| due.channel).find(|known| *known == channel);
            let known = known.unwrap_or_else(|| panic!("not subscribed to: {line}"));
            let next = next.entry(known).or_default();
            assert!(number >= *next, "{line} again or late, expected {next}");
            let published = &self.published[channel][number];
            assert_eq!(line, published.text);
            assert!(offset.is_none_or(|offset| offset == published.offset), "{offset:?}: {line}");
            let is_lost = subscriber.lost.contains(&(known, number));
            assert!(number == *next || is_lost || subscriber.encoding.may_skip(), "{line} after a gap from {next}");
            missed += number - *next;
            assert!(!is_single || !is_told || missed == told, "{missed} missed and {told} told at {line}");
            *next = number + 1;
        }
        assert!(!has_all || replies == subscriber.replies, "{replies} of {} replies", subscriber.replies);
        let behind: usize = subscriber
            .due
            .iter()
            .map(|due| due.to.unwrap_or_else(|| self.published[due.channel].len()).saturating_sub(next[due.channel]))
            .sum();
        assert!(self.limits.slow_consumer == SlowConsumer::Skip || told == 0);
        if has_all && is_told && !subscriber.has_unsubscribed {
            assert_eq!(missed + behind, told, "missed and told");
        } else {
            assert!(told <= missed + behind, "told {told} of {missed} missed and {behind} behind");
        }
    }

    /// What was counted is what happened.
    pub(super) fn check_counts(&self) {
        let counts: Vec<_> = (0..self.hub.hub().shards()).map(|shard| self.hub.counts(shard)).collect();
        let taken: u64 = self.subscribers.iter().map(|subscriber| subscriber.peer.pipe().taken()).sum();
        assert_eq!(counts.iter().map(|counts| counts.bytes).sum::<u64>(), taken, "bytes");
        let writes: u64 = self.subscribers.iter().map(|subscriber| subscriber.peer.pipe().writes()).sum();
        assert!(counts.iter().map(|counts| counts.sends).sum::<u64>() >= writes, "sends");
        let is_whole = |subscriber: &Subscriber| {
            !subscriber.peer.has_left() && !subscriber.peer.pipe().is_gone() && subscriber.peer.end() != End::Aborted
        };
        let lines = self.subscribers.iter().flat_map(|subscriber| subscriber.peer.lines());
        let lines = lines.filter(|line| !line.starts_with(" [throng]") && !line.starts_with(REPLY)).count() as u64;
        let deliveries = counts.iter().map(|counts| counts.deliveries).sum::<u64>();
        if self.subscribers.iter().all(is_whole) {
            assert_eq!(deliveries, lines, "deliveries");
        } else {
            assert!(deliveries >= lines, "{deliveries} deliveries of {lines} lines");
        }
    }
}
