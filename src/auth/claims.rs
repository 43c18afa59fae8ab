//! The claims of a token: who its client is, until when, and where it begins. The names are those of the Centrifuge
//! protocol, so that its tokens can be used unchanged.

use super::error::TokenError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Latest time that a claim may name, in seconds since the epoch: the year 9999. Beyond it is a number of milliseconds.
const TIME_MAX: f64 = 253_402_300_799.0;

/// The name of a user, as the issuer of the tokens knows it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Returns the user of a claim `sub`; none if it is empty, which stands for an anonymous client.
    pub fn new(sub: &str) -> Option<Self> {
        (!sub.is_empty()).then(|| Self(sub.into()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name, which is shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// What a token says of its client.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The user; `None` for an anonymous client with a token.
    pub user: Option<UserId>,
    /// When the token expires, in seconds since the epoch; `None` if it never does.
    pub expires: Option<u64>,
    /// When the connection expires; `None` if it never does.
    pub connection_expires: Option<u64>,
    /// The channels that the token names, of `channels` and then of `subs`. The client begins in the first one, and
    /// may enter all of them.
    pub channels: Vec<String>,
    /// The only channel of a token for one subscription.
    pub channel: Option<String>,
    /// What others may know of the client, of `info`: JSON without white space between its parts.
    pub info: Option<Arc<str>>,
    /// The same for single channels, of `subs`.
    channel_infos: Vec<(String, Arc<str>)>,
    /// Before this time the token is not valid.
    pub(super) not_before: Option<u64>,
    /// When the token was issued.
    pub(super) issued: Option<u64>,
    pub(super) audience: Vec<String>,
    pub(super) issuer: Option<String>,
}

impl Claims {
    /// Reads claims. Claims that no one here knows are ignored.
    ///
    /// # Errors
    ///
    /// [`TokenError::Claim`] names the first one that is not what it has to be.
    pub fn read(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        let claims = Reader(claims);
        let expires = claims.time("exp")?;
        // What is not used for a decision here has to be right too: its issuer relies on it.
        claims.text("jti")?;
        claims.check("meta", Value::is_object)?;
        claims.check("subs", |subs| subs.as_object().is_some_and(|subs| subs.values().all(Value::is_object)))?;
        claims.check("b64info", |info| info.as_str().is_some_and(|info| STANDARD.decode(info).is_ok()))?;
        Ok(Self {
            user: UserId::new(claims.text("sub")?.unwrap_or_default()),
            expires,
            connection_expires: match claims.time("expire_at")? {
                // The Centrifuge protocol: 0 is never, and without it the connection ends with its token.
                Some(0) => None,
                Some(at) => Some(at),
                None => expires,
            },
            channels: [claims.texts("channels")?, claims.names("subs")].concat(),
            channel: claims.text("channel")?.map(str::to_owned),
            info: claims.0.get("info").map(json),
            channel_infos: claims.channel_infos(),
            not_before: claims.time("nbf")?,
            issued: claims.time("iat")?,
            // RFC 7519 section 4.1.3: one text, or a list.
            audience: match claims.0.get("aud") {
                Some(Value::String(one)) => vec![one.clone()],
                _ => claims.texts("aud")?,
            },
            issuer: claims.text("iss")?.map(str::to_owned),
        })
    }
}

impl Claims {
    /// Returns what others in a channel may know of the client besides [`Claims::info`].
    pub fn channel_info(&self, channel: &str) -> Option<Arc<str>> {
        self.channel_infos.iter().find(|(name, _)| name == channel).map(|(_, info)| Arc::clone(info))
    }
}

fn json(value: &Value) -> Arc<str> {
    value.to_string().into()
}

/// Reads claims of a type.
struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
    fn text(&self, name: &'static str) -> Result<Option<&'a str>, TokenError> {
        self.0.get(name).map(|value| value.as_str().ok_or(TokenError::Claim(name))).transpose()
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, TokenError> {
        let Some(value) = self.0.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or(TokenError::Claim(name))?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(TokenError::Claim(name))).collect()
    }

    /// Returns the names in an object, nothing if there is none.
    fn names(&self, name: &'static str) -> Vec<String> {
        let object = self.0.get(name).and_then(Value::as_object);
        object.into_iter().flat_map(Map::keys).cloned().collect()
    }

    /// Returns what is known of the client in single channels.
    fn channel_infos(&self) -> Vec<(String, Arc<str>)> {
        let subs = self.0.get("subs").and_then(Value::as_object).into_iter().flatten();
        subs.filter_map(|(name, options)| Some((name.clone(), json(options.get("info")?)))).collect()
    }

    /// Returns a time, RFC 7519 section 2: seconds since the epoch, which may have a fraction.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    fn time(&self, name: &'static str) -> Result<Option<u64>, TokenError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=TIME_MAX).contains(seconds));
        seconds.map(|seconds| Some(seconds as u64)).ok_or(TokenError::Claim(name))
    }

    fn check(&self, name: &'static str, is_right: impl Fn(&Value) -> bool) -> Result<(), TokenError> {
        if self.0.get(name).is_none_or(is_right) { Ok(()) } else { Err(TokenError::Claim(name)) }
    }
}
