//! Namespaces as an operator and a client meet them: which channels exist, who may do what in them, and how that
//! changes while the hub runs.

use crate::server;
use crate::server::config_file::ConfigFile;
use crate::server::process::{Process, fails, throng};
use crate::server::{Answer, Client, TestServer, exchange, get, namespaces, start, stream_with_buffer, within};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::process::Output;
use throng::config::{ClientGroup, Config, SlowConsumer, SubscriberGroup};
use throng::protocol::{CloseReason, Payload};
use tokio_tungstenite::tungstenite::Message;

/// Asks for a WebSocket in a channel, which is refused.
async fn refused(addr: SocketAddr, channel: &str) -> Answer {
    let request = format!(
        "GET /ws?channel={channel} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    exchange(addr, request.as_bytes()).await
}

async fn check_config(file: &ConfigFile) -> (Option<i32>, String) {
    let output = within(throng(&["check-config", &file.path()]).output()).await.expect("the binary runs");
    let Output { status, stdout, stderr } = output;
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).expect("it is text").replace(&file.path(), "hub.toml"))
}

/// A misspelt namespace must not be a channel without rules.
#[tokio::test]
async fn channel_of_an_undefined_namespace_is_refused_and_no_other() {
    let server = start(|config| config.namespaces = namespaces("[[namespace]]\nname = \"news\"")).await;
    for channel in ["sport:live", "New:x", "$sport:live", "news%23:x"] {
        let answer = refused(server.addr, channel).await;
        assert_eq!(answer.status, 404, "{channel}");
        assert!(answer.body.starts_with("Not Found: there is no namespace \""), "{}", answer.body);
        assert!(answer.body.contains("[[namespace]] table"), "{}", answer.body);
    }
    let page = get(server.addr, "/metrics").await.body;
    assert!(page.contains("throng_refusals_total{reason=\"namespace\"} 4"), "{page}");
    for channel in ["news:x", "news:", "lobby", ":x", "a,b"] {
        server.connect(&format!("/ws?channel={channel}")).await.round_trip().await;
    }
}

/// One test per refusal: a client without a token, and each rule that keeps it out.
#[tokio::test]
async fn anonymous_client_that_may_not_subscribe_is_told_the_rule() {
    let server = start(|config| {
        config.namespaces = namespaces(
            "[[namespace]]\nname = \"users\"\nallow_subscribe = \"authenticated\"\n[[namespace]]\nname = \"secret\"\n\
             allow_subscribe = \"token\"\n[[namespace]]\nname = \"open\"\n",
        );
    })
    .await;
    for (channel, text) in [
        (
            "users:x",
            "[[namespace]] users has allow_subscribe = \"authenticated\", and this client has no token of a user",
        ),
        (
            "secret:x",
            "[[namespace]] secret has allow_subscribe = \"token\", and this client has no token that names the \
            channel",
        ),
        ("$open:x", "a channel that begins with $ needs a token that names it"),
        ("$lobby", "a channel that begins with $ needs a token that names it"),
        ("open:x%2341,42", "a channel with # in its name is for the users that are listed after it"),
        ("%2342", "a channel with # in its name is for the users that are listed after it"),
    ] {
        let answer = refused(server.addr, channel).await;
        assert_eq!((answer.status, answer.body), (403, format!("Forbidden: {text}\n")), "{channel}");
    }
    let page = get(server.addr, "/metrics").await.body;
    assert!(page.contains("throng_refusals_total{reason=\"permission\"} 6"), "{page}");
    server.connect("/ws?channel=open:x").await.round_trip().await;
}

/// docs/threats.md, row 40. A subscriber who may only listen is closed at its first message, which nobody gets.
#[tokio::test]
async fn message_of_a_client_that_may_not_publish_reaches_nobody() {
    let server = start(|config| {
        config.default_namespace.allow_publish = ClientGroup::Nobody;
        config.namespaces = namespaces(
            "[[namespace]]\nname = \"chat\"\nallow_publish = \"subscribers\"\n\
            [[namespace]]\nname = \"users\"\nallow_publish = \"authenticated\"\n",
        );
    })
    .await;
    for channel in ["lobby", "users:x"] {
        let mut listener = server.connect(&format!("/ws?channel={channel}")).await;
        let mut speaker = server.connect(&format!("/ws?channel={channel}")).await;
        speaker.send("not for you").await;
        assert_eq!(speaker.closed().await, Some((4507, "permission denied".to_owned())), "{channel}");
        // A binary or an empty message is one too.
        for message in [Message::Binary(vec![1].into()), Message::text("")] {
            let mut other = server.connect(&format!("/ws?channel={channel}")).await;
            other.send(message).await;
            assert_eq!(other.closed().await.map(|(code, _)| code), Some(4507));
        }
        // What the backend publishes does come, and it is the first that comes.
        let found = server.hub().directory().channels().into_iter().find(|one| one.name().as_str() == channel);
        let line = Payload::line(b"from the backend").expect("it is text");
        let hub = server.hub();
        hub.publish(&found.expect("it has a subscriber"), &line, &mut hub.credits(line.len())).expect("there is room");
        assert_eq!(listener.line().await, "from the backend");
    }
    server.closed(CloseReason::PermissionDenied, 6).await;
    server.connect("/ws?channel=chat:x").await.round_trip().await;
}

