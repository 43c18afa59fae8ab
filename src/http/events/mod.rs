//! Events: webhooks that tell the application who comes and goes, signed as the Standard Webhooks specify.
//!
//! # Policy
//!
//! An event never waits: the hub puts it into a bounded queue, and what does not fit is dropped, counted and logged.
//! One task sends what is queued, in order and joined to requests, and repeats a request until it is taken. So the
//! application gets each event at least once, and can tell a repetition by the id of its request.

mod event;
mod sender;
mod signature;

use crate::config::{EventType, EventsConfig};
use crate::hub::observer::{Change, Observer};
use crate::hub::{ClientId, HubId};
use crate::metrics::Metrics;
use crate::session::users::Users;
use event::Event;
use sender::Queued;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

pub(crate) use sender::{EventSender, UnsentEvents};

/// Most events that wait: minutes of a busy hub, some 10 MB.
const QUEUE_MAX: usize = 65_536;

/// Puts events into the queue.
pub(crate) struct EventQueue {
    queue: mpsc::Sender<Event>,
    queued: Arc<Queued>,
    /// Empty for all.
    types: Vec<EventType>,
    users: Arc<Users>,
    /// The hub's id in a cluster.
    hub: Option<HubId>,
    metrics: Arc<Metrics>,
}

/// Returns both ends of the queue; `None` if no events are sent.
pub(crate) fn channel(
    config: &EventsConfig,
    users: &Arc<Users>,
    hub: Option<HubId>,
    metrics: &Arc<Metrics>,
) -> Option<(EventQueue, EventSender)> {
    let (url, secret) = (config.events_url.clone()?, config.events_secret.as_ref()?);
    let (queue, events) = mpsc::channel(QUEUE_MAX);
    let queued = Arc::<Queued>::default();
    let (users, types) = (Arc::clone(users), config.events_types.clone());
    let sender = EventSender::new(url, secret, events, Arc::clone(&queued), Arc::clone(metrics));
    Some((EventQueue { queue, queued, types, users, hub, metrics: Arc::clone(metrics) }, sender))
}

impl EventQueue {
    fn put(&self, event: Event) {
        // Counted before it can be sent.
        self.queued.add();
        if self.queue.try_send(event).is_err() {
            self.queued.drop_one();
            Metrics::count(&self.metrics.process.events_lost);
            tracing::error!("--events-url: {QUEUE_MAX} events wait, so one is lost; see events_lost in the metrics");
        }
    }
}

impl Observer for EventQueue {
    fn observe(&self, change: Change<'_>) {
        let (kind, id, channel) = match change {
            Change::Connected(id) => (EventType::Connected, Some(id), None),
            Change::Disconnected(id) => (EventType::Disconnected, Some(id), None),
            Change::Subscribed(id, channel) => (EventType::Subscribed, Some(id), Some(channel)),
            Change::Unsubscribed(id, channel) => (EventType::Unsubscribed, Some(id), Some(channel)),
            Change::Occupied(channel) => (EventType::Occupied, None, Some(channel)),
            Change::Vacated(channel) => (EventType::Vacated, None, Some(channel)),
        };
        let is_sent = self.types.is_empty() || self.types.contains(&kind);
        if is_sent && channel.is_none_or(|channel| !channel.is_private()) {
            let user = id.and_then(|id| self.users.user_of(id));
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let client = id.map(|connection| ClientId { hub: self.hub, connection });
            self.put(Event { kind, time, client, user, channel: channel.cloned() });
        }
    }
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue").field("types", &self.types).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
