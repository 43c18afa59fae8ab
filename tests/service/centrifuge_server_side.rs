//! Subscriptions that a token asks for, and who joins and leaves, over the Centrifuge protocol.

use crate::server::TestServer;
use crate::server::api::{result, with};
use crate::server::centrifuge::Centrifuge;
use crate::tokens;
use serde_json::{Value, json};
use throng::config::{Config, TokenAlgorithm};

fn with_tokens(config: &mut Config) {
    config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
}

async fn server() -> TestServer {
    with(with_tokens).await
}

/// Returns a request to connect whose token has more claims.
fn with_claims(user: &str, more: Value) -> Value {
    let mut claims = tokens::claims(user);
    if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more) {
        claims.extend(more);
    }
    json!({ "token": tokens::token(&claims) })
}

/// A token that names channels subscribes its client to them, private ones too, and a later connect recovers.
#[tokio::test]
async fn token_subscribes_its_client_and_a_later_connect_recovers() {
    let server = server().await;
    result(&server, "publish", json!({ "channel": "$a", "data": 1 })).await;
    let request = with_claims("42", json!({ "channels": ["$a"], "subs": { "b": { "info": { "x": 1 } } } }));
    let mut client = Centrifuge::open(&server).await;
    let mut reply = client.call(json!({ "connect": request })).await;
    let subs = reply["connect"]["subs"].take();
    let epoch = subs["$a"]["epoch"].clone();
    assert_eq!(subs["$a"], json!({ "recoverable": true, "positioned": true, "epoch": epoch, "offset": 1 }));
    assert!(subs["b"]["epoch"].is_string() && subs.as_object().unwrap().len() == 2, "{subs}");
    result(&server, "publish", json!({ "channel": "$a", "data": 2 })).await;
    assert_eq!(client.publication().await, ("$a".to_owned(), json!(2)));
    assert_eq!(client.error(json!({ "subscribe": { "channel": "b" } })).await, 105);
    result(&server, "unsubscribe", json!({ "user": "42", "channel": "b" })).await;
    assert_eq!(client.push().await["unsubscribe"]["code"], json!(2000));
    drop(client);
    result(&server, "publish", json!({ "channel": "$a", "data": 3 })).await;
    let mut request = with_claims("42", json!({ "channels": ["$a"] }));
    request["subs"] = json!({ "$a": { "recover": true, "epoch": epoch, "offset": 1 } });
    let mut client = Centrifuge::open(&server).await;
    let reply = client.call(json!({ "connect": request })).await;
    let sub = &reply["connect"]["subs"]["$a"];
    let datas: Vec<_> = sub["publications"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!((datas, &sub["recovered"], &sub["offset"]), (vec![json!(2), json!(3)], &json!(true), &json!(1)));
}

/// Its own user is told there, without asking; others have no such channel.
#[tokio::test]
async fn personal_channel_is_subscribed_if_the_setting_says_so() {
    let server = with(|config| {
        with_tokens(config);
        config.tokens.personal_channel = true;
    })
    .await;
    for (more, expected) in [(json!({}), &["#42"][..]), (json!({ "channels": ["a", "#42"] }), &["#42", "a"])] {
        let mut client = Centrifuge::open(&server).await;
        let reply = client.call(json!({ "connect": with_claims("42", more) })).await;
        let names: Vec<_> = reply["connect"]["subs"].as_object().unwrap().keys().collect();
        assert_eq!(names, expected, "{reply}");
        result(&server, "publish", json!({ "channel": "#42", "data": "for you" })).await;
        assert_eq!(client.publication().await, ("#42".to_owned(), json!("for you")));
    }
    let mut anonymous = Centrifuge::open(&server).await;
    let reply = anonymous.call(json!({ "connect": {} })).await;
    assert_eq!(reply["connect"].get("subs"), None, "{reply}");
}

/// Whatever is published while a client connects comes after its connect, without gap or duplicate.
#[tokio::test]
async fn connect_stands_before_the_first_publication() {
    let server = server().await;
    let mut publisher = Centrifuge::connect(&server).await;
    let channels: Vec<_> = (0..20).map(|number| format!("c{number}")).collect();
    for round in 0..20 {
        let mut client = Centrifuge::open(&server).await;
        client.command(json!({ "connect": with_claims("42", json!({ "channels": channels })) })).await;
        for channel in &channels {
            publisher.command(json!({ "publish": { "channel": channel, "data": round } })).await;
        }
        let first = client.next().await;
        let subs = first["connect"]["subs"].as_object().unwrap_or_else(|| panic!("{first}")).clone();
        assert_eq!(subs.len(), 20);
        let mut due: Vec<_> = subs.iter().filter(|(_, sub)| sub["offset"].as_u64().unwrap_or(0) == round).collect();
        while !due.is_empty() {
            let push = client.push().await;
            assert_eq!(push["pub"]["offset"], json!(round + 1));
            due.retain(|(channel, _)| push["channel"] != **channel);
        }
    }
}

#[tokio::test]
async fn token_of_a_channel_that_cannot_be_is_refused() {
    let server = server().await;
    for (channels, code) in [
        (json!(["none:a"]), 102),
        (json!(["no spaces"]), 107),
        (json!((0..129).map(|number| format!("c{number}")).collect::<Vec<_>>()), 106),
    ] {
        let mut client = Centrifuge::open(&server).await;
        let request = with_claims("42", json!({ "channels": channels }));
        assert_eq!(client.error(json!({ "connect": request })).await, code);
    }
}

/// Subscribers are told who joins and leaves where the namespace wants it.
#[tokio::test]
async fn joins_and_leaves_are_pushes() {
    let server = with(|config| {
        with_tokens(config);
        (config.default_namespace.presence, config.default_namespace.join_leave) = (true, true);
    })
    .await;
    let mut watcher = Centrifuge::connect(&server).await;
    watcher.call(json!({ "subscribe": { "channel": "a", "join_leave": true } })).await;
    let request = with_claims("42", json!({ "info": { "name": "A" } }));
    let mut other = Centrifuge::connect_with(&server, request).await;
    other.call(json!({ "subscribe": { "channel": "a" } })).await;
    let info = json!({ "user": "42", "client": "0/1.0", "conn_info": { "name": "A" } });
    let mut next = async |kind: &str, info: &Value| loop {
        let push = watcher.push().await;
        if push[kind]["info"] == *info {
            assert_eq!(push["channel"], json!("a"));
            return;
        }
    };
    next("join", &info).await;
    drop(other);
    next("leave", &info).await;
}

/// A subscription ends with its token, 25 seconds later, unless it gets a new one.
#[tokio::test]
async fn subscription_tells_when_its_token_ends_and_takes_a_new_one() {
    let server = server().await;
    let token = |channel: &str, seconds: i64| {
        let mut claims = tokens::claims("42");
        let end = i64::try_from(tokens::now()).unwrap() + seconds;
        (claims["exp"], claims["expire_at"], claims["channel"]) =
            ((tokens::now() + 900).into(), end.into(), channel.into());
        tokens::token(&claims)
    };
    let mut client = Centrifuge::connect_with(&server, with_claims("42", json!({}))).await;
    let request = json!({ "subscribe": { "channel": "$a", "token": token("$a", 100) } });
    let reply = client.call(request).await["subscribe"].take();
    assert!((95..=100).contains(&reply["ttl"].as_u64().unwrap()) && reply["expires"] == json!(true), "{reply}");
    let refresh = |channel: &str, token: String| json!({ "sub_refresh": { "channel": channel, "token": token } });
    let reply = client.call(refresh("$a", token("$a", 200))).await["sub_refresh"].take();
    assert!((195..=200).contains(&reply["ttl"].as_u64().unwrap()) && reply["expires"] == json!(true), "{reply}");
    assert_eq!(
        client.call(refresh("$a", token("$a", -i64::try_from(tokens::now()).unwrap()))).await["sub_refresh"],
        json!({})
    );
    assert_eq!(client.error(refresh("$b", token("$b", 100))).await, 103);
    assert_eq!(client.error(refresh("$a", token("$a", -5))).await, 109);
    let mut request = refresh("$a", String::new());
    request["sub_refresh"]["type"] = 1.into();
    assert_eq!(client.error(request).await, 108);
    client.command(refresh("$a", token("$b", 100))).await;
    assert_eq!(client.closed().await, Some((3500, "invalid token".to_owned())));
}

/// docs/threats.md, row 20: the grace of 25 seconds is not a way to stay.
#[tokio::test]
async fn client_is_disconnected_when_a_subscription_has_expired() {
    let server = server().await;
    let mut claims = tokens::claims("42");
    claims["channel"] = "$a".into();
    claims["expire_at"] = (tokens::now() + 2).into();
    let mut client = Centrifuge::connect_with(&server, with_claims("42", json!({ "expire_at": 0 }))).await;
    client.call(json!({ "subscribe": { "channel": "$a", "token": tokens::token(&claims) } })).await;
    let began = tokens::now();
    assert_eq!(client.closed().await, Some((3006, "subscription expired".to_owned())));
    assert!(tokens::now() - began >= 25);
}
