//! Subscriptions that end because they lag, whose clients make them again.

use super::{Due, REPLY, Subscriber, World};
use crate::simulation::{End, published_line};
use throng::hub::{OnLag, Since};
use throng::protocol::Position;

impl World {
    /// Whose subscription has ended because it lags reads what is on its way, is told, and subscribes again from there.
    pub(super) fn subscribe_lagging(&mut self) {
        for (id, ended) in self.hub.hub().take_lagging() {
            let is_here = |one: &Subscriber| {
                let is_open = one.peer.closed().is_none() && one.peer.end() == End::Open && !one.peer.pipe().is_gone();
                one.peer.id() == id && !one.peer.has_left() && is_open
            };
            let Some(at) = self.subscribers.iter().position(is_here) else { continue };
            let Subscriber { peer, due, on_lag, was_slow, .. } = &self.subscribers[at];
            assert!(*was_slow && *on_lag == OnLag::Resubscribe);
            let is_it = |due: &&Due| due.channel == ended.name().as_str() && due.to.is_none();
            let Some(Due { channel, from, .. }) = due.iter().find(is_it).copied() else { continue };
            let peer = peer.clone();
            peer.resume();
            self.hub.run_until_idle();
            if peer.closed().is_some() {
                continue;
            }
            let next = self.subscribers[at].next(channel).unwrap_or(from);
            peer.unsubscribe(channel);
            self.members.leave(channel, &peer);
            let life = self.lives[channel];
            let since = match (life.epoch, next.checked_sub(life.first)) {
                (Some(epoch), Some(missed_from)) => {
                    Since::After { position: Position { epoch, offset: missed_from as u64 }, or_newest: 0 }
                }
                _ => Since::Now,
            };
            let again = self.subscribe_since(&peer, channel, since);
            let subscriber = &mut self.subscribers[at];
            (subscriber.has_unsubscribed, subscriber.view) = (true, None);
            if again.from != next {
                subscriber.lost.push((channel, again.from));
            }
        }
    }
}

impl Subscriber {
    /// Returns the number of the line of a channel that it expects next, if it has one of it.
    fn next(&self, channel: &str) -> Option<usize> {
        let numbers = self.peer.lines().into_iter().rev().filter_map(|line| {
            let line = Some(line).filter(|line| !line.starts_with(" [throng]") && !line.starts_with(REPLY))?;
            let (_, line) = published_line(self.encoding, line);
            line.strip_prefix(channel)?.strip_prefix(':')?.split(':').next()?.parse::<usize>().ok()
        });
        numbers.map(|number| number + 1).next()
    }
}
