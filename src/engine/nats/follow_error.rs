//! Why a partition is not followed.

use super::link::RequestError;
use super::stream::StreamError;
use thiserror::Error;

/// Why a partition is not followed any further, for now.
#[derive(Debug, Error)]
pub enum FollowError {
    /// JetStream does not answer.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// NATS does not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The stream was made anew.
    #[error("the stream was made anew")]
    Renewed,
    /// Who answers for the stream has less of it than was delivered here.
    #[error("the NATS server that answers is behind, or cut off from the others")]
    Behind,
    /// Its stream was not made for this service.
    #[error("the stream has no epoch; run throng cluster check")]
    NoEpoch,
}
