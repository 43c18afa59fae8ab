//! Events: the application learns who comes and goes, in order and for certain, and no client waits for it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::application::{Application, Reply, Request};
use crate::server::centrifuge::Centrifuge;
use crate::server::{FrozenClock, TestServer, get, start, within};
use crate::tokens;
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use throng::config::{Config, TokenAlgorithm};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn taken(_: &Request) -> Reply {
    Reply::Status(204, String::new())
}

async fn server(application: &Application, more: &str) -> TestServer {
    let addr = application.addr;
    let text = format!("[events]\nevents_url = \"http://{addr}/events\"\nevents_secret = \"{SECRET}\"\n{more}");
    let file = Config::from_toml(&format!("{text}\n{}", tokens::table(TokenAlgorithm::Hs256, None))).unwrap();
    start(|config| (config.events, config.token_keys) = (file.events, file.token_keys)).await
}

/// Returns the events of all requests, without their times, which are checked.
fn events(requests: &[Request]) -> Vec<Value> {
    let mut events = Vec::new();
    for request in requests {
        let mut body = request.json();
        events.append(body["events"].as_array_mut().unwrap());
    }
    for event in &mut events {
        let time = event.as_object_mut().unwrap().remove("time").unwrap().as_u64().unwrap() / 1000;
        assert!(time.abs_diff(tokens::now()) < 600, "{time}");
    }
    events
}

/// Returns a number of the metrics page.
async fn metric(server: &TestServer, name: &str) -> String {
    let page = get(server.addr, "/metrics").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{page}"));
    line.trim().to_owned()
}

/// Waits until the application has so many events.
async fn told(application: &Application, count: usize) -> Vec<Value> {
    let mut requests = 1;
    loop {
        let all = events(&application.requested(requests).await);
        if all.len() >= count {
            return all;
        }
        requests = application.requests().len() + 1;
    }
}

#[tokio::test]
async fn application_learns_who_comes_and_goes_in_order() {
    let application = Application::start(taken).await;
    let server = server(&application, "").await;
    let token = tokens::token(&tokens::claims("42"));
    let mut client = Centrifuge::connect_with(&server, json!({ "token": token })).await;
    client.call(json!({ "subscribe": { "channel": "news" } })).await;
    let chat = server.connect("/ws?channel=news").await;
    told(&application, 5).await;
    client.call(json!({ "publish": { "channel": "news", "data": 1 } })).await;
    client.call(json!({ "unsubscribe": { "channel": "news" } })).await;
    drop(chat);
    told(&application, 9).await;
    drop(client);
    server.stopped().await;
    let of = |kind: &str, client: &str, user: &str| json!({ "type": kind, "client": client, "user": user });
    let on = |kind: &str, client: &str, user: &str| {
        let mut event = of(kind, client, user);
        event["channel"] = json!("news");
        event
    };
    let expected = [
        of("connected", "0/0.0", "42"),
        json!({ "type": "occupied", "channel": "news" }),
        on("subscribed", "0/0.0", "42"),
        of("connected", "0/1.0", ""),
        on("subscribed", "0/1.0", ""),
        on("unsubscribed", "0/0.0", "42"),
        on("unsubscribed", "0/1.0", ""),
        json!({ "type": "vacated", "channel": "news" }),
        of("disconnected", "0/1.0", ""),
        of("disconnected", "0/0.0", "42"),
    ];
    assert_eq!(events(&application.requests()), expected);
}

#[tokio::test]
async fn only_chosen_types_are_sent() {
    let application = Application::start(taken).await;
    let server = server(&application, "events_types = [\"vacated\", \"occupied\"]\n").await;
    drop(server.connect("/ws?channel=a").await);
    assert_eq!(
        told(&application, 2).await,
        ["occupied", "vacated"].map(|kind| json!({ "type": kind, "channel": "a" }))
    );
    server.stopped().await;
    assert_eq!(events(&application.requests()).len(), 2);
}

