//! The beginning of a cluster: makes the streams, all or none.

use super::check::Examination;
use super::id::random;
use super::link::Link;
use super::stream::{self, StreamConfig, StreamError};
use super::subject::Subjects;
use crate::config::ClusterConfig;
use crate::protocol::Epoch;
use thiserror::Error;

/// Why streams were not made.
#[derive(Debug, Error)]
#[error("{stream} was not made: {error}; {}", undone(left))]
pub struct InitError {
    stream: String,
    error: StreamError,
    /// Streams that were made, and could not be removed again.
    left: Vec<String>,
}

impl InitError {
    /// Returns whether it may succeed later, and nothing is in the way of that.
    pub fn may_pass(&self) -> bool {
        self.left.is_empty() && self.error.may_pass()
    }
}

fn undone(left: &[String]) -> String {
    if left.is_empty() {
        return "no stream is left of this attempt".to_owned();
    }
    format!("remove these, which this attempt has made and could not remove: {}", left.join(", "))
}

/// Makes the streams that are missing, with one new epoch. Returns their names.
///
/// # Errors
///
/// [`InitError`] if one could not be made; those made before it are removed again, as far as that is possible.
///
/// # Cancel safety
///
/// Dropping the future may leave some of them.
pub async fn init(link: &Link, config: &ClusterConfig, found: &Examination) -> Result<Vec<String>, InitError> {
    let subjects = Subjects::new(&config.prefix);
    // 0 stands for an epoch that is none.
    let epoch = Epoch::new(random().max(1));
    let mut made = Vec::new();
    let missing = (0..config.partitions).filter(|partition| found.missing.contains(&subjects.stream(*partition)));
    for partition in missing {
        let wanted = StreamConfig::of(config, &subjects, partition, epoch);
        match stream::create(link, &wanted).await {
            Ok(_) => made.push(wanted.name),
            Err(error) => return Err(InitError { stream: wanted.name, error, left: remove(link, made).await }),
        }
    }
    Ok(made)
}

/// Removes streams, and returns those that are still there.
async fn remove(link: &Link, streams: Vec<String>) -> Vec<String> {
    let mut left = Vec::new();
    for name in streams {
        if stream::delete(link, &name).await.is_err_and(|error| !error.is_missing()) {
            left.push(name);
        }
    }
    left
}
