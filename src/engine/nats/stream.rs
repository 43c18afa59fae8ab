//! Streams: how JetStream is asked about them, and what a partition's stream has to be.

use super::link::{Link, RequestError};
use super::subject::Subjects;
use crate::config::ClusterConfig;
use crate::protocol::Epoch;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};
use thiserror::Error;

/// Time for one answer of the servers: longer than an election takes.
pub const API_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for an answer about a log while it is followed: without a leader there is none, and what comes once there is
/// one must not wait for that.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// Key of a stream's metadata with its epoch.
const EPOCH: &str = "throng_epoch";

/// Key of a stream's metadata with the number of partitions.
const PARTITIONS: &str = "throng_partitions";

/// Number of the error that there is no such stream.
const NOT_FOUND: u32 = 10_059;

/// Number of the error that there is no such message.
const NO_MESSAGE: u32 = 10_037;

/// Numbers of the errors that there are too few servers for a stream, and that the servers have no leader: so it is for
/// a while after they have started.
const NOT_YET: [u32; 2] = [10_005, 10_008];

/// Why JetStream did not do what it was asked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum StreamError {
    /// There was no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It refused.
    #[error("{description} (error {err_code})")]
    Api {
        /// The number of the error.
        err_code: u32,
        /// Its text.
        description: String,
    },
    /// The answer has another form.
    #[error("the answer of the server cannot be read: {0}")]
    Answer(String),
}

impl StreamError {
    /// Returns whether there is no such stream.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Api { err_code: NOT_FOUND, .. })
    }

    /// Returns whether it may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Request(_) => true,
            Self::Api { err_code, .. } => NOT_YET.contains(err_code),
            Self::Answer(_) => false,
        }
    }
}

/// The settings of a stream, as far as they matter here; a name is that of JetStream.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct StreamConfig {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// What it stores.
    pub subjects: Vec<String>,
    /// When it forgets: `limits`.
    pub retention: String,
    /// `memory` or `file`.
    pub storage: String,
    /// Copies.
    pub num_replicas: usize,
    /// Most messages of one subject.
    pub max_msgs_per_subject: i64,
    /// Longest age, in nanoseconds.
    pub max_age: u64,
    /// Most bytes.
    pub max_bytes: i64,
    /// What it drops when it is full: `old`.
    pub discard: String,
    /// For how long it knows identifiers, in nanoseconds.
    pub duplicate_window: u64,
    /// What it announces.
    pub republish: Republish,
    /// Whether every server that has a copy answers reads.
    pub allow_direct: bool,
    /// Whether single messages cannot be removed.
    pub deny_delete: bool,
    /// Whether it cannot be emptied.
    pub deny_purge: bool,
    /// What we say of it.
    pub metadata: BTreeMap<String, String>,
}

/// Where a stream announces what it has stored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Republish {
    /// Which subjects.
    pub src: String,
    /// As which.
    pub dest: String,
}

/// What is known of a stream.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamInfo {
    /// Its settings.
    pub config: StreamConfig,
    /// What it holds.
    pub state: StreamState,
    /// The time of the server that says so, in nanoseconds since 1970; 0 if it does not say.
    #[serde(default, rename = "ts", deserialize_with = "nanos_of_text")]
    pub now: u64,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct StreamState {
    /// Number of messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Number of the oldest.
    pub first_seq: u64,
    /// When the oldest was stored, in nanoseconds since 1970; 0 if there is none.
    #[serde(deserialize_with = "nanos_of_text")]
    pub first_ts: u64,
    /// Number of the newest that there was.
    pub last_seq: u64,
    /// When that was stored.
    #[serde(deserialize_with = "nanos_of_text")]
    pub last_ts: u64,
}

fn nanos_of_text<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    String::deserialize(text).map(|text| nanos(&text))
}

/// Returns a time of the servers in nanoseconds since 1970; 0 if it is none.
pub fn nanos(text: &str) -> u64 {
    let time = humantime::parse_rfc3339(text).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// What is known of JetStream in the account of the hub.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    /// What it may have.
    pub limits: AccountLimits,
    /// Which requests the servers know.
    pub api: ApiLevel,
}

/// What an account may have; a negative number is no limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes in files.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self { max_memory: -1, max_storage: -1, max_streams: -1 }
    }
}

/// Which requests the servers know.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ApiLevel {
    /// 0 before version 2.11.
    pub level: u32,
}

/// An answer, or the error that stands in its place.
#[derive(Deserialize)]
struct Envelope {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl StreamConfig {
    /// Returns what the stream of a partition has to be.
    pub fn of(config: &ClusterConfig, subjects: &Subjects, partition: usize, epoch: Epoch) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            name: subjects.stream(partition),
            description: "Publications of throng; made by throng cluster init".to_owned(),
            subjects: vec![subjects.all_of_log(partition)],
            retention: "limits".to_owned(),
            storage: config.storage.word().to_owned(),
            num_replicas: config.replicas,
            max_msgs_per_subject: number(config.history_messages_max),
            max_age: nanos(config.history_age),
            max_bytes: number(config.partition_bytes_max),
            discard: "old".to_owned(),
            duplicate_window: nanos(config.duplicate_window),
            republish: Republish {
                src: subjects.all_of_log(partition),
                dest: subjects.all_live(epoch, partition).replace('*', "{{wildcard(1)}}"),
            },
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            metadata: BTreeMap::from([
                (EPOCH.to_owned(), epoch.to_string()),
                (PARTITIONS.to_owned(), config.partitions.to_string()),
            ]),
        }
    }

    /// Returns its epoch, if it was made for a partition.
    pub fn epoch(&self) -> Option<Epoch> {
        self.metadata.get(EPOCH).and_then(|text| Epoch::parse(text)).filter(|epoch| *epoch != Epoch::UNKNOWN)
    }

    /// Returns the number of partitions of its service.
    pub fn partitions(&self) -> Option<usize> {
        self.metadata.get(PARTITIONS).and_then(|text| text.parse().ok())
    }
}