/// A ticker has small publications, whatever a chat may send.
#[tokio::test]
async fn publication_larger_than_the_namespace_allows_is_closed_with_1009() {
    let server = start(|config| {
        config.namespaces = namespaces("[[namespace]]\nname = \"ticker\"\npublish_bytes_max = 16\n");
    })
    .await;
    let mut client = server.connect("/ws?channel=ticker:x").await;
    client.send("x".repeat(16)).await;
    assert_eq!(client.line().await, "x".repeat(16));
    client.send("x".repeat(17)).await;
    assert_eq!(client.closed().await, Some((1009, "message too big".to_owned())));
    let mut other = server.connect("/ws").await;
    other.send("x".repeat(65_536)).await;
    assert_eq!(other.line().await.len(), 65_536);
}

#[tokio::test]
async fn channel_takes_no_more_subscribers_than_its_namespace_allows() {
    let server = start(|config| {
        config.namespaces = namespaces("[[namespace]]\nname = \"duel\"\nsubscribers_max = 2\n");
    })
    .await;
    let mut first = server.connect("/ws?channel=duel:1").await;
    let second = server.connect("/ws?channel=duel:1").await;
    let answer = refused(server.addr, "duel:1").await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(answer.body, "Service Unavailable: the channel has reached its limit of subscribers\n");
    server.connect("/ws?channel=duel:2").await.round_trip().await;
    drop(second);
    // The place is free once the server has noticed.
    within(async { while refused_or_open(server.addr, "duel:1").await == 503 {} }).await;
    first.round_trip().await;
}

