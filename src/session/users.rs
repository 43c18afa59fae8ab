//! The index of users: which connections each user has, and when those of clients with a token expire.
//!
//! An anonymous client without a token is not in it and costs nothing. An entry leaves with the [`UserPermit`] of its
//! connection, which the reader drops however the connection ends, so the index is bounded by the connections.

use super::hooks::Asker;
use crate::auth::UserId;
use crate::hub::ConnectionId;
use dashmap::DashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Who a client is, and until when, as its token says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// `None` for an anonymous client.
    pub user: Option<UserId>,
    /// In seconds since the Unix epoch; `None` if the connection does not expire.
    pub expires_at: Option<u64>,
    /// How the application is asked about a client of one channel; `None` for one that tells it itself.
    pub asker: Option<Arc<Asker>>,
}

/// The connections of users, and those that expire.
#[derive(Debug, Default)]
pub struct Users {
    connections: DashMap<UserId, SmallVec<[ConnectionId; 1]>>,
    expiries: Mutex<Expiries>,
}

/// When clients expire. In seconds since the Unix epoch.
#[derive(Debug, Default)]
struct Expiries {
    /// Every client with a token.
    clients: HashMap<ConnectionId, Identity>,
    /// In order, so that one task finds those that are due without looking at the others.
    due: BTreeSet<(u64, ConnectionId)>,
}

impl Expiries {
    fn insert(&mut self, id: ConnectionId, identity: Identity) {
        self.due.extend(identity.expires_at.map(|at| (at, id)));
        self.clients.insert(id, identity);
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Identity> {
        let identity = self.clients.remove(&id)?;
        if let Some(at) = identity.expires_at {
            self.due.remove(&(at, id));
        }
        Some(identity)
    }
}

/// A connection that is in the index until this is dropped.
#[derive(Debug)]
pub struct UserPermit {
    users: Arc<Users>,
    id: ConnectionId,
    user: Option<UserId>,
}

impl Users {
    /// Adds a connection. Returns `None` if its user has `connections_max` already.
    pub fn admit(self: &Arc<Self>, id: ConnectionId, identity: Identity, connections_max: usize) -> Option<UserPermit> {
        if let Some(user) = &identity.user {
            let mut connections = self.connections.entry(user.clone()).or_default();
            if connections.len() >= connections_max {
                return None;
            }
            connections.push(id);
        }
        let user = identity.user.clone();
        self.expiries.lock().insert(id, identity);
        Some(UserPermit { users: Arc::clone(self), id, user })
    }

    /// Returns the connections of a user.
    pub fn of(&self, user: &UserId) -> Vec<ConnectionId> {
        self.connections.get(user).map(|connections| connections.to_vec()).unwrap_or_default()
    }

    /// Returns the number of users that are connected.
    pub fn connected(&self) -> usize {
        self.connections.len()
    }

