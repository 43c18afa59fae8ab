//! Traces of operators' requests, sent to a collector. Built with the cargo feature `otel`, which is off by default
//! because it adds 25 crates that a hub does not need.

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The sender of spans. Dropping it sends the last ones.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts to send to an endpoint from the current runtime.
    ///
    /// # Errors
    ///
    /// The endpoint cannot be used.
    pub(super) fn start(endpoint: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(endpoint);
        let exporter = exporter.build().with_context(|| format!("--otlp-endpoint {endpoint} cannot be used"))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("throng").with_attribute(version).build();
        let batches = BatchSpanProcessor::builder(exporter, Tokio).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_span_processor(batches).build()))
    }

    /// Returns the layer that records spans, whatever the level of the log. Lines of the log are not sent.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.0.tracer("throng");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(filter_fn(|metadata: &Metadata<'_>| metadata.is_span()))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that cannot be reached must not keep the process from ending. The exporter has logged it.
        let _ = self.0.shutdown();
    }
}
