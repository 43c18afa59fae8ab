//! Traces: what a collector gets of operators' requests, when the program was built to send any: feature `otel`, which
//! is off by default because it brings 25 crates that a hub does not need.

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

/// What sends spans until it is dropped, which sends the last ones.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send to an endpoint, from the runtime that it is called in.
    ///
    /// # Errors
    ///
    /// When the endpoint can not be one.
    pub(super) fn start(endpoint: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(endpoint);
        let exporter = exporter.build().with_context(|| format!("--otlp-endpoint {endpoint} can not be used"))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("throng").with_attribute(version).build();
        let batches = BatchSpanProcessor::builder(exporter, Tokio).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_span_processor(batches).build()))
    }

    /// Returns what takes spans in. Whatever is logged, they are sent; lines of the log are not.
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
        // A collector that is away must not keep the process from ending; it has been said already.
        let _ = self.0.shutdown();
    }
}
