//! Health checks, for balancers and supervisors.

use super::error::RequestError;
use super::methods::read_only;
use super::response::{HttpResponse, text};
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

/// The body names the reason, for people; balancers read the status only.
fn readiness(state: &State) -> (StatusCode, &'static str) {
    match state.lifecycle.stage() {
        Stage::Serving if state.hub().placement().is_full() => (StatusCode::SERVICE_UNAVAILABLE, "full\n"),
        Stage::Serving if state.memory.pressure() > Pressure::Normal => {
            (StatusCode::SERVICE_UNAVAILABLE, "out of memory\n")
        }
        Stage::Serving => (StatusCode::OK, "ready\n"),
        Stage::NotReady | Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Stage::Ending => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}
