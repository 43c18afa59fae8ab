//! The engine of a cluster: streams of NATS JetStream give publications their places, for all hubs alike.
//!
//! Channels are spread over partitions, and each partition is a stream, its log. A hub publishes into the log and never
//! delivers itself: it follows the log, as every other hub does, and delivers what comes, in that order.

pub mod subject;

pub mod credentials;
pub mod id;
pub mod link;

use crate::config::ClusterConfig;
use crate::hub::{Hub, Sink};
use id::HubId;
use link::{Link, LinkError};
use std::fmt;
use subject::Subjects;

/// A hub's part in a cluster.
pub struct Nats<S: Sink> {
    hub: Hub<S>,
    id: HubId,
    config: ClusterConfig,
    subjects: Subjects,
    /// For publications and requests.
    requests: Link,
    /// For what is followed, so that a flood of it delays no answer.
    follow: Link,
}

impl<S: Sink> Nats<S> {
    /// Makes the part of a hub, which connects as soon as it can.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if a file of the configuration cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes nothing.
    pub async fn new(hub: Hub<S>, config: &ClusterConfig) -> Result<Self, LinkError> {
        let requests = Link::keep(config, "requests").await?;
        let follow = Link::keep(config, "follow").await?;
        let subjects = Subjects::new(&config.prefix);
        Ok(Self { hub, id: HubId::new(), config: config.clone(), subjects, requests, follow })
    }

    /// Returns the hub that delivers.
    pub fn hub(&self) -> &Hub<S> {
        &self.hub
    }

    /// Returns who this hub is.
    pub fn id(&self) -> HubId {
        self.id
    }

    /// Returns the settings.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Returns the subjects of the service.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Returns the connection for publications and requests.
    pub fn requests(&self) -> &Link {
        &self.requests
    }

    /// Returns the connection for what is followed.
    pub fn follow(&self) -> &Link {
        &self.follow
    }
}

impl<S: Sink> fmt::Debug for Nats<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("id", &self.id).field("requests", &self.requests).finish_non_exhaustive()
    }
}
