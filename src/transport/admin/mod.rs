//! The operator's routes, below `/admin/`: who may ask, and what is answered. JSON, a key with every request.

mod channels;
mod connections;
mod key;
mod leaving;

use super::http::{Answer, Answering, Context, answer};
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use key::Verdict;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(super) use key::Keys;

const JSON: &str = "application/json";

/// Why a request was not done.
#[derive(Debug)]
struct Fault {
    status: StatusCode,
    /// What is wrong, with the value and the rule.
    text: String,
}

impl Fault {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

/// Answers a request below `/admin/`.
pub(super) fn respond<B>(context: &Arc<Context>, request: &Request<B>) -> Answering {
    let keys = &context.settings.load().access.admin_keys;
    let answered = match context.keys.judge(request.headers(), keys) {
        Verdict::NoKeys => Err(Fault::new(StatusCode::NOT_FOUND, "there is no /admin without --admin-keys")),
        Verdict::Wrong => Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            "give one of --admin-keys as X-API-Key: KEY or Authorization: Bearer KEY",
        )),
        Verdict::TooMany => {
            Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong keys; try again in a second"))
        }
        Verdict::Right => route(context, request),
    };
    match answered {
        Ok(Found::Here(value)) => Answering::at_once(as_json(StatusCode::OK, &value)),
        Ok(Found::Asked(value)) => Answering::Asked(Box::pin(async { as_json(StatusCode::OK, &value.await) })),
        Err(fault) => Answering::at_once(refusal(&fault)),
    }
}

/// What a route tells: at once, or after it has asked the shards.
enum Found {
    Here(Value),
    Asked(Pin<Box<dyn Future<Output = Value> + Send>>),
}

/// Returns whether a request brings one of the keys.
pub(super) fn has_key(context: &Context, headers: &HeaderMap) -> bool {
    context.keys.judge(headers, &context.settings.load().access.admin_keys) == Verdict::Right
}

fn route<B>(context: &Arc<Context>, request: &Request<B>) -> Result<Found, Fault> {
    let query = Query(request.uri().query().unwrap_or_default());
    let found = match (request.uri().path(), request.method()) {
        ("/admin/connections", &Method::GET) => return connections::list(context, &query),
        ("/admin/channels", &Method::GET) => return channels::list(context, &query),
        ("/admin/connections" | "/admin/channels", _) => {
            Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes GET"))
        }
        ("/admin/drain", &Method::GET) => Ok(leaving::drain_progress(context)),
        ("/admin/drain", &Method::POST) => leaving::begin_drain(context, &query),
        ("/admin/drain", &Method::DELETE) => leaving::cancel_drain(context),
        ("/admin/shed", &Method::GET) => Ok(leaving::shed_progress(context)),
        ("/admin/shed", &Method::POST) => leaving::begin_shed(context, &query),
        ("/admin/shed", &Method::DELETE) => leaving::cancel_shed(context),
        ("/admin/drain" | "/admin/shed", _) => {
            Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes GET, POST and DELETE"))
        }
        _ => Err(Fault::new(
            StatusCode::NOT_FOUND,
            "there is /admin/drain, /admin/shed, /admin/connections and /admin/channels",
        )),
    };
    found.map(Found::Here)
}

fn refusal(fault: &Fault) -> Answer {
    let mut refusal = as_json(fault.status, &json!({ "error": fault.text }));
    let more = match fault.status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, POST, DELETE")),
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "1")),
        _ => None,
    };
    refusal.headers_mut().extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
    refusal
}

fn as_json(status: StatusCode, value: &Value) -> Answer {
    answer(status, JSON, Bytes::from(format!("{value:#}\n")))
}

/// The parameters of a request.
struct Query<'a>(&'a str);

impl Query<'_> {
    /// Refuses parameters that mean nothing here: a mistyped one would be silently ignored.
    fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let names =
            self.0.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
        match names.into_iter().find(|name| !known.contains(name)) {
            Some(name) => Err(bad(format!("{name:.40?} is no parameter of this path; it takes {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        let values = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = values.into_iter().find(|(known, _)| *known == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    fn time(&self, name: &str) -> Result<Option<Duration>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = humantime::parse_duration(&text).ok().filter(|time| *time <= Duration::from_secs(24 * 3600));
        let rule = || bad(format!("{name}={text:.40?} is not a time of at most 1day such as 30s"));
        time.ok_or_else(rule).map(Some)
    }

    /// Returns which of `words` is given, the first one if none is.
    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<(String, T), Fault> {
        let Some(text) = self.get(name) else { return Ok((words[0].0.to_owned(), words[0].1)) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok((text, *meaning)),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(bad(format!("{name}={text:.40?} is not one of {}", known.join(", "))))
            }
        }
    }

    /// Returns a number below `count`, which counts from 0.
    fn index(&self, name: &str, count: usize) -> Result<Option<usize>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let index = text.parse().ok().filter(|index| *index < count);
        index.ok_or_else(|| bad(format!("{name}={text:.40?} is not a number from 0 to {}", count - 1))).map(Some)
    }

    fn number(&self, name: &str, most: usize) -> Result<Option<usize>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| bad(format!("{name}={text:.40?} is not a number from 1 to {most}"))).map(Some)
    }
}

fn bad(text: String) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, text)
}
