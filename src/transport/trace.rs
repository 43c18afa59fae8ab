//! A trace of an operator's request: a span that a collector can have, see `cli/traces.rs`.
//!
//! Deliveries have none: a span costs more than a send.

use super::http::{Answer, Answering};
use hyper::{HeaderMap, Request};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Follows a request to its answer.
pub(super) fn follow<B>(request: &Request<B>, answer: impl FnOnce() -> Answering) -> Answering {
    let span = span(request);
    match span.in_scope(answer) {
        Answering::Here(answer) => {
            answer.iter().for_each(|answer| end(&span, answer));
            Answering::Here(answer)
        }
        Answering::Asked(answer) => {
            let ended = span.clone();
            let answer = async move {
                let answer = answer.await;
                end(&ended, &answer);
                answer
            };
            Answering::Asked(Box::pin(answer.instrument(span)))
        }
    }
}

/// Begins a span, with the names of OpenTelemetry's conventions for HTTP servers.
fn span<B>(request: &Request<B>) -> Span {
    let method = request.method().as_str();
    // Anybody may ask for anything: what is no route of ours is not repeated.
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

fn end(span: &Span, answer: &Answer) {
    // Signed: an unsigned number would arrive as text.
    span.record("http.response.status_code", i64::from(answer.status().as_u16()));
}

/// Makes the span a part of the trace that the request names, W3C Trace Context.
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
    // It fails when nobody collects spans.
    let _ = span.set_parent(parent);
}

#[cfg(not(feature = "otel"))]
fn adopt(_: &Span, _: &HeaderMap) {}
