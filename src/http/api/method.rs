//! The methods of the API: their names, and the scope that a key needs for them.

use super::error::{ApiError, ErrorKind};
use crate::config::ApiScope;
use crate::metrics::API_METHODS;

/// A method; in the order of [`API_METHODS`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Publish,
    Broadcast,
    PublishStream,
    History,
    HistoryRemove,
    Presence,
    PresenceStats,
    Channels,
    Info,
    Disconnect,
    Subscribe,
    Unsubscribe,
    Refresh,
    Batch,
}

impl Method {
    pub(super) const ALL: [Self; API_METHODS.len() - 1] = [
        Self::Publish,
        Self::Broadcast,
        Self::PublishStream,
        Self::History,
        Self::HistoryRemove,
        Self::Presence,
        Self::PresenceStats,
        Self::Channels,
        Self::Info,
        Self::Disconnect,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Refresh,
        Self::Batch,
    ];

    /// Where requests of methods that do not exist are counted.
    pub(super) const UNKNOWN: usize = API_METHODS.len() - 1;

    /// Returns the method with that name.
    ///
    /// # Errors
    ///
    /// An error with all names.
    pub(super) fn find(name: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let text = format!("{name:.40?} is not a method; the methods are {names}, each as POST /api/METHOD");
            ApiError::new(ErrorKind::UnknownMethod, text)
        })
    }

    pub(super) const fn name(self) -> &'static str {
        API_METHODS[self as usize]
    }

    /// Returns what it does, in a line.
    pub(super) const fn summary(self) -> &'static str {
        match self {
            Self::Publish => "Publishes to a channel",
            Self::Broadcast => "Publishes the same to many channels",
            Self::PublishStream => "Publishes line by line: a publication per line in, an answer per line out",
            Self::History => "Reads what a channel keeps",
            Self::HistoryRemove => "Drops what a channel keeps",
            Self::Presence => "Lists who is in a channel",
            Self::PresenceStats => "Counts who is in a channel",
            Self::Channels => "Lists the channels that have subscribers",
            Self::Info => "Tells the numbers of the hub",
            Self::Disconnect => "Closes a connection",
            Self::Subscribe => "Subscribes a connection to a channel",
            Self::Unsubscribe => "Removes a connection from a channel",
            Self::Refresh => "Moves the end of a connection that has a token",
            Self::Batch => "Carries out several commands",
        }
    }

    /// Returns the scope that a key needs; `None` where each command needs its own.
    pub(super) const fn scope(self) -> Option<ApiScope> {
        match self {
            Self::Publish | Self::Broadcast | Self::PublishStream => Some(ApiScope::Publish),
            Self::History | Self::Presence | Self::PresenceStats | Self::Channels | Self::Info => Some(ApiScope::Read),
            Self::HistoryRemove | Self::Disconnect | Self::Subscribe | Self::Unsubscribe | Self::Refresh => {
                Some(ApiScope::Manage)
            }
            Self::Batch => None,
        }
    }
}
