//! The application over HTTP, as it should be and as it should not.

use super::*;
use crate::auth::UserId;
use crate::config::Config;
use crate::hub::ClientId;
use crate::protocol::centrifuge::Format;
use crate::protocol::{CloseCode, Content, Disconnection};
use crate::session::hooks::Extension;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An application that answers with the bytes that a test gives it, and not at all when there are none.
struct Backend {
    addr: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            addr: listener.local_addr().unwrap(),
            answer: Arc::default(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        backend.answers(ok(answer));
        let (answer, requests) = (Arc::clone(&backend.answer), Arc::clone(&backend.requests));
        let connections = Arc::clone(&backend.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&requests)));
            }
        });
        backend
    }

    fn answers(&self, answer: Vec<u8>) {
        *self.answer.lock() = answer;
    }

    fn hooks(&self, more: &str) -> HttpHooks {
        let tables = HookName::ALL.map(|name| {
            let url = format!("http://{}/{}", self.addr, name.word());
            format!("[[hook]]\nname = \"{}\"\nurl = \"{url}\"\n{more}\n", name.word())
        });
        let text =
            format!("[default_namespace]\nallow_subscribe = \"hook\"\nallow_publish = \"hook\"\n{}", tables.concat());
        HttpHooks::new(&Config::from_toml(&text).unwrap().hooks, Arc::new(Metrics::new(1)))
    }

    /// Returns the requests since the last call: their heads and bodies.
    fn requests(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.requests.lock())
    }
}

/// Serves requests until the client ends, or the answer does not say how long it is.
async fn serve(mut stream: TcpStream, answer: Arc<Mutex<Vec<u8>>>, requests: Arc<Mutex<Vec<(String, Value)>>>) {
    let mut read = Vec::new();
    loop {
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head.split_once("content-length: ").unwrap().1;
                let length = length.lines().next().unwrap().parse::<usize>().unwrap();
                if body.len() >= length {
                    break (head, length);
                }
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let body = serde_json::from_slice(&read[head.len() + 4..head.len() + 4 + length]).unwrap();
        read.clear();
        requests.lock().push((head, body));
        let answer = answer.lock().clone();
        let is_whole = answer.windows(15).any(|part| part == b"Content-Length:") && !answer.ends_with(b"...");
        match answer.is_empty() {
            // The other end may have enough before the end.
            false => _ = stream.write_all(&answer).await,
            true => std::future::pending().await,
        }
        if !is_whole {
            return;
        }
    }
}

fn response(status: &str, lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    response("200 OK", "Content-Type: application/json\r\n", body)
}

fn asker() -> Asker {
    let client = ClientId::parse("0/17.3").unwrap();
    let header = |name: &str, value: &'static str| (name.to_owned(), Bytes::from_static(value.as_bytes()));
    let headers = vec![header("cookie", "a=b"), header("x-other", "1"), header("x-request-id", "7")];
    Asker { client, user: UserId::new("42"), format: Some(Format::Json), meta: None, headers }
}

fn json_data(text: &str) -> Option<Payload> {
    Some(Payload::json(text))
}

fn error(code: u32, is_temporary: bool) -> (u32, bool) {
    (code, is_temporary)
}

/// Returns the code of a refusal and whether it is temporary.
fn refusal<T: std::fmt::Debug>(decision: Decision<T>) -> (u32, bool) {
    match decision {
        Decision::Refused(error) => (error.code, error.is_temporary),
        other => panic!("{other:?}"),
    }
}

