//! A reply of the application: `result`, `error` or `disconnect`, as Centrifugo's proxy expects it.
//!
//! A field that is not known here is a mistake, since leaving it out could allow what the application forbids.

use crate::auth::UserId;
use crate::protocol::centrifuge::Error;
use crate::protocol::close::Disconnection;
use crate::protocol::{Content, Payload, json};
use crate::session::hooks::{Admission, Approval, Decision, Extension, Renewal, Subscription};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Codes of errors that applications may choose, the Centrifuge protocol.
pub(crate) const ERRORS: RangeInclusive<u32> = 400..=1999;

/// Longest text of an error: a person reads it.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Latest time, the year 9999. Beyond it is a number of milliseconds.
const TIME_MAX: u64 = 253_402_300_799;

/// Fields that Centrifugo knows and this hub does not, and what to do instead. Ignoring one would allow what the
/// application forbids, or leave out what it promises.
const UNSUPPORTED: [(&str, &str); 10] = [
    ("override", "the options of a channel are those of its namespace; set them there"),
    ("caps", "what a client may do is said by the allow_* settings of the namespace"),
    ("allow", "what a client may do is said by the allow_* settings of the namespace"),
    ("labels", "connections have no labels; meta comes back with every later question"),
    ("server_tags_filter", "publications are not filtered"),
    ("cache_recover", "a subscription recovers from where its client says it was"),
    ("skip_history", "a gap would be left for those who recover; use a namespace without history"),
    ("version", "publications have no versions; leave out the old ones in the application"),
    ("version_epoch", "publications have no versions; leave out the old ones in the application"),
    ("idempotency_key", "the publication of a client happens once; a backend that repeats it uses /api/publish"),
];

/// What a reply says. One of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: DeserializeOwned")]
struct Reply<T> {
    result: Option<T>,
    error: Option<ErrorReply>,
    disconnect: Option<DisconnectReply>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorReply {
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    temporary: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectReply {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// What a hook agrees to.
pub(super) trait HookResult: DeserializeOwned {
    /// What the session knows it as.
    type Approval;

    /// Returns it as the session knows it, or what is wrong with it.
    fn approve(self) -> Result<Self::Approval, String>;
}

/// Reads the reply to a question, or says what is wrong with it.
pub(super) fn read<T: HookResult>(body: &[u8]) -> Result<Decision<T::Approval>, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let reply: Reply<T> =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| match error.path().to_string() {
            path if path == "." => error.inner().to_string(),
            path => match unsupported(&path) {
                Some(instead) => format!("{path}: {instead}"),
                None => format!("{path}: {}", error.inner()),
            },
        })?;
    reader.end().map_err(|error| error.to_string())?;
    match (reply.result, reply.error, reply.disconnect) {
        (Some(result), None, None) => result.approve().map(Decision::Allowed),
        (None, Some(error), None) => error.check().map(Decision::Refused),
        (None, None, Some(disconnect)) => disconnect.check().map(Decision::Closed),
        _ => Err("it has to have one of result, error and disconnect".to_owned()),
    }
}

/// Returns what to do instead of a field that only Centrifugo knows.
fn unsupported(path: &str) -> Option<&'static str> {
    let field = path.rsplit('.').next()?;
    UNSUPPORTED.iter().find(|(name, _)| *name == field).map(|(_, instead)| *instead)
}

impl DisconnectReply {
    fn check(self) -> Result<Disconnection, String> {
        Disconnection::new(self.code, &self.reason).map_err(|text| format!("disconnect.{text}"))
    }
}

impl ErrorReply {
    fn check(self) -> Result<Error, String> {
        if !ERRORS.contains(&self.code) {
            return Err(format!("error.code: {} is not between 400 and 1999", self.code));
        }
        if self.message.len() > MESSAGE_BYTES_MAX {
            return Err(format!("error.message: it has more than {MESSAGE_BYTES_MAX} bytes"));
        }
        Ok(Error { code: self.code, message: self.message.into(), is_temporary: self.temporary })
    }
}

/// Returns a time that is one; 0 stands for never.
fn time(expire_at: Option<u64>) -> Result<Option<u64>, String> {
    match expire_at.unwrap_or(0) {
        0 => Ok(None),
        at if at <= TIME_MAX => Ok(Some(at)),
        at => Err(format!("result.expire_at: {at} is not a time in seconds since 1970")),
    }
}

