//! Who a client is, and what that gives it: as its token or the application says.

use super::hooks::{Admission, Subscription};
use crate::auth::{Claims, UserId};
use crate::protocol::{Payload, Profile};
use std::sync::Arc;

/// Who a client is; by default an anonymous one without a token.
#[derive(Clone, Debug, Default)]
pub struct Identified {
    /// Its connection is counted for its user, and can expire.
    pub is_known: bool,
    /// `None` for an anonymous one.
    pub user: Option<UserId>,
    /// When its connection expires, in seconds since 1970.
    pub expires_at: Option<u64>,
    /// What others may know of it: JSON in one line.
    pub info: Option<Arc<str>>,
    /// The channels that it may enter in any case, and what is said of its subscriptions there.
    pub channels: Vec<(String, Subscription)>,
    /// What it gets.
    pub data: Option<Payload>,
    /// What comes back with questions about it.
    pub meta: Option<Arc<str>>,
}

impl From<Claims> for Identified {
    fn from(claims: Claims) -> Self {
        let subscription = |name: &String| Subscription { info: claims.channel_info(name), ..Subscription::default() };
        let channels = claims.channels.iter().map(|name| (name.clone(), subscription(name))).collect();
        let Claims { user, connection_expires: expires_at, info, meta, .. } = claims;
        Self { is_known: true, user, expires_at, info, channels, data: None, meta }
    }
}

impl From<Admission> for Identified {
    fn from(admission: Admission) -> Self {
        let Admission { user, expires_at, info, data, channels, meta } = admission;
        Self { is_known: true, user, expires_at, info, channels, data, meta }
    }
}

impl Identified {
    /// Adds the channel of its user, unless it is named already.
    pub fn add_personal_channel(&mut self) {
        let Some(user) = &self.user else { return };
        let personal = format!("#{}", user.as_str());
        if self.subscription(&personal).is_none() {
            self.channels.push((personal, Subscription::default()));
        }
    }

    /// Returns what is said of its subscription to a channel, if it may enter it in any case.
    pub fn subscription(&self, channel: &str) -> Option<&Subscription> {
        self.channels.iter().find(|(name, _)| name == channel).map(|(_, subscription)| subscription)
    }

    /// Returns what others may know of it, with what is known of it in one channel.
    pub fn profile(&self, chan_info: Option<Arc<str>>) -> Profile {
        Profile { user: self.user.as_ref().map(UserId::shared), conn_info: self.info.clone(), chan_info }
    }
}
