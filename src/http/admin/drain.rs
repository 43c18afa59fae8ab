//! `/admin/drain` and `/admin/shed`: begin, follow and cancel a drain or a shed.

use super::error::ApiError;
use super::query::Query;
use crate::operation::lifecycle::{Conflict, Stage};
use crate::operation::pace::{Closing, ClosingKind, Pace};
use crate::operation::siblings::{self, Siblings};
use crate::operation::state::State;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn drain_progress(state: &State) -> Value {
    let lifecycle = &state.lifecycle;
    let closing = lifecycle.closing(ClosingKind::Stop).or_else(|| lifecycle.closing(ClosingKind::Drain));
    let word = match lifecycle.stage() {
        Stage::Serving => "serving",
        Stage::NotReady => "waiting for the balancer",
        Stage::Draining if closing.as_ref().is_some_and(|closing| closing.is_over()) => "drained",
        Stage::Draining => "draining",
        Stage::Ending => "ending",
    };
    let mut progress = progress(state, word, closing.as_deref());
    if let Some(siblings) = Siblings::of(state) {
        progress["siblings"] = json!({ "serving": siblings.serving, "room": siblings.room });
        if let Some(warning) = siblings.warning() {
            progress["warning"] = warning.into();
        }
    }
    progress
}

pub(super) fn begin_drain(state: &Arc<State>, query: &Query<'_>) -> Result<Value, ApiError> {
    query.only(&["grace", "time"])?;
    let stopping = state.settings.load().stopping.clone();
    let pace = Pace {
        grace: query.time("grace")?.unwrap_or(stopping.lb_grace),
        time: query.time("time")?.unwrap_or(stopping.drain_time),
    };
    state.lifecycle.begin_drain(state.hub(), pace).map_err(conflict)?;
    siblings::log_lack(state);
    Ok(drain_progress(state))
}

pub(super) fn cancel_drain(state: &State) -> Result<Value, ApiError> {
    state.lifecycle.cancel(ClosingKind::Drain).map_err(conflict)?;
    Ok(drain_progress(state))
}

pub(super) fn shed_progress(state: &State) -> Value {
    let closing = state.lifecycle.closing(ClosingKind::Shed);
    let word = match &closing {
        None => "none",
        Some(closing) if closing.is_over() => "shed",
        Some(_) => "shedding",
    };
    progress(state, word, closing.as_deref())
}

pub(super) fn begin_shed(state: &Arc<State>, query: &Query<'_>) -> Result<Value, ApiError> {
    query.only(&["count", "percent", "time"])?;
    let taken = state.hub().placement().taken();
    let count = match (query.number("count", usize::MAX)?, query.number("percent", 100)?) {
        (Some(count), None) => count.min(taken),
        // Rounded up, so that a small share of few connections is one.
        (None, Some(percent)) => (taken * percent).div_ceil(100),
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::bad_request(
                "give the number of connections, either as count=500 or as percent=25".to_owned(),
            ));
        }
    };
    let time = query.time("time")?.unwrap_or(state.settings.load().stopping.drain_time);
    let pace = Pace { grace: Duration::ZERO, time };
    state.lifecycle.begin_shed(state.hub(), pace, count).map_err(conflict)?;
    Ok(shed_progress(state))
}

pub(super) fn cancel_shed(state: &State) -> Result<Value, ApiError> {
    state.lifecycle.cancel(ClosingKind::Shed).map_err(conflict)?;
    Ok(shed_progress(state))
}

fn progress(state: &State, word: &str, closing: Option<&Closing>) -> Value {
    json!({
        "state": word,
        "connections": state.hub().placement().taken(),
        "closed": closing.map_or(0, Closing::closed),
        "to_close": closing.map_or(0, Closing::total),
        "seconds_left": closing.map_or(0.0, |closing| closing.time_left().as_secs_f64().round()),
    })
}

fn conflict(conflict: Conflict) -> ApiError {
    let text = match conflict {
        Conflict::Busy(kind) => {
            format!("a {0} is in progress; GET /admin/{0} shows it, DELETE cancels it", kind.name())
        }
        Conflict::Stopping => "the process is stopping, which cannot be cancelled".to_owned(),
        Conflict::Idle => "nothing is in progress".to_owned(),
    };
    ApiError::new(StatusCode::CONFLICT, text)
}
