//! A reply of the application: `result`, `error` or `disconnect`, as Centrifugo's proxy expects it.
//!
//! A field that is not known here is a mistake, since leaving it out could allow what the application forbids.

use crate::auth::UserId;
use crate::protocol::centrifuge::Error;
use crate::protocol::{CloseCode, Content, Payload, json};
use crate::session::hooks::{Admission, Decision, Renewal, Subscription};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Codes of errors that applications may choose, the Centrifuge protocol.
const ERRORS: RangeInclusive<u32> = 400..=1999;

/// Codes of closes that applications may choose: clients reconnect up to 4499.
const DISCONNECTS: RangeInclusive<u16> = 4000..=4999;

/// Longest text of an error: a person reads it.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Latest time, the year 9999. Beyond it is a number of milliseconds.
const TIME_MAX: u64 = 253_402_300_799;

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
    /// For people who read the reply: close frames have texts of the hub only.
    #[serde(default, rename = "reason")]
    _reason: String,
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
            path => format!("{path}: {}", error.inner()),
        })?;
    reader.end().map_err(|error| error.to_string())?;
    match (reply.result, reply.error, reply.disconnect) {
        (Some(result), None, None) => result.approve().map(Decision::Allowed),
        (None, Some(error), None) => error.check().map(Decision::Refused),
        (None, None, Some(DisconnectReply { code, .. })) => {
            let code = CloseCode::from_wire(code).filter(|_| DISCONNECTS.contains(&code));
            code.map(Decision::Closed).ok_or_else(|| "disconnect.code: it is not between 4000 and 4999".to_owned())
        }
        _ => Err("it has to have one of result, error and disconnect".to_owned()),
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

fn info(value: Option<Box<RawValue>>) -> Option<Arc<str>> {
    // Compact JSON is text, as the JSON that it was made of.
    value.and_then(|value| std::str::from_utf8(&json::compact(value.get())).ok().map(Arc::from))
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
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    channels: Option<Vec<String>>,
}

impl HookResult for ConnectReply {
    type Approval = Admission;

    fn approve(self) -> Result<Admission, String> {
        Ok(Admission {
            user: UserId::new(&self.user),
            expires_at: time(self.expire_at)?,
            info: info(self.info),
            data: data(self.data, self.b64data)?,
            channels: self.channels.unwrap_or_default(),
        })
    }
}

/// The result of `refresh`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshReply {
    #[serde(default)]
    expired: bool,
    expire_at: Option<u64>,
}

impl HookResult for RefreshReply {
    type Approval = Renewal;

    fn approve(self) -> Result<Renewal, String> {
        let until = time(self.expire_at)?;
        Ok(if self.expired { Renewal::Expired } else { Renewal::Until(until) })
    }
}

/// The result of `subscribe`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeReply {
    info: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

impl HookResult for SubscribeReply {
    type Approval = Subscription;

    fn approve(self) -> Result<Subscription, String> {
        Ok(Subscription { info: info(self.info), data: data(self.data, self.b64data)? })
    }
}

/// The result of `publish`, with data to publish instead, and of `rpc`, with what the call returns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataReply {
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

impl HookResult for DataReply {
    type Approval = Option<Payload>;

    fn approve(self) -> Result<Option<Payload>, String> {
        data(self.data, self.b64data)
    }
}
