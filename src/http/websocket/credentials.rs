//! The credentials of a handshake: its token, and the subprotocol that is chosen.
//!
//! A browser cannot set headers of a WebSocket, so there are three ways: the query, which proxies may log; a
//! subprotocol, which they do not; and `Authorization`, for programs. RFC 6455 section 4.2.2 lets the server choose one
//! of the subprotocols that are offered, and a browser fails the connection if it chooses none. The token itself is
//! never chosen, because the response would repeat it, so it is offered next to the name of the chat protocol.

use crate::http::admin::bearer;
use crate::http::error::RequestError;
use crate::protocol::Encoding;
use crate::protocol::centrifuge::Format;
use hyper::{HeaderMap, Request, header};

/// The subprotocol of the chat protocol.
const CHAT: &str = "throng.chat";

/// The subprotocol in which each line begins with its offset and its time.
const NUMBERED: &str = "throng.numbered";

/// The subprotocols of the Centrifuge protocol.
const CENTRIFUGE: [(&str, Format); 2] = [("centrifuge-json", Format::Json), ("centrifuge-protobuf", Format::Protobuf)];

/// What begins a subprotocol that is a token.
const TOKEN: &str = "throng.token.";

/// Returns the token of a request, from wherever it is; an empty one counts as none.
pub(crate) fn token<B>(request: &Request<B>) -> Result<Option<&str>, RequestError> {
    let query = request.uri().query().unwrap_or_default().split('&');
    let queried = query.filter_map(|pair| pair.strip_prefix("token="));
    let offered = offered(request.headers()).filter_map(|name| name.strip_prefix(TOKEN));
    let lines = request.headers().get_all(header::AUTHORIZATION).into_iter();
    let borne = lines.filter_map(|line| std::str::from_utf8(bearer(line.as_bytes())?).ok());
    let mut tokens = queried.chain(offered).chain(borne).filter(|token| !token.is_empty());
    let token = tokens.next();
    if tokens.next().is_some() {
        return Err(RequestError::BadRequest("there is more than one token"));
    }
    Ok(token)
}

/// Returns the subprotocol to choose: one of ours, if it is offered; and what it means for lines.
pub(crate) fn subprotocol(headers: &HeaderMap) -> Result<(Option<&'static str>, Encoding), RequestError> {
    let is_offered = |wanted: &str| offered(headers).any(|name| name == wanted);
    if is_offered(NUMBERED) {
        return Ok((Some(NUMBERED), Encoding::NumberedLines));
    }
    if is_offered(CHAT) {
        return Ok((Some(CHAT), Encoding::Lines));
    }
    if offered(headers).any(|name| name.starts_with(TOKEN)) {
        return Err(RequestError::BadRequest(
            "a token in a subprotocol needs throng.chat or throng.numbered offered next to it",
        ));
    }
    Ok((None, Encoding::Lines))
}

/// Returns the subprotocol of the Centrifuge protocol to choose, if one is offered, and the format of the messages:
/// that of the subprotocol or of the query, and JSON otherwise.
pub(crate) fn centrifuge_format<B>(request: &Request<B>) -> (Option<&'static str>, Format) {
    let is_named = |name| CENTRIFUGE.into_iter().find(|(known, _)| *known == name);
    let chosen = offered(request.headers()).find_map(is_named);
    let mut query = request.uri().query().unwrap_or_default().split('&');
    let is_protobuf = query.any(|pair| matches!(pair, "cf_protocol=protobuf" | "format=protobuf"));
    match chosen {
        Some((name, format)) if format == Format::Protobuf || !is_protobuf => (Some(name), format),
        _ if is_protobuf => (None, Format::Protobuf),
        _ => (None, Format::Json),
    }
}

/// Returns the subprotocols that a client offers, in its order.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn token_is_found_wherever_a_client_can_put_it() {
        for (target, headers, expected) in [
            ("/ws", &[][..], Ok(None)),
            ("/ws?token=", &[], Ok(None)),
            ("/ws?channel=a&token=a.b.c", &[], Ok(Some("a.b.c"))),
            ("/ws?xtoken=a.b.c", &[], Ok(None)),
            ("/ws", &[("sec-websocket-protocol", "throng.chat, throng.token.a.b.c")], Ok(Some("a.b.c"))),
            (
                "/ws",
                &[("sec-websocket-protocol", "throng.token.a.b.c"), ("sec-websocket-protocol", "throng.chat")],
                Ok(Some("a.b.c")),
            ),
            ("/ws", &[("authorization", "bearer a.b.c")], Ok(Some("a.b.c"))),
            ("/ws", &[("authorization", "Basic YTpi")], Ok(None)),
            ("/ws?token=a.b.c", &[("authorization", "Bearer a.b.c")], Err(())),
            ("/ws?token=a.b.c&token=d.e.f", &[], Err(())),
        ] {
            let request = request(target, headers);
            assert_eq!(token(&request).map_err(|_| ()), expected, "{target} {headers:?}");
        }
    }

    #[test]
    fn format_is_that_of_the_subprotocol_or_of_the_query() {
        for (target, offered, expected) in [
            ("/", "", (None, Format::Json)),
            ("/?cf_protocol_version=v2", "centrifuge-json", (Some("centrifuge-json"), Format::Json)),
            ("/", "centrifuge-protobuf", (Some("centrifuge-protobuf"), Format::Protobuf)),
            ("/", "x, centrifuge-protobuf, centrifuge-json", (Some("centrifuge-protobuf"), Format::Protobuf)),
            ("/?cf_protocol=protobuf", "", (None, Format::Protobuf)),
            ("/?format=protobuf", "centrifuge-protobuf", (Some("centrifuge-protobuf"), Format::Protobuf)),
            ("/?format=json", "", (None, Format::Json)),
        ] {
            let request = request(target, &[("sec-websocket-protocol", offered)]);
            assert_eq!(centrifuge_format(&request), expected, "{target} {offered}");
        }
    }

    /// The response must not repeat a token, and a browser needs a choice.
    #[test]
    fn chat_is_chosen_and_never_a_token() {
        for (offered, expected) in [
            ("", Ok(None)),
            ("graphql-ws", Ok(None)),
            ("throng.chat", Ok(Some(CHAT))),
            ("throng.chat, throng.numbered", Ok(Some(NUMBERED))),
            ("other , throng.token.a.b.c,throng.chat", Ok(Some(CHAT))),
            ("throng.token.a.b.c", Err(())),
            ("THRONG.CHAT", Ok(None)),
        ] {
            let request = request("/ws", &[("sec-websocket-protocol", offered)]);
            let chosen = subprotocol(request.headers()).map(|(chosen, _)| chosen);
            assert_eq!(chosen.map_err(|_| ()), expected, "{offered}");
        }
    }
}
