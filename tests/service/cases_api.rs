//! The HTTP API over a real server: every method, and every wrong request.

use crate::server::api::{JSON, call, call_with, check_error, result, server, with};
use crate::tokens;
use serde_json::json;
use throng::config::{Config, TokenAlgorithm};
use throng::protocol::CloseReason;

/// What design.md calls interop: each reader gets data in its own form.
#[tokio::test]
async fn publication_reaches_chat_clients_as_text_or_as_one_line_of_json() {
    let server = server().await;
    let mut client = server.connect("/ws?channel=lobby").await;
    for (fields, line) in [
        (r#""data":"hello""#, "hello"),
        (r#""data":" two\nlines ""#, "two lines"),
        ("\"data\":{ \"a\" :\n [1, 2] }", r#"{"a":[1,2]}"#),
        (r#""data":null"#, "null"),
        (r#""data":"","b64data":"""#, ""),
        (r#""b64data":"c25vdw==","data_":1"#, "snow"),
        (r#""b64data":"/wA=""#, " [throng] 2 bytes left out: they are not text"),
    ] {
        let body = format!("{{\"channel\":\"lobby\",{fields},\"unknown\":[{{}}]}}");
        let answer = call_with(&server, "publish", JSON, &body).await;
        assert_eq!((answer.status, answer.body.starts_with("{\"result\":{")), (200, true), "{body}: {}", answer.body);
        assert_eq!(client.line().await, line, "{body}");
    }
}

#[tokio::test]
async fn history_returns_what_was_published_with_tags_and_positions() {
    let server = server().await;
    let first = result(&server, "publish", json!({ "channel": "a", "data": {"n": 1}, "tags": {"k": "v"} })).await;
    assert_eq!(first["offset"], 1);
    let epoch = first["epoch"].as_str().expect("a channel with history has an epoch").to_owned();
    result(&server, "publish", json!({ "channel": "a", "b64data": "/wA=" })).await;
    result(&server, "publish", json!({ "channel": "a", "data": "three" })).await;

    let page = result(&server, "history", json!({ "channel": "a", "limit": -1 })).await;
    assert_eq!((&page["offset"], page["epoch"].as_str()), (&json!(3), Some(&*epoch)));
    let publications = page["publications"].as_array().unwrap();
    assert_eq!((&publications[0]["data"], &publications[0]["tags"]), (&json!({"n": 1}), &json!({"k": "v"})));
    assert_eq!((&publications[1]["b64data"], publications[1].get("data")), (&json!("/wA="), None));
    assert_eq!((&publications[2]["data"], &publications[2]["offset"]), (&json!("three"), &json!(3)));
    assert!(publications[2]["time"].as_u64().unwrap() > 1_600_000_000_000);

    let since = json!({ "offset": 1, "epoch": epoch });
    let page = result(&server, "history", json!({ "channel": "a", "limit": 1, "since": since })).await;
    assert_eq!(page["publications"][0]["offset"], 2);
    let page = result(&server, "history", json!({ "channel": "a", "limit": 1, "reverse": true })).await;
    assert_eq!(page["publications"][0]["offset"], 3);
    let page = result(&server, "history", json!({ "channel": "a" })).await;
    assert_eq!((page["publications"].as_array().unwrap().len(), &page["offset"]), (0, &json!(3)));

    result(&server, "history_remove", json!({ "channel": "a" })).await;
    let page = result(&server, "history", json!({ "channel": "a", "limit": 10 })).await;
    assert_eq!(page["publications"], json!([]));
    let page = result(&server, "history", json!({ "channel": "never", "limit": 10 })).await;
    assert_eq!(page, json!({ "publications": [], "offset": 0, "epoch": "" }));
}

/// Lines of chat clients are strings for backends.
#[tokio::test]
async fn history_has_lines_of_chat_clients_as_strings() {
    let server = server().await;
    result(&server, "publish", json!({ "channel": "a", "data": 1 })).await;
    let mut client = server.connect("/ws?channel=a").await;
    client.send("from \"chat\"").await;
    client.line().await;
    let page = result(&server, "history", json!({ "channel": "a", "limit": 1, "reverse": true })).await;
    assert_eq!(page["publications"][0]["data"], "from \"chat\"");
}

/// Nothing half-done: one channel that is wrong costs itself its publication and no other.
#[tokio::test]
async fn broadcast_to_a_hundred_channels_of_which_one_is_invalid_is_99_results_and_one_error() {
    let server = server().await;
    let mut channels: Vec<_> = (0..100).map(|number| format!("c{number}")).collect();
    channels[50] = "no spaces".to_owned();
    let answers = result(&server, "broadcast", json!({ "channels": channels, "data": 1 })).await;
    let answers = answers["responses"].as_array().unwrap();
    assert_eq!(answers.len(), 100);
    for (index, answer) in answers.iter().enumerate() {
        match index {
            50 => assert_eq!(answer["error"]["code"], 107),
            _ => assert_eq!(answer["result"]["offset"], 1, "{index}: {answer}"),
        }
    }
}

#[tokio::test]
async fn batch_replies_to_each_command_in_order() {
    let server = server().await;
    let commands = json!([
        { "publish": { "channel": "a", "data": 1 } },
        { "publish": { "channel": "a", "data": 2 } },
        { "history": { "channel": "a", "limit": 5 } },
        { "publish": { "channel": 7, "data": 1 } },
        { "rpc": {} },
        { "publish": { "channel": "a", "data": 3 }, "info": {} },
        { "broadcast": { "channels": ["a", "b"], "data": 4 }, "id": 9 },
        ["publish"],
        { "info": {} },
        { "channels": {} },
        { "history_remove": { "channel": "a" } },
        { "disconnect": { "client": "0/0.999" } },
        { "unsubscribe": { "client": "0/0.999", "channel": "a" } },
        { "refresh": { "client": "0/0.999", "expire_at": 1 } },
    ]);
    let (status, answer) = call(&server, "batch", json!({ "commands": commands, "parallel": true })).await;
    assert_eq!(status, 200);
    let replies = answer["replies"].as_array().unwrap();
    assert_eq!(replies.len(), 14);
    assert_eq!((&replies[0]["publish"]["offset"], &replies[1]["publish"]["offset"]), (&json!(1), &json!(2)));
    assert_eq!(replies[2]["history"]["publications"].as_array().unwrap().len(), 2);
    let codes = [3, 4, 5, 7].map(|index| replies[index]["error"]["code"].as_u64().unwrap());
    assert_eq!(codes, [107, 104, 107, 107]);
    assert!(replies[3]["error"]["message"].as_str().unwrap().starts_with("channel: invalid type: integer `7`"));
    assert_eq!(replies[6]["broadcast"]["responses"][0]["result"]["offset"], 3);
    assert_eq!(replies[8]["info"]["nodes"].as_array().unwrap().len(), 1);
    assert_eq!((&replies[9]["channels"]["channels"], &replies[11]["disconnect"]), (&json!({}), &json!({})));
    assert_eq!((&replies[12]["unsubscribe"], &replies[13]["refresh"]), (&json!({}), &json!({})));
}

#[tokio::test]
async fn channels_and_info_tell_what_is_there() {
    let server = with(|config| config.echo = true).await;
    let (_one, _two) = (server.connect("/ws?channel=news.1").await, server.connect("/ws?channel=news.1").await);
    let (_other, _echo) = (server.connect("/ws?channel=sport").await, server.connect("/echo").await);
    let all = result(&server, "channels", json!({})).await;
    assert_eq!(all["channels"], json!({ "news.1": { "num_clients": 2 }, "sport": { "num_clients": 1 } }));
    let some = result(&server, "channels", json!({ "pattern": "news.*" })).await;
    assert_eq!(some["channels"], json!({ "news.1": { "num_clients": 2 } }));
    let info = result(&server, "info", json!({})).await;
    let node = &info["nodes"][0];
    assert_eq!((&node["num_clients"], &node["version"]), (&json!(4), &json!(env!("CARGO_PKG_VERSION"))));
    // A body is not needed where no field is.
    assert_eq!(call_with(&server, "info", "", "").await.status, 200);
}

#[tokio::test]
async fn disconnect_of_a_user_closes_all_its_connections_and_no_other() {
    let keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
    let server = with(|config| config.token_keys = keys).await;
    let path = |user| format!("/ws?token={}", tokens::token(&tokens::claims(user)));
    let (mut one, mut two) = (server.connect(&path("42")).await, server.connect(&path("42")).await);
    let mut other = server.connect(&path("43")).await;
    // Not a connection of that user.
    result(&server, "disconnect", json!({ "user": "42", "client": "0/2.0" })).await;
    result(&server, "disconnect", json!({ "user": "42", "client": "0/0.0" })).await;
    assert_eq!(one.closed().await.map(|(code, _)| code), Some(4503));
    result(&server, "disconnect", json!({ "user": "42", "disconnect": { "code": 4001 } })).await;
    assert_eq!(two.closed().await, Some((4001, "force disconnect".to_owned())));
    let mut three = server.connect(&path("42")).await;
    let worded = json!({ "user": "42", "disconnect": { "code": 4500, "reason": "the account is closed" } });
    result(&server, "disconnect", worded).await;
    assert_eq!(three.closed().await, Some((4500, "the account is closed".to_owned())));
    for (code, reason, text) in [
        (3999, String::new(), "disconnect.code: 3999 is not between 4000 and 4999"),
        (4500, "x".repeat(124), "disconnect.reason: it has more than 123 bytes"),
        (4500, "{}".to_owned(), "disconnect.reason: SDKs read an object there"),
    ] {
        let refused = json!({ "user": "43", "disconnect": { "code": code, "reason": reason } }).to_string();
        check_error(&call_with(&server, "disconnect", JSON, &refused).await, 400, 107, text);
    }
    result(&server, "disconnect", json!({ "user": "nobody" })).await;
    other.send("still here").await;
    assert_eq!(other.line().await, "still here");
}

/// A connection of /ws has one channel, so the end of its subscription is its own end.
#[tokio::test]
async fn unsubscribe_closes_those_that_are_in_the_channel_and_no_other() {
    let keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
    let server = with(|config| config.token_keys = keys).await;
    let path = |user, channel| format!("/ws?channel={channel}&token={}", tokens::token(&tokens::claims(user)));
    let mut of_user = server.connect(&path("42", "news")).await;
    let mut elsewhere = server.connect(&path("42", "sport")).await;
    let mut other = server.connect(&path("43", "news")).await;
    let mut anonymous = server.connect("/ws?channel=news").await;
    result(&server, "unsubscribe", json!({ "user": "42", "channel": "news" })).await;
    assert_eq!(of_user.closed().await, Some((4510, "unsubscribed".to_owned())));
    // Neither its channel nor its user, nor a connection that there may be.
    result(&server, "unsubscribe", json!({ "client": "0/3.0", "channel": "sport" })).await;
    result(&server, "unsubscribe", json!({ "client": "0/3.0", "user": "43", "channel": "news" })).await;
    result(&server, "unsubscribe", json!({ "client": "63/0.0", "channel": "news" })).await;
    for (client, text) in [(&mut elsewhere, "one"), (&mut other, "two"), (&mut anonymous, "two")] {
        client.send(text).await;
        assert!(client.line().await.starts_with(text));
    }
    result(&server, "unsubscribe", json!({ "client": "0/3.0", "channel": "news" })).await;
    assert_eq!(anonymous.closed().await.map(|(code, _)| code), Some(4510));
    server.closed(CloseReason::Unsubscribed, 2).await;
}

/// A backend extends or ends what a token began, without a new connection.
#[tokio::test]
async fn refresh_moves_the_end_of_connections_with_a_token() {
    let keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
    let server = with(|config| config.token_keys = keys).await;
    let expiring = |user, seconds: u64| {
        let mut claims = tokens::claims(user);
        claims["exp"] = (tokens::now() + seconds).into();
        format!("/ws?token={}", tokens::token(&claims))
    };
    let mut extended = server.connect(&expiring("42", 2)).await;
    let mut ended = server.connect(&expiring("42", 2)).await;
    let mut cut = server.connect(&expiring("43", 3600)).await;
    let mut anonymous = server.connect("/ws").await;
    result(&server, "refresh", json!({ "client": "0/0.0", "expire_at": tokens::now() + 3600 })).await;
    assert_eq!(ended.closed().await, Some((4005, "token expired".to_owned())));
    result(&server, "refresh", json!({ "user": "43", "expired": true })).await;
    assert_eq!(cut.closed().await.map(|(code, _)| code), Some(4005));
    // One without a token has no end that could be moved.
    result(&server, "refresh", json!({ "client": "0/3.0", "expired": true })).await;
    anonymous.send("still here").await;
    assert_eq!(anonymous.line().await, "still here");
    assert_eq!(extended.line().await, "still here");
    result(&server, "refresh", json!({ "user": "42", "expire_at": 1 })).await;
    assert_eq!(extended.closed().await.map(|(code, _)| code), Some(4005));
}

#[tokio::test]
async fn disconnect_closes_the_connection_with_its_code_and_no_other() {
    let server = server().await;
    let mut first = server.connect("/ws?channel=lobby").await;
    let mut second = server.connect("/ws?channel=lobby").await;
    result(&server, "disconnect", json!({ "client": "0/0.0" })).await;
    assert_eq!(first.closed().await, Some((4503, "force disconnect".to_owned())));
    result(&server, "disconnect", json!({ "client": "63/0.0" })).await;
    result(&server, "publish", json!({ "channel": "lobby", "data": "still here" })).await;
    assert_eq!(second.line().await, "still here");
    result(&server, "disconnect", json!({ "client": "0/1.0", "disconnect": { "code": 4001 } })).await;
    assert_eq!(second.closed().await, Some((4001, "force disconnect".to_owned())));
}

/// Every way of being wrong, with the field, the value and the rule.
#[tokio::test]
async fn every_wrong_request_is_told_the_field_the_value_and_the_rule() {
    let server = with(|config| config.sockets.message_bytes_max = 100).await;
    let (long, big) = ("k".repeat(256), "d".repeat(101));
    let cases = [
        ("publish", "{".to_owned(), "the body: EOF while parsing an object"),
        ("publish", "[\"a\",1]".to_owned(), "the body: invalid type: sequence, expected an object"),
        ("publish", "{}".to_owned(), "missing field `channel`"),
        ("publish", r#"{"channel":7,"data":1}"#.to_owned(), "channel: invalid type: integer `7`, expected a string"),
        ("publish", r#"{"channel":"","data":1}"#.to_owned(), "channel: channel name is empty"),
        ("publish", r#"{"channel":"a b","data":1}"#.to_owned(), "channel: channel name has ' ' at byte 1; allowed"),
        ("publish", format!(r#"{{"channel":"{long}","data":1}}"#), "has 256 bytes; shorten it to 255"),
        ("publish", r#"{"channel":"a"}"#.to_owned(), "data: missing; give data, or bytes as b64data"),
        ("publish", r#"{"channel":"a","data":1,"b64data":"AA=="}"#.to_owned(), "b64data: data is given too"),
        ("publish", r#"{"channel":"a","b64data":"*"}"#.to_owned(), "b64data: \"*\" is not base64"),
        (
            "publish",
            format!(r#"{{"channel":"a","data":"{big}"}}"#),
            "data: 103 bytes with tags; --message-bytes-max is 100",
        ),
        ("publish", r#"{"channel":"a","data":1,"tags":{"a":1}}"#.to_owned(), "tags.a: invalid type: integer `1`"),
        ("publish", format!(r#"{{"channel":"a","data":1,"idempotency_key":"{long}"}}"#), "idempotency_key: 256 bytes"),
        (
            "publish",
            r#"{"channel":"a","data":1,"skip_history":true}"#.to_owned(),
            "skip_history: true is not supported",
        ),
        ("publish", r#"{"channel":"a","channel":"b","data":1}"#.to_owned(), "duplicate field `channel`"),
        ("broadcast", r#"{"channels":[],"data":1}"#.to_owned(), "channels: an empty list"),
        ("broadcast", r#"{"channels":[1],"data":1}"#.to_owned(), "channels[0]: invalid type: integer `1`"),
        ("history", r#"{"channel":"a","limit":1001}"#.to_owned(), "limit: 1001 is not between -1 and 1000"),
        ("history", r#"{"channel":"a","since":{"offset":-1,"epoch":""}}"#.to_owned(), "since.offset: invalid value"),
        ("history", r#"{"channel":"a","since":[1,""]}"#.to_owned(), "since: invalid type: sequence"),
        ("history_remove", "{}".to_owned(), "missing field `channel`"),
        ("presence", "{}".to_owned(), "missing field `channel`"),
        ("presence_stats", r#"{"channel":"a b"}"#.to_owned(), "channel: "),
        ("disconnect", "{}".to_owned(), "client or user: one of them has to name what is disconnected"),
        ("disconnect", r#"{"user":""}"#.to_owned(), "user: it is empty"),
        ("disconnect", r#"{"client":"x"}"#.to_owned(), "client: \"x\" is not the id of a connection such as 0/17.3"),
        ("disconnect", r#"{"client":"0/0.0","disconnect":{"code":1000}}"#.to_owned(), "disconnect.code: 1000 is not"),
        (
            "unsubscribe",
            r#"{"channel":"a"}"#.to_owned(),
            "client or user: one of them has to name what is unsubscribed",
        ),
        ("unsubscribe", r#"{"client":"0/0.0"}"#.to_owned(), "missing field `channel`"),
        ("unsubscribe", r#"{"channel":"","client":"0/0.0"}"#.to_owned(), "channel: channel name is empty"),
        ("refresh", "{}".to_owned(), "client or user: one of them has to name what is refreshed"),
        ("refresh", r#"{"user":"a","expire_at":-1}"#.to_owned(), "expire_at: invalid value: integer `-1`"),
        (
            "refresh",
            r#"{"user":"a","expire_at":1700000000000}"#.to_owned(),
            "expire_at: 1700000000000 is after the year",
        ),
        ("refresh", r#"{"user":"a","expired":1}"#.to_owned(), "expired: invalid type: integer `1`"),
        ("batch", r#"{"commands":{}}"#.to_owned(), "commands: invalid type: map, expected a sequence"),
        ("batch", "{}".to_owned(), "missing field `commands`"),
    ];
    for (method, body, text) in cases {
        check_error(&call_with(&server, method, JSON, &body).await, 400, 107, text);
    }
}

/// What only the state of the hub makes an error is an answer, unless the request asks for statuses.
#[tokio::test]
async fn answers_that_are_errors_have_status_200_or_their_own() {
    let server = with(|config| {
        let text = "[[namespace]]\nname = \"plain\"\nhistory_size = 0\nhistory_ttl = \"0s\"\n";
        config.namespaces = Config::from_toml(text).expect("it is valid").namespaces;
    })
    .await;
    let since = r#"{"channel":"a","since":{"offset":5,"epoch":"00000000000000fe"}}"#;
    for (method, body, status, code, text) in [
        ("publish", r#"{"channel":"none:a","data":1}"#, 404, 102, "channel none:a: there is no namespace \"none\""),
        ("history", r#"{"channel":"plain:a"}"#, 404, 108, "channel plain:a: its namespace has no history"),
        (
            "history_remove",
            r#"{"channel":"plain:a"}"#,
            404,
            108,
            "set history_size and history_ttl of [[namespace]] plain",
        ),
        ("presence", r#"{"channel":"none:a"}"#, 404, 102, "channel none:a: there is no namespace \"none\""),
        ("presence", r#"{"channel":"plain:a"}"#, 404, 108, "channel plain:a: its namespace has no presence"),
        ("presence_stats", r#"{"channel":"a"}"#, 404, 108, "set presence of [default_namespace]"),
        ("history", since, 416, 112, "since: 00000000000000fe:5 is not in this history"),
        ("history", r#"{"channel":"a","since":{"offset":5,"epoch":"x"}}"#, 416, 112, "since: x:5"),
    ] {
        check_error(&call_with(&server, method, JSON, body).await, 200, code, text);
        for mode in ["X-Throng-Error-Mode: transport\r\n", "x-centrifugo-error-mode: Transport\r\n"] {
            check_error(&call_with(&server, method, mode, body).await, status, code, text);
        }
    }
    let answer = call_with(&server, "info", "X-Throng-Error-Mode: http\r\n", "{}").await;
    check_error(&answer, 400, 107, "X-Throng-Error-Mode: \"http\" is not transport");
    // An unknown namespace does not keep the other channels of a broadcast from theirs.
    let answers = result(&server, "broadcast", json!({ "channels": ["none:a", "plain:a"], "data": 1 })).await;
    assert_eq!(answers["responses"][0]["error"]["code"], 102);
    assert_eq!(answers["responses"][1], json!({ "result": {} }), "without history there is no offset");
}
