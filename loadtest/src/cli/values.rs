//! Values: how each kind of value on the command line is read, and the sentence that refuses it.

use std::time::Duration;

use crate::report::asserts::Assert;
use crate::wire::record::{SIZE_MAX, SIZE_MIN};

pub(super) fn positive(text: &str) -> Result<usize, String> {
    let value = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if value == 0 { Err("must be at least 1".to_owned()) } else { Ok(value) }
}

pub(super) fn processes(text: &str) -> Result<usize, String> {
    match positive(text)? {
        value @ 1..=64 => Ok(value),
        _ => Err("must be 1 to 64".to_owned()),
    }
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // Once in eleven days; the time to the next event must fit a clock.
    if (1e-6..=1e7).contains(&value) {
        Ok(value)
    } else {
        Err("must be above 0 (0.000001 at least) and at most 10,000,000".to_owned())
    }
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err("must be between 0 and 1, as in 0.1".to_owned()) }
}

pub(super) fn exponent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=5.0).contains(&value) { Ok(value) } else { Err("must be 0 to 5".to_owned()) }
}

pub(super) fn sources(text: &str) -> Result<u8, String> {
    let value: u8 = text.parse().map_err(|_| "not a number from 1 to 254".to_owned())?;
    if (1..=254).contains(&value) { Ok(value) } else { Err("not a number from 1 to 254".to_owned()) }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "not a whole number of bytes".to_owned())?;
    if (SIZE_MIN..=SIZE_MAX).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{value} bytes can not hold a record (marker, publisher, sequence, time, checksum, end mark); \
         choose {SIZE_MIN} to {SIZE_MAX}"
    ))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 30s, 1m30s or 250ms"))
}

/// A time that something is divided into.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    if period.is_zero() { Err("must be above 0".to_owned()) } else { Ok(period) }
}

/// A channel's name goes into JSON and addresses as it is.
pub(super) fn channel(text: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if !text.is_empty() && text.len() <= 200 && text.bytes().all(is_good) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 200 letters, digits, or _ - . :".to_owned())
}

/// A condition that is not understood is refused now, not after an hour of load.
pub(super) fn condition(text: &str) -> Result<String, String> {
    Assert::parse(text).map(|_| text.to_owned())
}