    /// Returns the connections that are still there although they have expired.
    pub fn expired(&self, now: u64) -> Vec<ConnectionId> {
        self.expiries.lock().due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Returns the user that a connection belongs to; `None` for an anonymous client and for one that is gone.
    pub fn user_of(&self, id: ConnectionId) -> Option<UserId> {
        self.expiries.lock().clients.get(&id)?.user.clone()
    }

    /// Returns how the application is asked about a client of one channel.
    pub fn asker_of(&self, id: ConnectionId) -> Option<Arc<Asker>> {
        self.expiries.lock().clients.get(&id)?.asker.clone()
    }

    /// Changes what comes back with later questions about a client of one channel.
    pub fn set_meta(&self, id: ConnectionId, meta: &Arc<str>) {
        if let Some(Identity { asker: Some(asker), .. }) = self.expiries.lock().clients.get_mut(&id) {
            Arc::make_mut(asker).meta = Some(Arc::clone(meta));
        }
    }

    /// Changes when a client with a token expires. Returns whether it is there.
    pub fn set_expiry(&self, id: ConnectionId, at: Option<u64>) -> bool {
        let expiries = &mut *self.expiries.lock();
        let Some(identity) = expiries.remove(id) else { return false };
        expiries.insert(id, Identity { expires_at: at, ..identity });
        true
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        self.users.expiries.lock().remove(self.id);
        if let Some(user) = &self.user {
            // In one step: a user whose last connection leaves may be connecting again.
            self.users.connections.remove_if_mut(user, |_, connections| {
                connections.retain(|id| *id != self.id);
                connections.is_empty()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::{Hub, SlotReservation};
    use crate::metrics::Metrics;
    use crate::net::socket::SocketSink;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// Returns the id of a connection that no other number has.
    fn id(number: usize) -> ConnectionId {
        static SLOTS: LazyLock<Vec<SlotReservation>> = LazyLock::new(|| {
            let config = Config::default().complete(1, 1_000).unwrap();
            let (hub, _) = Hub::<SocketSink>::tuned(&config.limits, &config.tuning, Arc::new(Metrics::new(1)));
            (0..100).map(|_| hub.reserve_slot().unwrap()).collect()
        });
        SLOTS[number].id()
    }

    fn identity(user: &str, expires_at: Option<u64>) -> Identity {
        Identity { user: UserId::new(user), expires_at, asker: None }
    }

    /// docs/threats.md, row 13: the limit is allowed, one more is not, others are not affected, and an end makes room.
    #[test]
    fn user_has_as_many_connections_as_it_may_have() {
        let users = Arc::new(Users::default());
        let mut permits: Vec<_> = (0..2).map(|slot| users.admit(id(slot), identity("42", None), 2).unwrap()).collect();
        assert!(users.admit(id(2), identity("42", None), 2).is_none());
        assert!(users.admit(id(3), identity("43", None), 2).is_some());
        assert!(users.admit(id(4), identity("", None), 0).is_some(), "an anonymous client is no user");
        permits.pop();
        assert_eq!(users.of(&UserId::new("42").unwrap()), [id(0)]);
        assert!(users.admit(id(2), identity("42", None), 2).is_some());
    }

    /// A connection that has expired is found until it is gone, since it may be told before its shard knows it.
    #[test]
    fn expired_connections_are_found_until_they_are_gone() {
        let users = Arc::new(Users::default());
        let early = users.admit(id(0), identity("a", Some(10)), 9).unwrap();
        let _late = users.admit(id(1), identity("", Some(20)), 9).unwrap();
        let _never = users.admit(id(2), identity("a", None), 9).unwrap();
        assert_eq!(users.expired(9), []);
        assert_eq!((users.expired(10), users.expired(10)), (vec![id(0)], vec![id(0)]));
        assert_eq!(users.expired(20), [id(0), id(1)]);
        drop(early);
        assert_eq!(users.expired(u64::MAX), [id(1)]);
    }

    /// A backend moves the end of a connection, and never that of one that is gone.
    #[test]
    fn expiry_is_moved_while_the_connection_is_there() {
        let users = Arc::new(Users::default());
        let permit = users.admit(id(0), identity("a", Some(10)), 9).unwrap();
        assert!(users.set_expiry(id(0), Some(30)));
        assert_eq!((users.expired(29), users.expired(30)), (vec![], vec![id(0)]));
        assert!(users.set_expiry(id(0), None));
        assert_eq!(users.expired(u64::MAX), []);
        assert!(users.set_expiry(id(0), Some(1)));
        drop(permit);
        assert!(!users.set_expiry(id(0), Some(1)));
        assert_eq!(users.expired(u64::MAX), []);
    }

    proptest! {
        /// Whatever comes and goes, the index is what is there, and nothing is left at the end.
        #[test]
        fn index_is_what_is_there(steps in prop::collection::vec((0_usize..6, 0_u64..4, any::<bool>()), 0..60)) {
            let users = Arc::new(Users::default());
            let mut there: Vec<(&str, Option<u64>, ConnectionId, UserPermit)> = Vec::new();
            for (slot, (user, at, comes)) in steps.into_iter().enumerate() {
                let name = ["a", "b", "c", "d", "e", ""][user];
                if comes || there.is_empty() {
                    let expires_at = (at > 0).then_some(at);
                    let model = there.iter().filter(|(other, ..)| *other == name && !name.is_empty()).count();
                    let admitted = users.admit(id(slot), identity(name, expires_at), 3);
                    prop_assert_eq!(admitted.is_some(), model < 3);
                    there.extend(admitted.map(|permit| (name, expires_at, id(slot), permit)));
                } else {
                    there.swap_remove(slot % there.len());
                }
                let mut expected: Vec<_> =
                    there.iter().filter(|(other, ..)| *other == "a").map(|(.., id, _)| *id).collect();
                let mut found = users.of(&UserId::new("a").unwrap());
                expected.sort();
                found.sort();
                prop_assert_eq!(found, expected);
                let due = there.iter().filter(|(_, at, ..)| at.is_some_and(|at| at <= 2)).count();
                prop_assert_eq!(users.expired(2).len(), due);
            }
            drop(there);
            prop_assert_eq!((users.connected(), users.expired(u64::MAX).len()), (0, 0));
        }
    }
}