/// An application that is away gets every event later, once it is back, and can tell a repetition.
#[tokio::test]
async fn request_is_repeated_until_it_is_taken_and_redirects_are_not_followed() {
    let elsewhere = Application::start(taken).await;
    let attempts = AtomicUsize::new(0);
    let location = format!("http://{}/events", elsewhere.addr);
    let application = Application::start(move |_| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Status(500, String::new()),
        1 => Reply::Redirect(location.clone()),
        2 => Reply::Hang,
        _ => Reply::Status(200, "thanks".to_owned()),
    })
    .await;
    let server = server(&application, "events_types = [\"connected\"]\n").await;
    let clock = FrozenClock::new();
    let _first = server.connect("/ws").await;
    // Clients come and go while it does not answer.
    clock.pass_until(application.requested(3)).await;
    let _second = server.connect("/ws").await;
    let requests = clock.pass_until(application.requested(5)).await;
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").unwrap()).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
    assert!(requests[..4].iter().all(|request| request.body == requests[0].body));
    assert_eq!(events(&requests[3..]).len(), 2);
    assert!(elsewhere.requests().is_empty());
    assert_eq!(metric(&server, "throng_events_retries_total").await, "3");
}

/// A stop is not held up by an application that hangs.
#[tokio::test]
async fn stop_waits_for_the_last_events_and_not_for_ever() {
    let application = Application::start(|_| Reply::Hang).await;
    let server = server(&application, "").await;
    let clock = FrozenClock::new();
    drop(server.connect("/ws").await);
    clock.pass_until(application.requested(1)).await;
    clock.pass_until(server.stopped()).await;
}

/// Returns the code of the document that begins with this line.
fn documented(first: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hooks.md")).unwrap();
    let mut blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.starts_with(first)).unwrap().to_owned()
}

/// The documented check accepts what the hub sends, and nothing else.
#[tokio::test]
async fn documented_check_accepts_what_the_hub_signs_and_nothing_else() {
    let application = Application::start(taken).await;
    let server = server(&application, "").await;
    let _client = server.connect("/ws?channel=bar").await;
    let request = application.requested(1).await.remove(0);
    let headers = |at: &str| {
        let of = |name: &str| request.header(name).unwrap().to_owned();
        json!({ "webhook-id": of("webhook-id"), "webhook-timestamp": at, "webhook-signature": of("webhook-signature") })
    };
    let at = request.header("webhook-timestamp").unwrap();
    let code = format!(
        "{}\nimport json, sys\nfor secret, headers, body in json.load(sys.stdin):\n    print(is_valid(secret, headers, \
         body.encode()))\n",
        documented("import base64")
    );
    let other = SECRET.replace("MfKQ", "MfKR");
    let cases = json!([
        [SECRET, headers(at), request.body],
        [other, headers(at), request.body],
        [SECRET, headers(at), request.body.replace("connected", "disconnected")],
        [SECRET, headers(&(tokens::now() + 1).to_string()), request.body],
        [SECRET, headers("1700000000"), request.body],
    ]);
    let mut python = Command::new("python3");
    let mut python = python.args(["-c", &code]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).await.unwrap();
    let output = within(python.wait_with_output()).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "True\nFalse\nFalse\nFalse\nFalse\n");
}

/// The first thing that a reader tries has to work.
#[tokio::test]
async fn documented_application_decides() {
    let code = documented("import json").replace("3000", "0");
    let mut python = Command::new("python3");
    let mut python =
        python.args(["-c", &code]).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let line = within(BufReader::new(python.stdout.take().unwrap()).lines().next_line()).await.unwrap().unwrap();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hooks.md")).unwrap();
    let file = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = Config::from_toml(&file.replace("3000", line.rsplit(' ').next().unwrap())).unwrap();
    let server = start(|config| {
        config.hooks = file.hooks;
        config.default_namespace = file.default_namespace;
    })
    .await;
    let mut client = Centrifuge::connect_with(&server, json!({ "data": { "user": "42" } })).await;
    client.call(json!({ "subscribe": { "channel": "x#42" } })).await;
    assert_eq!(client.error(json!({ "publish": { "channel": "x#42", "data": "buy spam" } })).await, 400);
    client.call(json!({ "publish": { "channel": "x#42", "data": "hello" } })).await;
    assert_eq!(client.publication().await, ("x#42".to_owned(), json!("hello")));
    assert_eq!(metric(&server, "throng_hook_requests_total{hook=\"publish\",outcome=\"error\"}").await, "1");
}
