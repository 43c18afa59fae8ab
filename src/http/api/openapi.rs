//! The description of the API, OpenAPI 3.1, made from the types that read requests and write answers.

use super::batch::{BatchRequest, BatchResult};
use super::broadcast::{BroadcastRequest, BroadcastResult};
use super::channels::{ChannelsRequest, ChannelsResult};
use super::disconnect::{DisconnectRequest, DisconnectResult};
use super::error::ErrorKind;
use super::history::{HistoryRemoveRequest, HistoryRemoveResult, HistoryRequest, HistoryResult};
use super::info::{InfoRequest, InfoResult};
use super::json::Answer;
use super::method::Method;
use super::presence::{PresenceRequest, PresenceResult, PresenceStatsResult};
use super::publish::{PublishRequest, PublishResult};
use super::refresh::{RefreshRequest, RefreshResult};
use super::subscribe::{SubscribeRequest, SubscribeResult};
use super::unsubscribe::{UnsubscribeRequest, UnsubscribeResult};
use bytes::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// Where the schemas of types are, and how others refer to them.
const SCHEMAS: &str = "/components/schemas";

/// What any method may be refused with, besides what its own answer says.
const REFUSALS: [(ErrorKind, &str); 12] = [
    (ErrorKind::BadRequest, "The request is wrong; the text names the field, the value and the rule."),
    (ErrorKind::Unauthorized, "There is no key, or a wrong one."),
    (ErrorKind::PermissionDenied, "The key is not for this method."),
    (ErrorKind::UnknownChannel, "In the transport mode: there is no such namespace, or it lacks the option."),
    (ErrorKind::Verb, "Methods are called with POST."),
    (ErrorKind::BodyTimeout, "The body did not arrive in time."),
    (ErrorKind::BodyTooLarge, "The body is too large."),
    (ErrorKind::MediaType, "The body is of another type."),
    (ErrorKind::UnrecoverablePosition, "In the transport mode: the position is not in the history."),
    (ErrorKind::WrongKeys, "Too many wrong keys; retry later."),
    (ErrorKind::Internal, "A bug of the hub."),
    (ErrorKind::Busy, "The hub has no room now; retry later."),
];

/// Returns the description.
pub(super) fn document() -> Bytes {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    DOCUMENT.get_or_init(|| format!("{:#}\n", describe()).into()).clone()
}

fn describe() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut types = settings.into_generator();
    let methods = Method::ALL.into_iter().map(|method| (format!("/api/{}", method.name()), path(method, &mut types)));
    let paths: Map<String, Value> = methods.collect();
    let refused = types.subschema_for::<Answer<()>>();
    let responses: Map<String, Value> = REFUSALS
        .into_iter()
        .map(|(kind, text)| (kind.status().as_str().to_owned(), refusal(kind, text, &refused)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "throng",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Publishes to channels, reads them and manages connections. See docs/backend.md.",
        },
        "paths": paths,
        "security": [{ "key": [] }, { "bearer": [] }],
        "components": {
            "schemas": types.take_definitions(true),
            "responses": responses,
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

/// Describes a method.
fn path(method: Method, types: &mut SchemaGenerator) -> Value {
    let (request, answer) = match method {
        Method::Publish | Method::PublishStream => {
            (types.subschema_for::<PublishRequest<'static>>(), types.subschema_for::<Answer<PublishResult>>())
        }
        Method::Broadcast => {
            (types.subschema_for::<BroadcastRequest<'static>>(), types.subschema_for::<Answer<BroadcastResult>>())
        }
        Method::History => {
            (types.subschema_for::<HistoryRequest<'static>>(), types.subschema_for::<Answer<HistoryResult>>())
        }
        Method::HistoryRemove => (
            types.subschema_for::<HistoryRemoveRequest<'static>>(),
            types.subschema_for::<Answer<HistoryRemoveResult>>(),
        ),
        Method::Presence => {
            (types.subschema_for::<PresenceRequest<'static>>(), types.subschema_for::<Answer<PresenceResult>>())
        }
        Method::PresenceStats => {
            (types.subschema_for::<PresenceRequest<'static>>(), types.subschema_for::<Answer<PresenceStatsResult>>())
        }
        Method::Channels => {
            (types.subschema_for::<ChannelsRequest<'static>>(), types.subschema_for::<Answer<ChannelsResult>>())
        }
        Method::Info => (types.subschema_for::<InfoRequest>(), types.subschema_for::<Answer<InfoResult>>()),
        Method::Disconnect => {
            (types.subschema_for::<DisconnectRequest>(), types.subschema_for::<Answer<DisconnectResult>>())
        }
        Method::Subscribe => {
            (types.subschema_for::<SubscribeRequest<'static>>(), types.subschema_for::<Answer<SubscribeResult>>())
        }
        Method::Unsubscribe => {
            (types.subschema_for::<UnsubscribeRequest<'static>>(), types.subschema_for::<Answer<UnsubscribeResult>>())
        }
        Method::Refresh => (types.subschema_for::<RefreshRequest>(), types.subschema_for::<Answer<RefreshResult>>()),
        Method::Batch => (types.subschema_for::<BatchRequest<'static>>(), types.subschema_for::<BatchResult>()),
    };
    // A line of JSON each: OpenAPI 3.1 has no schema for lines.
    let is_lines = method == Method::PublishStream;
    let media = if is_lines { "application/x-ndjson" } else { "application/json" };
    let schema = |schema| if is_lines { json!({ "type": "string" }) } else { json!(schema) };
    let has_fields = !matches!(method, Method::Channels | Method::Info);
    let mut responses: Map<String, Value> = REFUSALS
        .iter()
        .map(|(kind, _)| {
            let status = kind.status().as_str().to_owned();
            (status.clone(), json!({ "$ref": format!("#/components/responses/{status}") }))
        })
        .collect();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The result, or an error that only the state of the hub makes one.",
            "content": { media: { "schema": schema(answer) } },
        }),
    );
    json!({
        "post": {
            "operationId": method.name(),
            "summary": method.summary(),
            "parameters": [{
                "name": "X-Throng-Error-Mode",
                "in": "header",
                "description": "With `transport` every error has a status of its own.",
                "schema": { "enum": ["transport"] },
            }],
            "requestBody": { "required": has_fields, "content": { media: { "schema": schema(request) } } },
            "responses": responses,
        },
    })
}

fn refusal(kind: ErrorKind, text: &str, schema: &schemars::Schema) -> Value {
    let mut response = json!({ "description": text, "content": { "application/json": { "schema": schema } } });
    let header = match kind {
        ErrorKind::Unauthorized => Some("WWW-Authenticate"),
        ErrorKind::Verb => Some("Allow"),
        _ if kind.is_temporary() => Some("Retry-After"),
        _ => None,
    };
    if let Some(header) = header {
        response["headers"] = json!({ header: { "schema": { "type": "string" }, "required": true } });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a generator of clients, and schemathesis, need: every reference leads somewhere.
    #[test]
    fn every_method_is_described_and_every_reference_leads_somewhere() {
        let document = describe();
        assert_eq!(document["paths"].as_object().unwrap().len(), Method::ALL.len());
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut count = 0;
        for reference in references {
            assert!(document.pointer(reference).is_some(), "there is no {reference}");
            count += 1;
        }
        assert!(count > 20);
    }
}
