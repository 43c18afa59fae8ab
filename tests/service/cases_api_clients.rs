//! The HTTP API and its clients: keys, scopes, bodies, retries, back-pressure, streams, and how clients misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::api::{JSON, KEY, call, call_with, check_error, parse, request, result, server, with, with_key};
use crate::server::http::read_to_end;
use crate::server::{FrozenClock, TestServer, exchange, get, start, within};
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{ApiScope, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn key_is_taken_from_either_header_in_any_case_and_nowhere_else() {
    let server = server().await;
    let body = br#"{"channel":"a","data":1}"#;
    for (headers, status) in [
        (format!("X-API-Key: {KEY}\r\n"), 200),
        (format!("x-api-key:  {KEY} \r\n"), 200),
        (format!("Authorization: apikey {KEY}\r\n"), 200),
        (format!("Authorization: ApiKey {KEY}\r\n"), 200),
        (format!("Authorization: bearer {KEY}\r\n"), 200),
        (format!("Authorization: Basic eDp5\r\nAuthorization: Bearer {KEY}\r\n"), 200),
        (format!("Authorization: {KEY}\r\n"), 401),
        (format!("Authorization: Basic {KEY}\r\n"), 401),
        (format!("X-API-Key: {KEY}x\r\n"), 401),
        ("X-API-Key: \r\n".to_owned(), 401),
        (String::new(), 401),
    ] {
        let answer = exchange(server.addr, &request("publish", &headers, body)).await;
        assert_eq!(answer.status, status, "{headers}: {}", answer.body);
        if status == 401 {
            check_error(&answer, 401, 101, "a key is required");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let answer = exchange(server.addr, &request(&format!("publish?api_key={KEY}"), "", body)).await;
    check_error(&answer, 401, 101, "a key is required");
}

/// docs/threats.md, row 22: keys cannot be guessed at the speed of the network.
#[tokio::test]
async fn too_many_wrong_keys_are_refused_while_a_right_one_works() {
    let server = server().await;
    let clock = FrozenClock::new();
    let mut last = None;
    for guess in 0..12 {
        let headers = format!("X-API-Key: guess-{guess}-0123456\r\n");
        last = Some(exchange(server.addr, &request("info", &headers, b"")).await);
    }
    let last = last.expect("there were some");
    check_error(&last, 429, 111, "too many wrong keys");
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(call(&server, "info", json!({})).await.0, 200);
    drop(clock);
}

#[tokio::test]
async fn hub_without_a_key_refuses_everything_and_says_how_to_set_one() {
    let server = start(|_| {}).await;
    for method in ["publish", "info", "nonsense"] {
        check_error(&call_with(&server, method, JSON, "{}").await, 401, 101, "--api-keys or THRONG_API_KEYS");
    }
}

#[tokio::test]
async fn key_of_a_table_may_do_what_its_scopes_say() {
    let server = with(|config| {
        let tables = "[[api_key]]\nkey = \"publisher-12\"\nscopes = [\"publish\"]\n\
            [[api_key]]\nkey = \"reader-12345\"\nscopes = [\"read\"]\n";
        config.api_key_tables = Config::from_toml(tables).expect("it is valid").api_key_tables;
        assert_eq!(config.api_key_tables[0].scopes, [ApiScope::Publish]);
    })
    .await;
    let publish = json!({ "channel": "a", "data": 1 }).to_string();
    for (key, method, body, status) in [
        ("publisher-12", "publish", &*publish, 200),
        ("publisher-12", "publish_stream", &*publish, 200),
        ("publisher-12", "info", "{}", 403),
        ("publisher-12", "disconnect", r#"{"client":"0/0.0"}"#, 403),
        ("publisher-12", "unsubscribe", r#"{"client":"0/0.0","channel":"a"}"#, 403),
        ("reader-12345", "refresh", r#"{"client":"0/0.0"}"#, 403),
        ("reader-12345", "info", "{}", 200),
        ("reader-12345", "history", r#"{"channel":"a"}"#, 200),
        ("reader-12345", "presence", r#"{"channel":"a"}"#, 200),
        ("publisher-12", "presence", r#"{"channel":"a"}"#, 403),
        ("publisher-12", "presence_stats", r#"{"channel":"a"}"#, 403),
        ("reader-12345", "publish", &*publish, 403),
        ("reader-12345", "publish_stream", &*publish, 403),
        ("reader-12345", "history_remove", r#"{"channel":"a"}"#, 403),
    ] {
        let answer = exchange(server.addr, &request(method, &format!("X-API-Key: {key}\r\n"), body.as_bytes())).await;
        assert_eq!(answer.status, status, "{key} {method}: {}", answer.body);
        if status == 403 {
            check_error(&answer, 403, 103, &format!("the key is not for {method}, which needs the scope"));
        }
    }
    let body = json!({ "commands": [{ "info": {} }, { "publish": { "channel": "a", "data": 1 } }] }).to_string();
    let answer = exchange(server.addr, &request("batch", "X-API-Key: publisher-12\r\n", body.as_bytes())).await;
    let replies = parse(&answer);
    assert_eq!(
        (&replies["replies"][0]["error"]["code"], &replies["replies"][1]["publish"]["offset"]),
        (&json!(103), &json!(3))
    );
}

#[tokio::test]
async fn unknown_method_wrong_verb_and_wrong_type_are_told_what_is_right() {
    let server = server().await;
    check_error(&call_with(&server, "subscribe_all", JSON, "{}").await, 404, 104, "publish, broadcast, publish_stream");
    check_error(&call_with(&server, "", JSON, "{}").await, 404, 104, "\"\" is not a method");
    for verb in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"] {
        let text = format!("{verb} /api/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {KEY}\r\n\r\n");
        let answer = exchange(server.addr, text.as_bytes()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{verb}");
    }
    let text = format!("OPTIONS /api/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {KEY}\r\n\r\n");
    assert_eq!(exchange(server.addr, text.as_bytes()).await.status, 204);
    let body = r#"{"channel":"a","data":1}"#;
    for (header, status) in [
        ("", 200),
        ("Content-Type: application/json; charset=utf-8\r\n", 200),
        ("Content-Type: Application/JSON\r\n", 200),
        ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
    ] {
        let answer = call_with(&server, "publish", header, body).await;
        assert_eq!(answer.status, status, "{header}");
        if status == 415 {
            check_error(&answer, 415, 107, "is not application/json");
        }
    }
}

/// docs/threats.md, row 3: a body is bounded before it is read.
#[tokio::test]
async fn body_at_the_limit_is_read_and_one_past_it_is_refused_before_it_is_sent() {
    let server = with(|config| config.api.api_body_bytes_max = 1024).await;
    let body = |bytes: usize| format!("{:<bytes$}", r#"{"channel":"a","data":1}"#);
    assert_eq!(call_with(&server, "publish", JSON, &body(1024)).await.status, 200);
    // Only the head of the request is sent.
    let head = request("publish", &with_key(JSON), body(1025).as_bytes());
    let answer = exchange(server.addr, &head[..head.len() - 1025]).await;
    check_error(&answer, 413, 107, "the body: 1025 bytes or more; --api-body-bytes-max is 1024");
    // Without a length in advance it is refused as soon as it is exceeded.
    let text = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n{}\r\n",
        body(1025)
    );
    check_error(&exchange(server.addr, text.as_bytes()).await, 413, 107, "--api-body-bytes-max is 1024");
}

#[tokio::test]
async fn body_that_does_not_come_is_given_up() {
    let server = with(|config| config.sockets.message_timeout = Duration::from_millis(1)).await;
    let whole = request("publish", &with_key(JSON), br#"{"channel":"a","data":1}"#);
    let answer = exchange(server.addr, &whole[..whole.len() - 5]).await;
    check_error(&answer, 408, 107, "the body did not arrive within --message-timeout 1ms");
}

#[tokio::test]
async fn second_request_under_the_same_key_gets_the_first_answer_and_publishes_nothing() {
    let server = server().await;
    let body = json!({ "channel": "a", "data": 1, "idempotency_key": "order-7" });
    let first = result(&server, "publish", body.clone()).await;
    assert_eq!(result(&server, "publish", body).await, first);
    let other = json!({ "channels": ["a", "b"], "data": 1, "idempotency_key": "order-7" });
    let answers = result(&server, "broadcast", other).await;
    assert_eq!((&answers["responses"][0]["result"], &answers["responses"][1]["result"]["offset"]), (&first, &json!(1)));
    assert_eq!(result(&server, "history", json!({ "channel": "a" })).await["offset"], 1);
    // An empty key is none: libraries that write every field send it.
    let plain = json!({ "channel": "a", "data": 1, "idempotency_key": "" });
    result(&server, "publish", plain.clone()).await;
    assert_eq!(result(&server, "publish", plain).await["offset"], 3);
}

/// Fills the inbox of the only shard of a server in a current-thread runtime, whose driver cannot run meanwhile.
async fn without_room(server: &TestServer) -> Vec<throng::hub::Credit<'_, throng::net::socket::SocketSink>> {
    let mut credits = Vec::new();
    while let Some(credit) = server.hub().inbox(0).try_credit(0) {
        credits.push(credit);
    }
    credits
}

/// Back-pressure, not loss: what is not published is told, with the time of a retry.
#[tokio::test]
async fn publication_that_finds_no_room_in_time_is_refused_and_not_made() {
    let server = with(|config| config.api.publish_timeout = Duration::from_millis(1)).await;
    let mut client = server.connect("/ws?channel=lobby").await;
    let credits = without_room(&server).await;
    let answer = call_with(&server, "publish", JSON, r#"{"channel":"lobby","data":"lost?"}"#).await;
    check_error(&answer, 503, 111, "shards had no room for --publish-timeout 1ms; nothing was published");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let both = json!({ "channels": ["lobby", "empty"], "data": "x" });
    let answers = result(&server, "broadcast", both).await;
    assert_eq!(answers["responses"][0]["error"]["code"], 111);
    assert!(answers["responses"][1]["result"].is_object(), "a channel without subscribers needs no room");
    drop(credits);
    result(&server, "publish", json!({ "channel": "lobby", "data": "after" })).await;
    assert_eq!(client.line().await, "after");
}

/// A channel too many is a limit of the hub, and the text says which.
#[tokio::test]
async fn channel_too_many_is_refused_with_the_limit() {
    let server = with(|config| config.limits.channels_max = 1).await;
    result(&server, "publish", json!({ "channel": "one", "data": 1 })).await;
    let answer = call_with(&server, "publish", JSON, r#"{"channel":"two","data":1}"#).await;
    check_error(&answer, 503, 106, "channel two: the hub has 1 channels, its limit");
}

async fn open_stream(server: &TestServer) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /api/publish_stream HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    within(stream.write_all(head.as_bytes())).await.unwrap();
    stream
}

async fn send_chunk(stream: &mut TcpStream, text: &str) {
    within(stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())).await.unwrap();
}

/// Reads until the text was seen.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        assert_ne!(within(stream.read_buf(&mut read)).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

/// A line is answered while the request goes on, and a wrong one does not end it.
#[tokio::test]
async fn stream_answers_each_line_in_order_and_goes_on_after_a_wrong_one() {
    let server = with(|config| config.api.api_body_bytes_max = 1024).await;
    let mut stream = open_stream(&server).await;
    send_chunk(&mut stream, "{\"channel\":\"a\",\"data\":1}\n").await;
    let answered = read_until(&mut stream, "\"offset\":1").await;
    assert!(answered.contains("content-type: application/x-ndjson"), "{answered}");
    send_chunk(&mut stream, "{\"channel\":\"a\",\n\n{\"channel\":\"a\",").await;
    send_chunk(&mut stream, "\"data\":2}\n").await;
    send_chunk(&mut stream, &format!("\"{}\"\n", "x".repeat(2000))).await;
    // The last line needs no newline.
    send_chunk(&mut stream, "{\"channel\":\"a\",\"data\":3}").await;
    within(stream.write_all(b"0\r\n\r\n")).await.unwrap();
    let mut rest = String::new();
    within(stream.read_to_string(&mut rest)).await.unwrap();
    let lines: Vec<Value> =
        rest.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect();
    assert_eq!(lines.len(), 4, "{rest}");
    assert_eq!((&lines[0]["error"]["code"], &lines[1]["result"]["offset"]), (&json!(107), &json!(2)));
    assert!(
        lines[2]["error"]["message"].as_str().unwrap().contains("the line: 2002 bytes; --api-body-bytes-max is 1024")
    );
    assert_eq!(lines[3]["result"]["offset"], 3);
}

/// While shards have no room the stream waits, and loses nothing.
#[tokio::test]
async fn stream_waits_for_room_as_long_as_it_takes() {
    let server = with(|config| config.api.publish_timeout = Duration::from_millis(1)).await;
    let mut client = server.connect("/ws?channel=lobby").await;
    let credits = without_room(&server).await;
    let mut stream = open_stream(&server).await;
    send_chunk(&mut stream, "{\"channel\":\"lobby\",\"data\":\"patient\"}\n").await;
    // A request of its own, which waits and is refused: the stream has had as much time.
    assert_eq!(call_with(&server, "publish", JSON, r#"{"channel":"lobby","data":1}"#).await.status, 503);
    drop(credits);
    assert_eq!(client.line().await, "patient");
    read_until(&mut stream, "{\"result\":").await;
}

#[tokio::test]
async fn stream_whose_client_goes_leaves_nothing() {
    let server = server().await;
    let mut stream = open_stream(&server).await;
    send_chunk(&mut stream, "{\"channel\":\"a\",\"data\":1}\n").await;
    read_until(&mut stream, "\"offset\":1").await;
    drop(stream);
    within(async {
        while server.handshakes() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Old and simple clients: HTTP/1.0, a client that ends its side, and several requests at once.
#[tokio::test]
async fn old_half_closed_and_pipelining_clients_are_answered() {
    let server = server().await;
    let body = r#"{"channel":"a","data":1}"#;
    let old = format!("POST /api/publish HTTP/1.0\r\nX-API-Key: {KEY}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = exchange(server.addr, old.as_bytes()).await;
    assert_eq!((answer.status, answer.body.contains("\"offset\":1")), (200, true));

    let mut half = TcpStream::connect(server.addr).await.unwrap();
    let whole = request("publish", &with_key(JSON), body.as_bytes());
    within(half.write_all(&whole)).await.unwrap();
    half.shutdown().await.unwrap();
    assert!(read_to_end(&mut half).await.body.contains("\"offset\":2"));

    let first = String::from_utf8(whole.clone()).unwrap().replace("Connection: close\r\n", "");
    let both = [first.as_bytes(), first.as_bytes(), &whole].concat();
    let mut pipelined = TcpStream::connect(server.addr).await.unwrap();
    within(pipelined.write_all(&both)).await.unwrap();
    let mut text = String::new();
    within(pipelined.read_to_string(&mut text)).await.unwrap();
    let at = [3, 4, 5].map(|offset| text.find(&format!("\"offset\":{offset}")).expect("each is answered"));
    assert!(at.is_sorted(), "in order: {text}");
}

/// A client that ends its side within its body gets no answer of success, and nothing is published.
#[tokio::test]
async fn request_cut_in_its_body_publishes_nothing() {
    let server = server().await;
    let whole = request("publish", &with_key(JSON), br#"{"channel":"a","data":1}"#);
    let mut cut = TcpStream::connect(server.addr).await.unwrap();
    within(cut.write_all(&whole[..whole.len() - 1])).await.unwrap();
    cut.shutdown().await.unwrap();
    let mut text = String::new();
    within(cut.read_to_string(&mut text)).await.unwrap();
    assert!(!text.contains("200 OK"), "{text}");
    assert_eq!(result(&server, "history", json!({ "channel": "a" })).await["offset"], 0);
}

/// Backends may be on either side: the key protects both addresses alike.
#[tokio::test]
async fn api_is_served_at_both_addresses_and_only_with_a_key() {
    let server = with(|config| config.internal_addr = Some("127.0.0.1:0".parse().unwrap())).await;
    let body = br#"{"channel":"a","data":1}"#;
    for addr in [server.addr, server.internal.unwrap()] {
        assert_eq!(exchange(addr, &request("publish", &with_key(JSON), body)).await.status, 200);
        assert_eq!(exchange(addr, &request("publish", JSON, body)).await.status, 401);
    }
}

#[tokio::test]
async fn answers_are_counted_by_method_and_code() {
    let server = server().await;
    result(&server, "publish", json!({ "channel": "a", "data": 1 })).await;
    call(&server, "publish", json!({})).await;
    call(&server, "nonsense", json!({})).await;
    exchange(server.addr, &request("info", "", b"")).await;
    let body = json!({ "commands": [{ "publish": { "channel": "a", "data": 1 } }] });
    assert_eq!(call(&server, "batch", body).await.0, 200);
    let page = get(server.addr, "/metrics").await.body;
    for line in [
        "throng_api_requests_total{method=\"publish\",code=\"0\"} 2",
        "throng_api_requests_total{method=\"publish\",code=\"107\"} 1",
        "throng_api_requests_total{method=\"unknown\",code=\"104\"} 1",
        "throng_api_requests_total{method=\"info\",code=\"101\"} 1",
        "throng_api_requests_total{method=\"batch\",code=\"0\"} 1",
        "throng_api_request_duration_seconds_count 3",
    ] {
        assert!(page.lines().any(|one| one == line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn description_is_served_without_a_key_and_names_every_method() {
    let server = server().await;
    let answer = get(server.addr, "/api/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let paths = parse(&answer)["paths"].as_object().unwrap().len();
    assert_eq!(paths, 14);
}
