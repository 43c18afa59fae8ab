//! Traces of operators' requests: spans that `cli/traces.rs` can export.
//!
//! Deliveries have no spans, because a span costs more than a send.

use super::response::{HttpResponse, ResponseFuture};
use hyper::{HeaderMap, Request};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Runs a request inside its span, and ends the span with the response.
pub(super) fn in_span<B>(request: &Request<B>, respond: impl FnOnce() -> ResponseFuture) -> ResponseFuture {
    let span = span(request);
    match span.in_scope(respond) {
        ResponseFuture::Ready(response) => {
            if let Some(response) = &response {
                end(&span, response);
            }
            ResponseFuture::Ready(response)
        }
        ResponseFuture::Boxed(response) => {
            let ended = span.clone();
            let response = async move {
                let response = response.await;
                end(&ended, &response);
                response
            };
            ResponseFuture::boxed(response.instrument(span))
        }
    }
}

/// Returns a new span, with the attributes of OpenTelemetry's conventions for HTTP servers.
fn span<B>(request: &Request<B>) -> Span {
    let method = request.method().as_str();
    // Only routes are recorded: a client may request any path, and each would be a new name.
    let route = ["/admin/drain", "/admin/shed", "/admin/connections", "/admin/channels", "/admin/disconnect"];
    let route = route.into_iter().find(|route| *route == request.uri().path()).unwrap_or("/admin");
    let span = tracing::info_span!(
        "admin",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    set_parent(&span, request.headers());
    span
}

fn end(span: &Span, response: &HttpResponse) {
    // Signed, because the exporter turns unsigned numbers into text.
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
}

/// Makes the span part of the trace that the request names, W3C Trace Context.
#[cfg(feature = "otel")]
fn set_parent(span: &Span, headers: &HeaderMap) {
    use opentelemetry::propagation::TextMapPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    struct Headers<'a>(&'a HeaderMap);

    impl opentelemetry::propagation::Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(hyper::header::HeaderName::as_str).collect()
        }
    }

    let parent = opentelemetry_sdk::propagation::TraceContextPropagator::new().extract(&Headers(headers));
    // An error if no exporter is configured.
    let _ = span.set_parent(parent);
}

#[cfg(not(feature = "otel"))]
fn set_parent(_: &Span, _: &HeaderMap) {}