/// Returns what is known of a stream.
///
/// # Errors
///
/// [`StreamError`] says why nothing is.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn info(link: &Link, stream: &str) -> Result<StreamInfo, StreamError> {
    call(link, format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new()).await
}

/// Returns what is known of a stream, and how many messages of a subject it has, as the same server knows it.
///
/// # Errors
///
/// [`StreamError`] says why nothing is.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn info_with_count(link: &Link, stream: &str, subject: &str) -> Result<(StreamInfo, u64), StreamError> {
    let question = serde_json::json!({ "subjects_filter": subject }).to_string().into();
    let answer: serde_json::Value = call(link, format!("$JS.API.STREAM.INFO.{stream}"), question).await?;
    let count = answer["state"]["subjects"][subject].as_u64().unwrap_or(0);
    let info = serde_json::from_value(answer).map_err(|error| StreamError::Answer(error.to_string()))?;
    Ok((info, count))
}

/// Returns what is known of a stream, if it is answered within this time.
///
/// # Errors
///
/// [`StreamError`] says why nothing is.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn info_within(link: &Link, stream: &str, time: Duration) -> Result<StreamInfo, StreamError> {
    call_within(link, format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new(), time).await
}

/// Returns what is known of JetStream in the account.
///
/// # Errors
///
/// [`StreamError`] says why nothing is.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn account(link: &Link) -> Result<Account, StreamError> {
    call(link, "$JS.API.INFO".to_owned(), Bytes::new()).await
}

/// Makes a stream.
///
/// # Errors
///
/// [`StreamError`] says why there is none.
///
/// # Cancel safety
///
/// Dropping the future may leave the stream.
pub async fn create(link: &Link, config: &StreamConfig) -> Result<StreamInfo, StreamError> {
    let body = serde_json::to_vec(config).map_err(|error| StreamError::Answer(error.to_string()))?;
    call(link, format!("$JS.API.STREAM.CREATE.{}", config.name), body.into()).await
}

/// Removes a stream with everything in it.
///
/// # Errors
///
/// [`StreamError`] says why it is still there.
///
/// # Cancel safety
///
/// Dropping the future may leave the stream.
pub async fn delete(link: &Link, stream: &str) -> Result<(), StreamError> {
    call::<serde_json::Value>(link, format!("$JS.API.STREAM.DELETE.{stream}"), Bytes::new()).await.map(drop)
}

/// Returns the number of the first message of a subject from a number on, as the leader knows it.
///
/// # Errors
///
/// [`StreamError`] says why it is not known.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn next_from(link: &Link, stream: &str, subject: &str, from: u64) -> Result<Option<u64>, StreamError> {
    let question = serde_json::json!({ "seq": from, "next_by_subj": subject });
    Ok(get(link, stream, &question, API_TIMEOUT).await?.map(|message| message.seq))
}

/// Returns when the message with a number was stored, in nanoseconds since 1970, as the leader knows it; `None` if it
/// has none.
///
/// # Errors
///
/// [`StreamError`] says why it is not known.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn stored_at(link: &Link, stream: &str, number: u64) -> Result<Option<u64>, StreamError> {
    let question = serde_json::json!({ "seq": number });
    Ok(get(link, stream, &question, LOOK_TIMEOUT).await?.map(|message| message.time))
}

/// Returns whether one answer proves that a log has no message with a number from one on, up to another, any more.
///
/// # Errors
///
/// [`StreamError`] says why it is not known.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn has_none(
    link: &Link,
    stream: &str,
    all_subjects: &str,
    from: u64,
    until: u64,
) -> Result<bool, StreamError> {
    if let Some(next) = next_from(link, stream, all_subjects, from).await? {
        return Ok(next > until);
    }
    // A leader that is cut off says that too, and does not know that it is none any more. All of them are gone only if
    // the log begins after them.
    Ok(info(link, stream).await?.state.first_seq > until)
}

async fn get(
    link: &Link,
    stream: &str,
    question: &serde_json::Value,
    time: Duration,
) -> Result<Option<Stored>, StreamError> {
    #[derive(Deserialize)]
    struct Answer {
        message: Stored,
    }
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    match call_within::<Answer>(link, subject, question.to_string().into(), time).await {
        Ok(answer) => Ok(Some(answer.message)),
        Err(StreamError::Api { err_code: NO_MESSAGE, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A message, without what it says.
#[derive(Deserialize)]
struct Stored {
    seq: u64,
    #[serde(deserialize_with = "nanos_of_text")]
    time: u64,
}

async fn call<T: DeserializeOwned>(link: &Link, subject: String, body: Bytes) -> Result<T, StreamError> {
    call_within(link, subject, body, API_TIMEOUT).await
}

async fn call_within<T: DeserializeOwned>(
    link: &Link,
    subject: String,
    body: Bytes,
    time: Duration,
) -> Result<T, StreamError> {
    let answer = link.request(subject, body, time).await?;
    let unreadable = |error: serde_json::Error| StreamError::Answer(error.to_string());
    let envelope: Envelope = serde_json::from_slice(answer.payload()).map_err(unreadable)?;
    match envelope.error {
        Some(ApiError { err_code, description }) => Err(StreamError::Api { err_code, description }),
        None => serde_json::from_slice(answer.payload()).map_err(unreadable),
    }
}
