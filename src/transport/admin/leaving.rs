//! Drain and shed, as operators begin, follow and cancel them.

use super::{Fault, Query, bad};
use crate::transport::http::Context;
use crate::transport::lifecycle::{Conflict, Stage};
use crate::transport::pace::{Closing, Kind, Pace};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn drain_progress(context: &Context) -> Value {
    let lifecycle = &context.lifecycle;
    let closing = lifecycle.closing(Kind::Stop).or_else(|| lifecycle.closing(Kind::Drain));
    let state = match lifecycle.stage() {
        Stage::Serving => "serving",
        Stage::Leaving => "waiting for the balancer",
        Stage::Draining if closing.as_ref().is_some_and(|closing| closing.is_over()) => "drained",
        Stage::Draining => "draining",
        Stage::Ending => "ending",
    };
    progress(context, state, closing.as_deref())
}

pub(super) fn begin_drain(context: &Arc<Context>, query: &Query<'_>) -> Result<Value, Fault> {
    query.only(&["grace", "time"])?;
    let stopping = context.settings.load().stopping.clone();
    let pace = Pace {
        grace: query.time("grace")?.unwrap_or(stopping.lb_grace),
        time: query.time("time")?.unwrap_or(stopping.drain_time),
    };
    context.lifecycle.begin_drain(&context.hub, pace).map_err(conflict)?;
    Ok(drain_progress(context))
}

pub(super) fn cancel_drain(context: &Context) -> Result<Value, Fault> {
    context.lifecycle.cancel(Kind::Drain).map_err(conflict)?;
    Ok(drain_progress(context))
}

pub(super) fn shed_progress(context: &Context) -> Value {
    let closing = context.lifecycle.closing(Kind::Shed);
    let state = match &closing {
        None => "none",
        Some(closing) if closing.is_over() => "shed",
        Some(_) => "shedding",
    };
    progress(context, state, closing.as_deref())
}

pub(super) fn begin_shed(context: &Arc<Context>, query: &Query<'_>) -> Result<Value, Fault> {
    query.only(&["count", "percent", "time"])?;
    let taken = context.hub.placement().taken();
    let count = match (query.number("count", usize::MAX)?, query.number("percent", 100)?) {
        (Some(count), None) => count.min(taken),
        // Rounded up: a per cent of a few is one.
        (None, Some(percent)) => (taken * percent).div_ceil(100),
        (Some(_), Some(_)) | (None, None) => {
            return Err(bad("say how many: either count=500 or percent=25".to_owned()));
        }
    };
    let time = query.time("time")?.unwrap_or(context.settings.load().stopping.drain_time);
    let pace = Pace { grace: Duration::ZERO, time };
    context.lifecycle.begin_shed(&context.hub, pace, count).map_err(conflict)?;
    Ok(shed_progress(context))
}

pub(super) fn cancel_shed(context: &Context) -> Result<Value, Fault> {
    context.lifecycle.cancel(Kind::Shed).map_err(conflict)?;
    Ok(shed_progress(context))
}

fn progress(context: &Context, state: &str, closing: Option<&Closing>) -> Value {
    json!({
        "state": state,
        "connections": context.hub.placement().taken(),
        "closed": closing.map_or(0, Closing::closed),
        "to_close": closing.map_or(0, Closing::total),
        "seconds_left": closing.map_or(0.0, |closing| closing.time_left().as_secs_f64().round()),
    })
}

fn conflict(conflict: Conflict) -> Fault {
    let text = match conflict {
        Conflict::Busy(kind) => format!("a {0} is under way; GET /admin/{0} shows it, DELETE cancels it", kind.name()),
        Conflict::Stopping => "the process is stopping, which can not be taken back".to_owned(),
        Conflict::Idle => "there is nothing to cancel".to_owned(),
    };
    Fault::new(StatusCode::CONFLICT, text)
}
