//! Hooks over HTTP: a question is a `POST` of JSON to a configured address, and the client waits for the answer.
//!
//! # When the application fails
//!
//! Whatever happens, a question has an answer within its timeout. Requests beyond `requests_max` wait for their turn
//! for half of that time and then get error 111; an application that cannot be reached, is too slow, or answers with
//! something that is not documented gives error 100. Both are temporary: clients try again.

mod endpoint;
mod question;
mod reply;

use super::outbound::HttpClient;
use crate::config::{HookConfig, HookName, namespace_of};
use crate::metrics::{HookOutcome, Metrics};
use crate::protocol::Payload;
use crate::protocol::centrifuge::{Connect, Error, ErrorCode, Rpc, Subscribe};
use crate::session::hooks::{Admission, Answer, Approval, Asker, Decision, Hooks, Renewal, Subscription};
use arc_swap::ArcSwap;
use bytes::Bytes;
use endpoint::{Endpoint, Failure};
use hyper::header::{HeaderMap, HeaderName};
use question::Question;
use reply::{ConnectReply, HookResult, PublishReply, RefreshReply, RpcReply, SubscribeReply};
use std::sync::Arc;
use tokio::time::Instant;

pub(crate) use reply::ERRORS;

/// The application, as the settings say where it is.
#[derive(Debug)]
pub(crate) struct HttpHooks {
    client: HttpClient,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    metrics: Arc<Metrics>,
}

impl HttpHooks {
    pub(crate) fn new(hooks: &[HookConfig], metrics: Arc<Metrics>) -> Self {
        let this = Self { client: HttpClient::new(), endpoints: ArcSwap::default(), metrics };
        this.configure(hooks);
        this
    }

    /// Replaces the hooks. Requests under way end as they began, and do not count for the new limits.
    pub(crate) fn configure(&self, hooks: &[HookConfig]) {
        hooks.iter().for_each(|hook| self.metrics.hooks.show(hook.name as usize));
        self.endpoints.store(Arc::new(hooks.iter().map(|hook| Arc::new(Endpoint::new(hook))).collect()));
    }

    /// Returns where a question is asked: where the namespace of its channel is named, or else where none is.
    fn endpoint(&self, name: HookName, channel: Option<&str>) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let find = |namespace| endpoints.iter().find(|one| one.is_for(name, namespace)).map(Arc::clone);
        let namespace = channel.and_then(namespace_of);
        namespace.and_then(|namespace| find(Some(namespace))).or_else(|| find(None))
    }

    fn ask<'a, T: HookResult>(
        &'a self,
        name: HookName,
        asker: &'a Asker,
        question: &Question<'a>,
    ) -> Answer<'a, T::Approval> {
        let (body, channel) = (question.to_body(), question.about_channel());
        Box::pin(async move {
            let Some(endpoint) = self.endpoint(name, channel) else { return refuse(ErrorCode::NotAvailable) };
            let began = Instant::now();
            let answer = endpoint.ask(&self.client, asker, body).await;
            let decision = answer.and_then(|body| reply::read::<T>(&body).map_err(Failure::Malformed));
            let outcome = match &decision {
                Ok(Decision::Allowed(_)) => HookOutcome::Result,
                Ok(Decision::Refused(_)) => HookOutcome::Error,
                Ok(Decision::Closed(_)) => HookOutcome::Disconnect,
                Err(failure) => failure.outcome(),
            };
            self.metrics.hooks.count(name as usize, outcome, began.elapsed());
            decision.unwrap_or_else(|failure| {
                let client = asker.client;
                tracing::warn!(hook = name.word(), %client, "the application cannot be asked: {failure}");
                refuse(failure.code())
            })
        })
    }
}

/// Returns the headers of a handshake that some hook passes on.
pub(crate) fn passed_headers(headers: &HeaderMap, hooks: &[HookConfig]) -> Vec<(String, Bytes)> {
    let is_passed = |name: &HeaderName| hooks.iter().flat_map(|hook| &hook.headers).any(|one| one.name == name);
    let passed = headers.iter().filter(|(name, _)| is_passed(name));
    passed.map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))).collect()
}

fn refuse<T>(code: ErrorCode) -> Decision<T> {
    let message = code.text().into();
    Decision::Refused(Error { code: code.number(), message, is_temporary: code.is_temporary() })
}

impl Hooks for HttpHooks {
    fn has(&self, name: HookName, channel: Option<&str>) -> bool {
        self.endpoint(name, channel).is_some()
    }

    fn connect<'a>(&'a self, asker: &'a Asker, request: &'a Connect) -> Answer<'a, Admission> {
        self.ask::<ConnectReply>(HookName::Connect, asker, &Question::connect(asker, request))
    }

    fn refresh<'a>(&'a self, asker: &'a Asker) -> Answer<'a, Renewal> {
        self.ask::<RefreshReply>(HookName::Refresh, asker, &Question::about(asker))
    }

    fn subscribe<'a>(&'a self, asker: &'a Asker, request: &'a Subscribe) -> Answer<'a, Subscription> {
        self.ask::<SubscribeReply>(HookName::Subscribe, asker, &Question::subscribe(asker, request))
    }

    fn sub_refresh<'a>(&'a self, asker: &'a Asker, channel: &'a str) -> Answer<'a, Renewal> {
        self.ask::<RefreshReply>(HookName::SubRefresh, asker, &Question::channel(asker, channel))
    }

    fn publish<'a>(&'a self, asker: &'a Asker, channel: &'a str, data: &'a Payload) -> Answer<'a, Approval> {
        self.ask::<PublishReply>(HookName::Publish, asker, &Question::publish(asker, channel, data))
    }

    fn rpc<'a>(&'a self, asker: &'a Asker, request: &'a Rpc) -> Answer<'a, Option<Payload>> {
        self.ask::<RpcReply>(HookName::Rpc, asker, &Question::rpc(asker, request))
    }
}

#[cfg(test)]
mod tests;