/// The requests are those that Centrifugo documents, so that its applications work unchanged.
#[tokio::test]
async fn every_question_has_its_documented_form() {
    let backend = Backend::start(r#"{"result":{}}"#).await;
    let (hooks, asker) = (backend.hooks(""), asker());
    let (name, version) = ("js".to_owned(), "5".to_owned());
    let subs = vec![("news".to_owned(), None)];
    let connect = Connect { name, version, subs, data: json_data(r#"{"a": 1}"#), ..Connect::default() };
    hooks.connect(&asker, &connect).await;
    hooks.refresh(&asker).await;
    hooks.sub_refresh(&Asker { meta: Some(r#"{"plan":"a"}"#.into()), ..asker.clone() }, "chat:1").await;
    let subscribe = Subscribe { channel: "chat:1".to_owned(), data: json_data("[]"), ..Subscribe::default() };
    hooks.subscribe(&asker, &subscribe).await;
    hooks.publish(&asker, "chat:1", &Payload::new(Content::Binary, Bytes::from_static(b"\xff\0"))).await;
    hooks.publish(&asker, "chat:1", &Payload::new(Content::Binary, Bytes::from_static(b"{\"x\":1}"))).await;
    hooks.publish(&asker, "chat:1", &Payload::line(b"hello \"you\"").unwrap()).await;
    hooks.rpc(&asker, &Rpc { method: "price".to_owned(), data: json_data("12") }).await;
    let about =
        json!({ "client": "0/17.3", "transport": "websocket", "protocol": "json", "encoding": "json", "user": "42" });
    let with = |more: Value| {
        let mut all = about.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let mut first = with(json!({ "name": "js", "version": "5", "channels": ["news"], "data": { "a": 1 } }));
    first.as_object_mut().unwrap().remove("user");
    let expected = [
        ("connect", first),
        ("refresh", about.clone()),
        ("sub_refresh", with(json!({ "channel": "chat:1", "meta": { "plan": "a" } }))),
        ("subscribe", with(json!({ "channel": "chat:1", "data": [] }))),
        ("publish", with(json!({ "channel": "chat:1", "encoding": "binary", "b64data": "/wA=" }))),
        ("publish", with(json!({ "channel": "chat:1", "data": { "x": 1 } }))),
        ("publish", with(json!({ "channel": "chat:1", "data": "hello \"you\"" }))),
        ("rpc", with(json!({ "method": "price", "data": 12 }))),
    ];
    for ((head, body), (path, expected)) in backend.requests().into_iter().zip(expected) {
        assert!(head.starts_with(&format!("post /{path} http/1.1")), "{head}");
        assert!(
            head.contains("content-type: application/json") && head.contains(&format!("host: {}", backend.addr)),
            "{head}"
        );
        assert_eq!(body, expected);
    }
    assert_eq!(backend.connections.load(Ordering::Relaxed), 1, "connections are kept");
}

#[tokio::test]
async fn every_answer_is_what_the_session_gets() {
    let backend = Backend::start("").await;
    let (hooks, asker) = (backend.hooks(""), asker());
    let answers = |result: Value| backend.answers(ok(&json!({ "result": result }).to_string()));
    answers(json!({
        "user": "56", "expire_at": 4_000_000_000_u64, "info": { "n": "Ann" }, "data": [1], "channels": ["a"],
        "subs": { "b": { "b64info": STANDARD.encode("[ 2 ]"), "b64data": "AQI=", "expire_at": 9 } },
        "meta": { "plan": "a" },
    }));
    let bytes = Payload::new(Content::Binary, Bytes::from_static(&[1, 2]));
    let of_b = Subscription { info: Some("[2]".into()), data: Some(bytes.clone()), expires_at: Some(9) };
    let admission = Admission {
        user: UserId::new("56"),
        expires_at: Some(4_000_000_000),
        info: Some(r#"{"n":"Ann"}"#.into()),
        data: json_data("[1]"),
        channels: vec![("a".to_owned(), Subscription::default()), ("b".to_owned(), of_b)],
        meta: Some(r#"{"plan":"a"}"#.into()),
    };
    assert_eq!(hooks.connect(&asker, &Connect::default()).await, Decision::Allowed(admission));
    answers(json!({ "user": "", "channels": null, "expire_at": 0 }));
    assert_eq!(hooks.connect(&asker, &Connect::default()).await, Decision::Allowed(Admission::default()));
    answers(json!({ "expire_at": 99 }));
    let until = |expires_at| Extension { expires_at, ..Extension::default() };
    let goes_on = |extension| Decision::Allowed(Renewal::Until(extension));
    assert_eq!(hooks.refresh(&asker).await, goes_on(until(Some(99))));
    answers(json!({}));
    assert_eq!(hooks.sub_refresh(&asker, "a").await, goes_on(until(None)));
    answers(json!({ "info": 1, "meta": {} }));
    let changed = Extension { expires_at: None, info: Some("1".into()), meta: Some("{}".into()) };
    assert_eq!(hooks.refresh(&asker).await, goes_on(changed));
    answers(json!({ "expired": true }));
    assert_eq!(hooks.refresh(&asker).await, Decision::Allowed(Renewal::Expired));
    answers(json!({ "data": { "t": 1 }, "info": "x", "expire_at": 8 }));
    let allowed = Subscription { info: Some(r#""x""#.into()), data: json_data(r#"{"t":1}"#), expires_at: Some(8) };
    assert_eq!(hooks.subscribe(&asker, &Subscribe::default()).await, Decision::Allowed(allowed));
    answers(json!({ "b64data": "AQI=", "tags": { "k": "v" }, "delta": true }));
    let approval = Approval { data: Some(bytes.clone()), tags: vec![("k".to_owned(), "v".to_owned())] };
    assert_eq!(hooks.publish(&asker, "a", &bytes).await, Decision::Allowed(approval));
    answers(json!({}));
    assert_eq!(hooks.rpc(&asker, &Rpc::default()).await, Decision::Allowed(None));
    backend.answers(ok(r#"{"error":{"code":1000,"message":"no","temporary":true}}"#));
    assert_eq!(refusal(hooks.rpc(&asker, &Rpc::default()).await), error(1000, true));
    backend.answers(ok(r#"{"disconnect":{"code":4501,"reason":"unauthorized"}}"#));
    let closed = |code, text: &str| {
        let code = CloseCode::from_wire(code).unwrap();
        Decision::Closed(Disconnection { code, text: text.into() })
    };
    assert_eq!(hooks.connect(&asker, &Connect::default()).await, closed(4501, "unauthorized"));
    backend.answers(ok(r#"{"disconnect":{"code":4000}}"#));
    assert_eq!(hooks.connect(&asker, &Connect::default()).await, closed(4000, "force disconnect"));
    assert_eq!(
        happened(&hooks).into_iter().filter(|(hook, ..)| *hook == "rpc").collect::<Vec<_>>(),
        [("rpc", "result", 1), ("rpc", "error", 1)]
    );
}

/// Whatever an application answers, the client has the documented error at once, and nothing is allowed by mistake.
/// docs/threats.md, row 42.
#[tokio::test]
async fn answers_that_are_not_documented_are_temporary_errors() {
    let elsewhere = Backend::start(r#"{"result":{}}"#).await;
    let backend = Backend::start("").await;
    let (hooks, asker) = (backend.hooks(""), asker());
    let location = format!("Location: http://{}/x\r\n", elsewhere.addr);
    let huge = format!(r#"{{"result":{{"data":"{}"}}}}"#, "x".repeat(256 * 1024));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("status", response("500 Internal Server Error", "", r#"{"result":{}}"#)),
        ("status", response("404 Not Found", "", r#"{"result":{}}"#)),
        ("status", response("301 Moved Permanently", &location, r#"{"result":{}}"#)),
        ("status", response("307 Temporary Redirect", &location, r#"{"result":{}}"#)),
        ("malformed", ok("")),
        ("malformed", ok("{}")),
        ("malformed", ok("[]")),
        ("malformed", ok("<html>sorry</html>")),
        ("malformed", ok(r#"{"result":{}} {}"#)),
        ("malformed", ok(r#"{"result":{"allowed":false}}"#)),
        ("malformed", ok(r#"{"result":null}"#)),
        ("malformed", ok(r#"{"result":{},"status":"denied"}"#)),
        ("malformed", ok(r#"{"result":{},"error":{"code":403,"message":"no"}}"#)),
        ("malformed", ok(r#"{"error":{"code":103,"message":"no"}}"#)),
        ("malformed", ok(r#"{"error":{"message":"no"}}"#)),
        ("malformed", ok(r#"{"disconnect":{"code":3500}}"#)),
        ("malformed", ok(r#"{"disconnect":{"code":70000}}"#)),
        ("malformed", ok(&json!({ "disconnect": { "code": 4000, "reason": "x".repeat(124) } }).to_string())),
        ("malformed", ok(r#"{"disconnect":{"code":4000,"reason":"{\"reconnect\":false}"}}"#)),
        ("malformed", ok(r#"{"result":{"b64data":"?"}}"#)),
        ("malformed", ok(&huge)),
        ("malformed", format!("HTTP/1.1 200 OK\r\n\r\n{huge}").into_bytes()),
        ("malformed", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"result\":{}}...".to_vec()),
        ("connection", b"HTTP/1.1 200".to_vec()),
        ("connection", b"nonsense\r\n\r\n".to_vec()),
    ];
    for (outcome, answer) in cases {
        let text = String::from_utf8_lossy(&answer[..answer.len().min(90)]).into_owned();
        backend.answers(answer);
        let before = count(&hooks, "rpc", outcome);
        assert_eq!(refusal(hooks.rpc(&asker, &Rpc::default()).await), error(100, true), "{text}");
        assert_eq!(count(&hooks, "rpc", outcome), before + 1, "{outcome}: {text}");
    }
    assert_eq!(elsewhere.requests(), [], "redirects are not followed");
    // It recovers with the application.
    backend.answers(ok(r#"{"result":{}}"#));
    assert_eq!(hooks.rpc(&asker, &Rpc::default()).await, Decision::Allowed(None));
    drop(backend);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = format!("[[hook]]\nname = \"rpc\"\nurl = \"http://{closed}/\"\n");
    hooks.configure(&Config::from_toml(&text).unwrap().hooks);
    let before = count(&hooks, "rpc", "connection");
    assert_eq!(refusal(hooks.rpc(&asker, &Rpc::default()).await), error(100, true));
    assert_eq!(count(&hooks, "rpc", "connection"), before + 1);
    hooks.configure(&[]);
    assert!(!hooks.has(HookName::Rpc, None));
    assert_eq!(refusal(hooks.rpc(&asker, &Rpc::default()).await), error(108, false));
}

/// What Centrifugo knows and this hub does not is never left out silently, and the log says what to do instead.
#[test]
fn fields_that_have_no_meaning_here_are_refused_with_what_to_do_instead() {
    #[expect(clippy::needless_pass_by_value, reason = "values are made in place")]
    fn fault<T: HookResult>(result: Value) -> String {
        reply::read::<T>(json!({ "result": result }).to_string().as_bytes()).err().unwrap()
    }
    for (fault, expected) in [
        (
            fault::<SubscribeReply>(json!({ "override": { "presence": { "value": true } } })),
            "result.override: the options of a channel are those of its namespace",
        ),
        (fault::<SubscribeReply>(json!({ "allow": ["pub"] })), "result.allow: what a client may do is said by"),
        (fault::<ConnectReply>(json!({ "caps": [] })), "result.caps: what a client may do is said by"),
        (
            fault::<ConnectReply>(json!({ "subs": { "a": { "cache_recover": true } } })),
            "result.subs.a.cache_recover: a subscription recovers from",
        ),
        (fault::<PublishReply>(json!({ "skip_history": true })), "result.skip_history: a gap would be left"),
        (fault::<PublishReply>(json!({ "version": 3 })), "result.version: publications have no versions"),
        (fault::<PublishReply>(json!({ "allowed": true })), "result.allowed: unknown field `allowed`, expected one of"),
        (fault::<RefreshReply>(json!({ "meta": [] })), "result.meta: it is not an object"),
        (fault::<RefreshReply>(json!({ "b64info": "eA==" })), "result.b64info: it is not the base64 of JSON"),
        (fault::<RefreshReply>(json!({ "expire_at": 1_700_000_000_000_u64 })), "is not a time in seconds since 1970"),
    ] {
        assert!(fault.contains(expected), "{fault}");
    }
}

/// A namespace is asked where its own table says, and every other one where the table without namespaces does.
#[tokio::test]
async fn questions_go_where_the_table_of_the_namespace_says() {
    let (own, other) = (Backend::start(r#"{"result":{}}"#).await, Backend::start(r#"{"result":{}}"#).await);
    let table =
        |to: &Backend, more: &str| format!("[[hook]]\nname = \"publish\"\nurl = \"http://{}/\"\n{more}\n", to.addr);
    let options = "[default_namespace]\nallow_publish = \"hook\"\n[[namespace]]\nname = \"chat\"\n[[namespace]]\n\
                   name = \"news\"\n";
    let text = format!("{options}{}{}", table(&own, "namespaces = [\"chat\"]"), table(&other, ""));
    let hooks = HttpHooks::new(&Config::from_toml(&text).unwrap().hooks, Arc::new(Metrics::new(1)));
    for (channel, is_own) in [("chat:1", true), ("$chat:1", true), ("news:1", false), ("lobby", false)] {
        hooks.publish(&asker(), channel, &Payload::json("1")).await;
        let counts = (own.requests().len(), other.requests().len());
        assert_eq!(counts, if is_own { (1, 0) } else { (0, 1) }, "{channel}");
    }
    let text = format!(
        "{}{}",
        options.replace("[default_namespace]\nallow_publish = \"hook\"\n", "").replacen(
            "\"chat\"\n",
            "\"chat\"\nallow_publish = \"hook\"\n",
            1
        ),
        table(&own, "namespaces = [\"chat\"]")
    );
    hooks.configure(&Config::from_toml(&text).unwrap().hooks);
    assert!(hooks.has(HookName::Publish, Some("chat:1")) && !hooks.has(HookName::Publish, Some("news:1")));
}

/// Returns the counts above zero.
fn happened(hooks: &HttpHooks) -> Vec<(&'static str, &'static str, u64)> {
    hooks.metrics.hooks.outcomes().into_iter().filter(|(.., count)| *count > 0).collect()
}

fn count(hooks: &HttpHooks, hook: &str, outcome: &str) -> u64 {
    let counts = hooks.metrics.hooks.outcomes();
    counts.iter().find(|(one, other, _)| (*one, *other) == (hook, outcome)).map_or(0, |(.., count)| *count)
}

/// The clock advances when nothing else can happen: to the timeout, and not beyond it.
#[tokio::test(start_paused = true)]
async fn application_that_does_not_answer_is_given_up_after_the_timeout() {
    let backend = Backend::start("").await;
    backend.answers(Vec::new());
    let (hooks, asker) = (backend.hooks("timeout = \"700ms\""), asker());
    let began = Instant::now();
    assert_eq!(refusal(hooks.subscribe(&asker, &Subscribe::default()).await), error(100, true));
    assert!((Duration::from_millis(700)..Duration::from_millis(800)).contains(&began.elapsed()));
    assert_eq!(happened(&hooks), [("subscribe", "timeout", 1)]);
}

/// docs/threats.md, row 42.
#[tokio::test]
async fn requests_under_way_are_bounded_and_further_ones_wait_for_their_turn() {
    let backend = Backend::start("").await;
    backend.answers(Vec::new());
    let (hooks, asker) = (backend.hooks("requests_max = 2\ntimeout = \"1h\""), asker());
    let (hooks, asker) = (Arc::new(hooks), Arc::new(asker));
    let ask = || {
        let (hooks, asker) = (Arc::clone(&hooks), Arc::clone(&asker));
        tokio::spawn(async move { hooks.rpc(&asker, &Rpc::default()).await })
    };
    let hanging = [ask(), ask()];
    while backend.requests.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    let waiting = ask();
    // Another hook has turns of its own.
    let other = (Arc::clone(&hooks), Arc::clone(&asker));
    tokio::spawn(async move { other.0.refresh(&other.1).await });
    while backend.requests.lock().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(backend.requests.lock().iter().filter(|(head, _)| head.starts_with("post /rpc")).count(), 2);
    backend.answers(ok(r#"{"result":{}}"#));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(waiting.await.unwrap(), Decision::Allowed(None));
}

#[tokio::test]
async fn only_headers_that_are_named_are_passed_on() {
    let backend = Backend::start(r#"{"result":{}}"#).await;
    let asker = asker();
    backend.hooks("static_headers = [\"Authorization: Bearer s3cret\"]").refresh(&asker).await;
    backend.hooks("headers = [\"Cookie\", \"X-Request-Id\"]").refresh(&asker).await;
    let requests = backend.requests();
    let has = |number: usize, line: &str| requests[number].0.contains(line);
    assert!(has(0, "authorization: bearer s3cret") && !has(0, "cookie") && !has(0, "x-"));
    assert!(has(1, "cookie: a=b") && has(1, "x-request-id: 7") && !has(1, "x-other") && !has(1, "authorization"));
}
