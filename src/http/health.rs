//! Health checks, for balancers and supervisors.

use super::error::RequestError;
use super::methods::read_only;
use super::response::{HttpResponse, text};
use crate::engine::Engine;
use crate::operation::lifecycle::Stage;
use crate::operation::memory::Pressure;
use crate::operation::state::State;
use hyper::{Method, StatusCode};

/// Responds to a request below `/health/`.
pub(super) fn respond(state: &State, path: &str, method: &Method) -> Result<HttpResponse, RequestError> {
    let (status, body) = match path {
        "/health/live" => (StatusCode::OK, "live\n"),
        "/health/ready" => readiness(state),
        _ => (StatusCode::NOT_FOUND, "Not found: there is /health/live and /health/ready\n"),
    };
    read_only(text(status, body), method)
}

/// Returns why a hub of a cluster is not ready.
fn cluster(state: &State) -> Option<&'static str> {
    let Engine::Nats(nats) = &state.engine else { return None };
    if !nats.broker().is_verified {
        return Some("not part of the cluster yet\n");
    }
    nats.sends_clients_away().then_some("cut off from the cluster\n")
}

/// The body names the reason, for people; balancers read the status only.
fn readiness(state: &State) -> (StatusCode, &'static str) {
    match state.lifecycle.stage() {
        Stage::Serving if state.hub().placement().is_full() => (StatusCode::SERVICE_UNAVAILABLE, "full\n"),
        Stage::Serving if state.memory.pressure() > Pressure::Normal => {
            (StatusCode::SERVICE_UNAVAILABLE, "out of memory\n")
        }
        Stage::Serving => match cluster(state) {
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
            None => (StatusCode::OK, "ready\n"),
        },
        Stage::NotReady | Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Stage::Ending => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}
