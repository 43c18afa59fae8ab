//! Refusals: why something did not get into the log of its channel.

use crate::metrics::PublishRefusal;
use thiserror::Error;

/// Why something was not published.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refused {
    /// As many as may wait do already.
    #[error("--publish-in-flight publications wait for NATS already")]
    InFlight,
    /// There was no acknowledgement in time.
    #[error("NATS did not acknowledge it within --publish-ack-timeout")]
    Timeout,
    /// It is larger than NATS accepts.
    #[error("it is larger than the max_payload of the NATS servers")]
    TooLarge,
    /// It failed, and one that was sent after it is, or may be, in its channel.
    #[error("NATS did not take it, and may have taken a later one of the same request, which it must not follow")]
    Overtaken,
    /// The hub is not part of the cluster yet.
    #[error("the hub has not found its streams in NATS yet")]
    NotReady,
}

impl Refused {
    /// Returns how it is counted.
    pub(super) const fn reason(self) -> PublishRefusal {
        match self {
            Self::InFlight => PublishRefusal::InFlight,
            Self::Timeout => PublishRefusal::Timeout,
            Self::TooLarge => PublishRefusal::TooLarge,
            Self::Overtaken => PublishRefusal::Overtaken,
            Self::NotReady => PublishRefusal::NotReady,
        }
    }
}
