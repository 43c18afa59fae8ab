//! Values: how each kind of value on the command line is parsed.

use super::error::ValueError;
use crate::report::asserts::{Assert, AssertError};
use crate::wire::record::{SIZE_MAX, SIZE_MIN};
use std::time::Duration;

/// Connections to the API. Each receiver keeps a sequence number for each.
const CONNECTIONS_MAX: usize = 256;

/// Publications of a request. With 64 bytes each, it has some 400 kB.
const BATCH_MAX: usize = 4096;

pub(super) fn positive(text: &str) -> Result<usize, ValueError> {
    match text.parse().map_err(|_| ValueError::NotWhole)? {
        0 => Err(ValueError::Zero),
        value => Ok(value),
    }
}

pub(super) fn processes(text: &str) -> Result<usize, ValueError> {
    match positive(text)? {
        value @ 1..=64 => Ok(value),
        _ => Err(ValueError::Processes),
    }
}

/// Parses a number of connections to the API; each is a publisher of its own.
pub(super) fn connections(text: &str) -> Result<usize, ValueError> {
    match positive(text)? {
        value @ 1..=CONNECTIONS_MAX => Ok(value),
        _ => Err(ValueError::ApiConnections),
    }
}

pub(super) fn batch(text: &str) -> Result<usize, ValueError> {
    match positive(text)? {
        value @ 1..=BATCH_MAX => Ok(value),
        _ => Err(ValueError::Batch),
    }
}

/// Parses a key, which goes into a header as it is.
pub(super) fn key(text: &str) -> Result<String, ValueError> {
    let is_good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(text.to_owned()) } else { Err(ValueError::Key) }
}

pub(super) fn rate(text: &str) -> Result<f64, ValueError> {
    let value = number(text)?;
    // The lowest is once in eleven days: the time to the next event must fit a clock.
    if (1e-6..=1e7).contains(&value) { Ok(value) } else { Err(ValueError::Rate) }
}

pub(super) fn share(text: &str) -> Result<f64, ValueError> {
    let value = number(text)?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(ValueError::Share) }
}

/// Parses a share that something may reach at most; 1 is no limit.
pub(super) fn limit(text: &str) -> Result<f64, ValueError> {
    let value = number(text)?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err(ValueError::Limit) }
}

pub(super) fn exponent(text: &str) -> Result<f64, ValueError> {
    let value = number(text)?;
    if (0.0..=5.0).contains(&value) { Ok(value) } else { Err(ValueError::Exponent) }
}

fn number(text: &str) -> Result<f64, ValueError> {
    text.parse().map_err(|_| ValueError::NotANumber)
}

pub(super) fn sources(text: &str) -> Result<u8, ValueError> {
    match text.parse() {
        Ok(value @ 1..=254) => Ok(value),
        _ => Err(ValueError::SourceAddresses),
    }
}

pub(super) fn size(text: &str) -> Result<usize, ValueError> {
    let value = text.parse().map_err(|_| ValueError::NotBytes)?;
    if (SIZE_MIN..=SIZE_MAX).contains(&value) { Ok(value) } else { Err(ValueError::Size(value)) }
}

pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text).map_err(|_| ValueError::Duration)
}

/// Parses a duration that something is divided by.
pub(super) fn period(text: &str) -> Result<Duration, ValueError> {
    let period = duration(text)?;
    if period.is_zero() { Err(ValueError::NoTime) } else { Ok(period) }
}

/// Parses a channel's name, which goes into JSON and addresses as it is.
pub(super) fn channel(text: &str) -> Result<String, ValueError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if !text.is_empty() && text.len() <= 200 && text.bytes().all(is_good) {
        return Ok(text.to_owned());
    }
    Err(ValueError::Channel)
}

/// Parses the name of a subprotocol, RFC 6455 section 4.1: a token of HTTP, which goes into a header as it is.
pub(super) fn subprotocol(text: &str) -> Result<String, ValueError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_good) { Ok(text.to_owned()) } else { Err(ValueError::Subprotocol) }
}

/// Checks a condition, so that a wrong one is refused now and not after an hour of load.
pub(super) fn condition(text: &str) -> Result<String, AssertError> {
    Assert::parse(text).map(|_| text.to_owned())
}