/// Returns the status of a handshake, whose connection ends at once.
async fn refused_or_open(addr: SocketAddr, channel: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
    let request = format!(
        "GET /ws?channel={channel} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    within(stream.write_all(request.as_bytes())).await.expect("it reads");
    let mut first = [0; 12];
    within(stream.read_exact(&mut first)).await.expect("it answers");
    String::from_utf8_lossy(&first[9..]).parse().expect("it is a status")
}

/// One namespace skips ahead where the hub closes, and the other way round.
#[tokio::test]
async fn slow_consumer_is_treated_as_its_namespace_says() {
    for (of_the_hub, of_the_namespace, is_closed) in
        [(SlowConsumer::Close, "skip", false), (SlowConsumer::Skip, "close", true)]
    {
        let server = start(|config| {
            (config.sockets.send_buffer_bytes, config.sockets.notsent_bytes) = (4096, 1024);
            (config.limits.outbox_bytes_max, config.limits.slow_consumer) = (200_000, of_the_hub);
            let text = format!("[[namespace]]\nname = \"ticker\"\nslow_consumer = \"{of_the_namespace}\"\n");
            config.namespaces = namespaces(&text);
        })
        .await;
        let path = "/ws?channel=ticker:x";
        let mut slow = server::Raw::over(stream_with_buffer(server.addr, 1).await, path, b"").await;
        slow.round_trip().await;
        let mut sender = server.connect(path).await;
        while server.closes(CloseReason::SlowConsumer) == 0 && server.counts().skipped == 0 {
            sender.send("x".repeat(50_000)).await;
            assert_eq!(sender.line().await.len(), 50_000);
        }
        assert_eq!(server.closes(CloseReason::SlowConsumer) == 1, is_closed, "{of_the_namespace}");
        assert_eq!(server.counts().skipped == 0, is_closed, "{of_the_namespace}");
    }
}

/// A reload is one step for all namespaces: new subscriptions follow it, and open ones stay as they were.
#[tokio::test]
async fn reload_replaces_all_namespaces_for_new_subscriptions() {
    let addr = "addr = [\"127.0.0.1:0\"]\n";
    let before = "[[namespace]]\nname = \"news\"\n[[namespace]]\nname = \"old\"\n";
    let after = "[[namespace]]\nname = \"news\"\nallow_publish = \"nobody\"\n[[namespace]]\nname = \"new\"\n";
    let file = ConfigFile::new(&format!("{addr}{before}"));
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--config", &file.path()])).await;
    let mut logged = async |expected: &str| {
        within(async {
            loop {
                let line = log.next_line().await.expect("it is text").expect("it runs");
                if line.contains(expected) {
                    return line;
                }
            }
        })
        .await
    };
    let mut early = Client::connect(process.addr, "/ws?channel=news:x").await;
    assert_eq!(refused(process.addr, "new:x").await.status, 404);

    file.write(&format!("{addr}{after}join_leave = true\n"));
    process.signal(Signal::HUP);
    let line = logged("nothing is changed").await;
    assert!(line.contains("[[namespace]] new: join_leave needs presence"), "{line}");
    assert_eq!(refused(process.addr, "new:x").await.status, 404);

    file.write(&format!("{addr}{after}"));
    process.signal(Signal::HUP);
    logged("reload: [[namespace]] news \"name = news\" -> ").await;
    logged("reload: [[namespace]] new is added: name = new").await;
    logged("reload: [[namespace]] old is removed").await;
    Client::connect(process.addr, "/ws?channel=new:x").await.round_trip().await;
    assert_eq!(refused(process.addr, "old:x").await.status, 404);
    let mut late = Client::connect(process.addr, "/ws?channel=news:x").await;
    early.send("as before").await;
    assert_eq!(late.line().await, "as before");
    late.send("no longer").await;
    assert_eq!(late.closed().await.map(|(code, _)| code), Some(4507));
}

/// Everything that check-config and a start say of tables: which, where, and what to do.
#[tokio::test]
async fn check_config_explains_mistakes_in_namespaces_and_lists_valid_ones() {
    let head = "[[namespace]]\nname = \"news\"\n";
    for (text, expected) in [
        ("positioning = true\nhistory_size = 0", "news: positioning needs a history; set history_size and"),
        ("join_leave = true", "news: join_leave needs presence"),
        ("publish_bytes_max = \"1MiB\"", "news: publish_bytes_max 1048576 is more than --message-bytes-max 65536"),
    ] {
        let file = ConfigFile::new(&format!("{head}{text}\n"));
        let (code, said) = check_config(&file).await;
        assert!(code == Some(2) && said.contains(expected) && said.contains("(in line 3)"), "{said}");
        let (code, error) = fails(&["--config", &file.path(), "--addr", "127.0.0.1:0"]).await;
        assert!(code == Some(2) && error.contains(expected), "a start says the same: {error}");
    }
    for (text, expected) in [
        ("[[namespace]]\nname = \"a b\"\n", "hub.toml:2:8: name: \"a b\" is not a namespace; allowed are"),
        (
            "[[namespace]]\nname = \"a\"\nallow_publish = [\"everyone\"]\n",
            "hub.toml:3:17: allow_publish: an array is not \
            text",
        ),
        (
            "[[namespace]]\nname = \"a\"\nallow_publish = \"all\"\n",
            "hub.toml:3:17: allow_publish: \"all\" is not one of \
            everyone, authenticated, subscribers, nobody",
        ),
        (
            "[[namespace]]\nname = \"a\"\nhistory_length = 1\n",
            "hub.toml:3:1: there is no key history_length; did you mean \
            history_",
        ),
        (
            "[[namespaces]]\nname = \"a\"\n",
            "hub.toml:1:3: there is no section [[namespaces]]; did you mean [[namespace]]?",
        ),
        ("[namespace]\nname = \"a\"\n", "hub.toml:1:2: write the section namespace as [[namespace]]"),
        (
            "[[namespace]]\npresence = true\n",
            "[[namespace]] number 1: there is no name; every table of this list needs \
            one (in line 1)",
        ),
        (&head.repeat(2), "[[namespace]] news: another table before it has this name"),
    ] {
        let (code, said) = check_config(&ConfigFile::new(text)).await;
        assert!(code == Some(2) && said.contains(expected), "{said}");
    }
    let (code, said) =
        check_config(&ConfigFile::new(&format!("{head}history_size = 10\nhistory_ttl = \"5m\"\n"))).await;
    let expected = "  [[namespace]] news: history_size = 10, history_ttl = 5m, name = news  (hub.toml:1)\n";
    assert!(code == Some(0) && said.ends_with(expected), "{said}");
}

/// An operator begins with the example of the page.
#[tokio::test]
async fn example_of_the_page_is_valid_and_does_what_it_says() {
    let page = include_str!("../../docs/namespaces.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has one");
    let (code, said) = check_config(&ConfigFile::new(example)).await;
    assert_eq!((code, said.matches("[[namespace]]").count()), (Some(0), 3), "{said}");
    let config = Config::from_toml(example).expect("it is valid");
    let server = start(|one| {
        (one.default_namespace, one.namespaces) = (config.default_namespace, config.namespaces);
    })
    .await;
    server.connect("/ws?channel=chat:room-1").await.round_trip().await;
    for channel in ["lobby", "news:sport", "ticker:eur-usd"] {
        serves(&server, &format!("/ws?channel={channel}"), ClientGroup::Nobody).await;
    }
}

/// Containers have variables only: they reach every namespace through the default one.
#[tokio::test]
async fn default_namespace_has_variables_and_lists_have_none() {
    let mut command = throng(&["--addr", "127.0.0.1:0"]);
    let process = Process::spawn(command.env("THRONG_ALLOW_PUBLISH", "nobody")).await;
    let mut client = Client::connect(process.addr, "/ws").await;
    client.send("x").await;
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(4507));
    let mut command = throng(&["check-config"]);
    let output = within(command.env("THRONG_NAMESPACES", "news").output()).await.expect("the binary runs");
    let error = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(error, "the variable THRONG_NAMESPACES is not a setting; [[namespace]] stands in a file only\n");
}

