//! Every code of the Centrifuge protocol: the test that sees it come from a running server, or why it never comes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::centrifuge_clients::server_of_large_replies;
use crate::hooks::server as with_file;
use crate::server::api::{result, with};
use crate::server::application::{Application, Reply};
use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::client::Closed;
use crate::server::{FrozenClock, Raw, frame, start, stream_with_buffer};
use serde_json::json;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use throng::hub::{Command, ConnectionId};
use throng::protocol::CloseReason;
use throng::protocol::centrifuge::{DisconnectCode, ErrorCode, UnsubscribeCode};

/// Where a code is seen.
enum Seen {
    /// By this test, `FILE::NAME`, which has the number in it.
    By(&'static str),
    /// Nowhere, for this reason: no code of the hub names it.
    Never(&'static str),
}

use Seen::{By, Never};

/// Returns where an error is seen. A new code does not compile without.
const fn error(code: ErrorCode) -> Seen {
    match code {
        ErrorCode::Internal => By("hooks.rs::application_that_fails_lets_nobody_in_and_its_clients_come_back"),
        ErrorCode::Unauthorized => Never("who may do something is said by 103, or by 3500 of the connection"),
        ErrorCode::UnknownChannel
        | ErrorCode::MethodNotFound
        | ErrorCode::LimitExceeded
        | ErrorCode::BadRequest
        | ErrorCode::NotAvailable
        | ErrorCode::UnrecoverablePosition => By("centrifuge_commands.rs::every_error_of_a_command_has_its_code"),
        ErrorCode::PermissionDenied => {
            By("centrifuge_commands.rs::permissions_of_the_namespace_hold_for_users_and_for_subscribers")
        }
        ErrorCode::AlreadySubscribed => {
            By("centrifuge_server_side.rs::token_subscribes_its_client_and_a_later_connect_recovers")
        }
        ErrorCode::TokenExpired => {
            By("centrifuge_clients.rs::connection_ends_25_seconds_after_its_token_unless_it_is_refreshed")
        }
        ErrorCode::Expired => Never("what has expired ends with 3005, 3006 or 2501"),
        ErrorCode::TooManyRequests => {
            By("centrifuge_codes.rs::client_whose_question_gets_no_turn_is_told_to_come_back")
        }
        ErrorCode::ConcurrentPagination => Never("maps are not available, and only their states have pages"),
    }
}

/// Returns where the end of a subscription is seen.
const fn unsubscribe(code: UnsubscribeCode) -> Seen {
    match code {
        UnsubscribeCode::Server => By("centrifuge_clients.rs::backend_subscribes_and_unsubscribes_a_running_client"),
        UnsubscribeCode::InsufficientState => {
            By("centrifuge_lagging.rs::client_that_lags_in_a_channel_subscribes_to_it_again_and_recovers")
        }
        UnsubscribeCode::Expired => By("hooks.rs::application_decides_whether_a_subscription_that_expires_goes_on"),
        UnsubscribeCode::StateInvalidated => Never("nothing invalidates what a client knows"),
    }
}

/// Returns where the end of a connection is seen.
const fn disconnect(code: DisconnectCode) -> Seen {
    match code {
        DisconnectCode::ConnectionClosed => Never("every end has a reason of its own"),
        DisconnectCode::Shutdown => By("centrifuge_codes.rs::hub_that_stops_or_sheds_says_shutdown"),
        DisconnectCode::ServerError | DisconnectCode::PermissionDenied | DisconnectCode::ForceReconnect => {
            By("centrifuge_codes.rs::ends_that_a_shard_is_told_of_have_their_codes")
        }
        DisconnectCode::Expired => {
            By("centrifuge_clients.rs::connection_ends_25_seconds_after_its_token_unless_it_is_refreshed")
        }
        DisconnectCode::SubscriptionExpired => {
            By("centrifuge_server_side.rs::client_is_disconnected_when_a_subscription_has_expired")
        }
        DisconnectCode::Slow => By("centrifuge_codes.rs::client_that_takes_nothing_for_too_long_is_slow"),
        DisconnectCode::WriteError => Never("a socket that takes no close frame gets no code either"),
        DisconnectCode::InsufficientState => {
            By("centrifuge_lagging.rs::client_that_lags_in_a_server_side_subscription_is_disconnected_with_3010")
        }
        DisconnectCode::NoPong => By("centrifuge_clients.rs::pings_and_pongs_are_messages"),
        DisconnectCode::TooManyRequests => By("centrifuge_codes.rs::client_that_sends_too_much_is_told_so"),
        DisconnectCode::StateInvalidated => Never("nothing invalidates what a client knows"),
        DisconnectCode::InvalidToken | DisconnectCode::BadRequest | DisconnectCode::NotAvailable => {
            By("centrifuge_commands.rs::every_broken_rule_ends_the_connection_with_its_code")
        }
        DisconnectCode::Stale => By("centrifuge_commands.rs::client_that_does_not_connect_is_stale_after_ten_seconds"),
        DisconnectCode::ForceDisconnect => By("centrifuge_codes.rs::backend_disconnects_a_client"),
        DisconnectCode::ConnectionLimit => {
            By("centrifuge_commands.rs::client_without_a_required_token_and_one_of_too_many_are_disconnected")
        }
        DisconnectCode::ChannelLimit => Never("a command beyond the limit gets error 106"),
        DisconnectCode::InappropriateProtocol => Never("every format and every transport of the hub has all commands"),
        DisconnectCode::TooManyErrors => Never("commands that fail count as others, for 3013"),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the body of a function of tests, up to the brace that ends it.
fn body<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = text.find(&format!("fn {name}("))?;
    let end = text[begin..].find("\n}\n").map_or(text.len(), |end| begin + end);
    text.get(begin..end)
}

/// docs/centrifuge.md: SDKs decide by the number alone what they do next, so each number has a test that sees it.
#[test]
fn every_code_has_a_test_that_sees_it_or_is_never_sent() {
    let errors = ErrorCode::ALL.map(|code| (format!("ErrorCode::{code:?}"), code.number(), error(code)));
    let unsubscribes =
        UnsubscribeCode::ALL.map(|code| (format!("UnsubscribeCode::{code:?}"), code.number(), unsubscribe(code)));
    let disconnects =
        DisconnectCode::ALL.map(|code| (format!("DisconnectCode::{code:?}"), code.number().into(), disconnect(code)));
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    files.retain(|path| !path.ends_with("protocol/centrifuge/codes.rs"));
    let texts: Vec<_> = files.iter().map(|path| read_to_string(path).unwrap()).collect();
    for (name, number, seen) in errors.into_iter().chain(unsubscribes).chain(disconnects) {
        let users = files.iter().zip(&texts).filter(|(path, text)| {
            let ends = text.match_indices(&name).map(|(at, found)| text[at + found.len()..].chars().next());
            !path.components().any(|part| part.as_os_str() == "tests")
                && ends.into_iter().any(|next| next.is_none_or(|next| !next.is_alphanumeric()))
        });
        let users: Vec<_> = users.map(|(path, _)| path.strip_prefix(root()).unwrap()).collect();
        match seen {
            By(test) => {
                let (file, function) = test.split_once("::").unwrap();
                let text = read_to_string(root().join("tests/service").join(file)).unwrap();
                let body = body(&text, function).unwrap_or_else(|| panic!("{name}: {file} has no test {function}"));
                assert!(body.contains(&number.to_string()), "{name}: {test} does not look for {number}");
                assert!(!users.is_empty(), "{name}: no code sends it, so its test cannot see it");
            }
            Never(why) => assert!(users.is_empty(), "{name} is not never sent ({why}): {users:?} names it"),
        }
    }
}

fn closed(code: u16, text: &str) -> Closed {
    Some((code, text.to_owned()))
}

#[tokio::test]
async fn client_whose_question_gets_no_turn_is_told_to_come_back() {
    let application = Application::start(|_| Reply::Hang).await;
    let table = application.hooks(&["rpc"]).replace("[[hook]]", "[[hook]]\nrequests_max = 1\ntimeout = \"4s\"");
    let server = with_file(&table).await;
    let (mut first, mut second) = (Centrifuge::connect(&server).await, Centrifuge::connect(&server).await);
    let rpc = json!({ "rpc": { "method": "slow" } });
    first.command(rpc.clone()).await;
    application.requested(1).await;
    let clock = FrozenClock::new();
    let reply = clock.pass_until(second.call(rpc)).await;
    let busy = json!({ "code": 111, "message": "too many requests", "temporary": true });
    assert_eq!(reply["error"], busy, "{reply}");
    assert_eq!(clock.pass_until(first.next()).await["error"]["code"], json!(100));
}

#[tokio::test]
async fn hub_that_stops_or_sheds_says_shutdown() {
    let mut server = start(|_| {}).await;
    let (mut shed, mut stopped) = (Centrifuge::connect(&server).await, Centrifuge::connect(&server).await);
    server.hub().inbox(0).send(Command::CloseSome { count: 1, reason: CloseReason::Shed }).await;
    assert_eq!(shed.closed().await, closed(3001, "shutdown"));
    server.begin_stop();
    assert_eq!(stopped.closed().await, closed(3001, "shutdown"));
}

/// What a bug and an age lead to is tested for all protocols in `ws_close.rs`; this is what SDKs are told of it.
#[tokio::test]
async fn ends_that_a_shard_is_told_of_have_their_codes() {
    for (reason, code, text) in [
        (CloseReason::Internal, 3004, "internal server error"),
        (CloseReason::Aged, 3011, "force reconnect"),
        (CloseReason::PermissionDenied, 3507, "permission denied"),
    ] {
        let server = start(|_| {}).await;
        let mut client = Centrifuge::connect(&server).await;
        let id = ConnectionId::parse("0/0.0").unwrap();
        server.hub().inbox(0).send(Command::Close { id, reason }).await;
        assert_eq!(client.closed().await, closed(code, text));
    }
}

#[tokio::test]
async fn client_that_takes_nothing_for_too_long_is_slow() {
    let server = server_of_large_replies().await;
    let commands = "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}";
    let stream = stream_with_buffer(server.addr, 1).await;
    let mut slow = Raw::over(stream, PATH, &frame(0x81, commands.as_bytes())).await;
    let ask = frame(0x81, br#"{"id":3,"history":{"channel":"a","limit":50}}"#);
    slow.send(&ask.repeat(40)).await;
    server.closed(CloseReason::SlowConsumer, 1).await;
    assert_eq!(slow.closed().await, closed(3008, "slow"));
}

#[tokio::test]
async fn client_that_sends_too_much_is_told_so() {
    let server = start(|config| {
        config.sockets.message_rate_max = 1;
        config.access.limits_exempt = Vec::new();
    })
    .await;
    let mut client = Centrifuge::connect(&server).await;
    for _ in 0..200 {
        client.command(json!({ "presence_stats": { "channel": "a" } })).await;
    }
    assert_eq!(client.closed().await, closed(3013, "too many requests"));
}

#[tokio::test]
async fn backend_disconnects_a_client() {
    let server = with(|_| {}).await;
    let mut client = Centrifuge::connect(&server).await;
    result(&server, "disconnect", json!({ "client": "0/0.0" })).await;
    assert_eq!(client.closed().await, closed(3503, "force disconnect"));
    let mut client = Centrifuge::open(&server).await;
    let id = client.call(json!({ "connect": {} })).await["connect"]["client"].take();
    result(&server, "disconnect", json!({ "client": id, "disconnect": { "code": 4001 } })).await;
    assert_eq!(client.closed().await, closed(4001, "force disconnect"));
}
