//! The trace of an operator's request: a span that can be exported, see `cli/traces.rs`.
//!
//! Deliveries have none: a span costs more than a send.

use super::response::{HttpResponse, ResponseFuture};
use hyper::{HeaderMap, Request};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Runs a request inside its span, and ends the span with the response.
pub(super) fn follow<B>(request: &Request<B>, respond: impl FnOnce() -> ResponseFuture) -> ResponseFuture {
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

/// Begins a span, with the names of OpenTelemetry's conventions for HTTP servers.
fn span<B>(request: &Request<B>) -> Span {
    let method = request.method().as_str();
    // A client may request any path: one that is not a route is not repeated.
    let route = ["/admin/drain", "/admin/shed", "/admin/connections", "/admin/channels"];
    let route = route.into_iter().find(|route| *route == request.uri().path()).unwrap_or("/admin");
    let span = tracing::info_span!(
        "admin",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    adopt(&span, request.headers());
    span
}

fn end(span: &Span, response: &HttpResponse) {
    // Signed: an unsigned number would arrive as text.
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
}

/// Makes the span a part of the trace that the request names, W3C Trace State.
#[cfg(feature = "otel")]
fn adopt(span: &Span, headers: &HeaderMap) {
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
    // Fails if no collector is configured.
    let _ = span.set_parent(parent);
}

#[cfg(not(feature = "otel"))]
fn adopt(_: &Span, _: &HeaderMap) {}