/// An operator who opens the hub to a network has to read what that means.
#[tokio::test]
async fn start_says_what_anyone_may_do_where_others_can_connect() {
    let open = "without a login";
    for (arguments, is_warned) in [
        (&["--addr", "127.0.0.1:0"][..], false),
        (&["--addr", "0.0.0.0:0"], true),
        (&["--addr", "0.0.0.0:0", "--allow-publish", "nobody"], true),
        (&["--addr", "0.0.0.0:0", "--allow-subscribe", "authenticated", "--allow-publish", "nobody"], false),
        (&["--addr", "0.0.0.0:0", "--token-required", "--token-insecure"], false),
    ] {
        let (process, mut log) = Process::spawn_logging(&mut throng(arguments)).await;
        process.signal(Signal::INT);
        assert!(process.ended().await.success());
        let mut said = String::new();
        while let Some(line) = within(log.next_line()).await.expect("it is text") {
            said.push_str(&line);
        }
        assert_eq!(said.contains(open), is_warned, "{arguments:?}: {said}");
    }
}

/// One namespace as a file has it, valid or not.
fn table() -> impl Strategy<Value = String> {
    let switch = || prop::option::of(any::<bool>());
    let group = || prop::option::of(prop::sample::select(ClientGroup::WORDS));
    let numbers = (prop::option::of(0..5_u32), prop::option::of(0..3_u32), prop::option::of(0..100_000_u32));
    let switches = (switch(), switch(), switch(), switch());
    let groups = (prop::option::of(prop::sample::select(SubscriberGroup::WORDS)), group(), group(), group());
    ("[a-d]", numbers, switches, groups).prop_map(|(name, numbers, switches, groups)| {
        let mut text = format!("[[namespace]]\nname = \"{name}\"\n");
        let mut add = |key: &str, value: Option<String>| {
            text.extend(value.map(|value| format!("{key} = {value}\n")));
        };
        add("history_size", numbers.0.map(|size| size.to_string()));
        add("history_ttl", numbers.1.map(|seconds| format!("\"{seconds}s\"")));
        add("publish_bytes_max", numbers.2.map(|bytes| bytes.to_string()));
        add("recovery", switches.0.map(|is_on| is_on.to_string()));
        add("positioning", switches.1.map(|is_on| is_on.to_string()));
        add("presence", switches.2.map(|is_on| is_on.to_string()));
        add("join_leave", switches.3.map(|is_on| is_on.to_string()));
        add("allow_subscribe", groups.0.map(|group| format!("{group:?}")));
        add("allow_publish", groups.1.map(|group| format!("{group:?}")));
        add("allow_presence", groups.2.map(|group| format!("{group:?}")));
        add("allow_history", groups.3.map(|group| format!("{group:?}")));
        text
    })
}

/// Invariant: settings that are accepted never fail later. What each namespace does is what its table says.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_accepted_set_of_namespaces_starts_and_serves() {
    let (mut runner, mut accepted) = (TestRunner::default(), 0);
    let tables = prop::collection::vec(table(), 0..4);
    while accepted < 40 {
        let text = tables.new_tree(&mut runner).expect("it can be made").current().concat();
        let Ok(config) = Config::from_toml(&text) else { continue };
        accepted += 1;
        let configured = config.namespaces.clone();
        let server = start(|one| one.namespaces = config.namespaces).await;
        for namespace in configured {
            let path = format!("/ws?channel={}:x", namespace.name);
            if namespace.options.allow_subscribe != SubscriberGroup::Everyone {
                assert_eq!(refused_or_open(server.addr, &format!("{}:x", namespace.name)).await, 403, "{text}");
                continue;
            }
            serves(&server, &path, namespace.options.allow_publish).await;
        }
        server.stopped().await;
    }
}

async fn serves(server: &TestServer, path: &str, group: ClientGroup) {
    let mut client = server.connect(path).await;
    client.send("x").await;
    match group {
        ClientGroup::Everyone | ClientGroup::Subscribers => assert_eq!(client.line().await, "x"),
        ClientGroup::Authenticated | ClientGroup::Nobody | ClientGroup::Hook => {
            assert_eq!(client.closed().await.map(|(code, _)| code), Some(4507));
        }
    }
}
