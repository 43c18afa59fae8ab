//! The query parameters of a request, with errors that name the value and the rule.

use super::error::ApiError;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Longest time that a parameter may have.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// The query string of a request.
pub(super) struct Query<'a>(pub(super) &'a str);

impl Query<'_> {
    /// Refuses unknown parameters, so that a mistyped one is not silently ignored.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let mut names =
            self.0.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
        match names.find(|name| !known.contains(name)) {
            Some(name) => Err(ApiError::bad_request(format!(
                "{name:.40?} is not a parameter of this path; its parameters are {}",
                known.join(", ")
            ))),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut values = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = values.find(|(known, _)| *known == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// Returns a text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<String, ApiError> {
        let text = self.get(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| ApiError::bad_request(format!("the parameter {name} is missing; write {name}=...")))
    }

    /// Returns a time of at most [`TIME_MAX`].
    pub(super) fn time(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = humantime::parse_duration(&text).ok().filter(|time| *time <= TIME_MAX);
        let rule = || ApiError::bad_request(format!("{name}={text:.40?} is not a time up to 1day, such as 30s"));
        time.ok_or_else(rule).map(Some)
    }

    /// Returns one of `words` with its meaning; the first one if the parameter is missing.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<(String, T), ApiError> {
        let Some(text) = self.get(name) else { return Ok((words[0].0.to_owned(), words[0].1)) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok((text, *meaning)),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(ApiError::bad_request(format!("{name}={text:.40?} is not one of {}", known.join(", "))))
            }
        }
    }

    /// Returns a number from 0 to `count - 1`.
    pub(super) fn index(&self, name: &str, count: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let index = text.parse().ok().filter(|index| *index < count);
        let rule = || ApiError::bad_request(format!("{name}={text:.40?} is not a number from 0 to {}", count - 1));
        index.ok_or_else(rule).map(Some)
    }

    /// Returns a number from 1 to `max`.
    pub(super) fn number(&self, name: &str, max: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        number
            .ok_or_else(|| ApiError::bad_request(format!("{name}={text:.40?} is not a number from 1 to {max}")))
            .map(Some)
    }
}