/// Returns JSON as one line.
fn line(value: &RawValue) -> Option<Arc<str>> {
    // Compact JSON is text, as the JSON that it was made of.
    std::str::from_utf8(&json::compact(value.get())).ok().map(Arc::from)
}

/// Returns what others may know of a client. In base64 it has to be JSON too, since clients that speak JSON see it.
fn info(value: Option<&RawValue>, base64: Option<&str>) -> Result<Option<Arc<str>>, String> {
    let Some(base64) = base64.filter(|base64| !base64.is_empty()) else {
        return Ok(value.and_then(line));
    };
    let bytes = STANDARD.decode(base64).map_err(|_| "result.b64info: it is not base64".to_owned())?;
    let value: Result<&RawValue, _> = serde_json::from_slice(&bytes);
    value.map(line).map_err(|_| "result.b64info: it is not the base64 of JSON, which clients would be shown".to_owned())
}

/// Returns an object that comes back with later questions.
fn meta(value: Option<Box<RawValue>>) -> Result<Option<Arc<str>>, String> {
    match value {
        Some(value) if !value.get().starts_with('{') => Err("result.meta: it is not an object".to_owned()),
        value => Ok(value.as_deref().and_then(line)),
    }
}

/// Returns the data of a reply, which has it as JSON or in base64.
fn data(value: Option<Box<RawValue>>, base64: Option<String>) -> Result<Option<Payload>, String> {
    match base64.filter(|base64| !base64.is_empty()) {
        None => Ok(value.map(|value| Payload::json(value.get()))),
        Some(base64) => match STANDARD.decode(base64) {
            Ok(bytes) => Ok(Some(Payload::new(Content::Binary, bytes.into()))),
            Err(_) => Err("result.b64data: it is not base64".to_owned()),
        },
    }
}

/// The result of `connect`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectReply {
    #[serde(default)]
    user: String,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    channels: Option<Vec<String>>,
    subs: Option<BTreeMap<String, SubscribeReply>>,
    meta: Option<Box<RawValue>>,
}

impl HookResult for ConnectReply {
    type Approval = Admission;

    fn approve(self) -> Result<Admission, String> {
        let subs = self.subs.unwrap_or_default();
        // A channel may be named in both, and is one subscription.
        let mut channels = self.channels.unwrap_or_default();
        channels.retain(|name| !subs.contains_key(name));
        let named = channels.into_iter().map(|name| Ok((name, Subscription::default())));
        let subs = subs.into_iter().map(|(name, one)| Ok((name, one.approve()?)));
        Ok(Admission {
            user: UserId::new(&self.user),
            expires_at: time(self.expire_at)?,
            info: info(self.info.as_deref(), self.b64info.as_deref())?,
            data: data(self.data, self.b64data)?,
            channels: named.chain(subs).collect::<Result<_, String>>()?,
            meta: meta(self.meta)?,
        })
    }
}

/// The result of `refresh`, and of `sub_refresh`, which has no `meta`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshReply {
    #[serde(default)]
    expired: bool,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    meta: Option<Box<RawValue>>,
}

impl HookResult for RefreshReply {
    type Approval = Renewal;

    fn approve(self) -> Result<Renewal, String> {
        let extension = Extension {
            expires_at: time(self.expire_at)?,
            info: info(self.info.as_deref(), self.b64info.as_deref())?,
            meta: meta(self.meta)?,
        };
        Ok(if self.expired { Renewal::Expired } else { Renewal::Until(extension) })
    }
}

/// The result of `subscribe`, and what `connect` says of one channel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeReply {
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

impl HookResult for SubscribeReply {
    type Approval = Subscription;

    fn approve(self) -> Result<Subscription, String> {
        Ok(Subscription {
            info: info(self.info.as_deref(), self.b64info.as_deref())?,
            data: data(self.data, self.b64data)?,
            expires_at: time(self.expire_at)?,
        })
    }
}

/// The result of `publish`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishReply {
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    /// A hint of how Centrifugo sends less; what subscribers get is the same without it.
    #[serde(default, rename = "delta")]
    _delta: bool,
}

impl HookResult for PublishReply {
    type Approval = Approval;

    fn approve(self) -> Result<Approval, String> {
        let tags = self.tags.unwrap_or_default().into_iter().collect();
        Ok(Approval { data: data(self.data, self.b64data)?, tags })
    }
}

/// The result of `rpc`: what the call returns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RpcReply {
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

impl HookResult for RpcReply {
    type Approval = Option<Payload>;

    fn approve(self) -> Result<Option<Payload>, String> {
        data(self.data, self.b64data)
    }
}
