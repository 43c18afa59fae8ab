//! What `throng import centrifugo` cannot take: values, names, files. Each is named, and nothing is opened by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::cases_import::{Folder, Printed, run, settings};
use throng::config::Config;

/// A part of a file, what is said of it, and what is not set because of it.
type Refused = (&'static str, &'static str, &'static str);

/// Checks that a value that throng cannot take is named, and that the rest of the file holds.
async fn check_refused(cases: &[Refused]) {
    let folder = Folder::new();
    for (part, expected, absent) in cases {
        // One key that is known, so that the file is recognised.
        let text = format!("{{{part}, \"node\": {{\"name\": \"n\"}}}}");
        let Printed { code, out, error } = folder.import("config.json", &text).await;
        let joined = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(joined.contains(expected), "{part}: {expected}\n{error}");
        assert_eq!(code, Some(0), "{part}: {error}");
        let made = settings(&out).join("\n");
        assert!(absent.is_empty() || !made.contains(absent), "{part}: {absent}\n{made}");
        Config::from_toml(&out).unwrap();
    }
}

/// A value that throng cannot take is named with the value, the rule and what to do.
#[tokio::test]
async fn values_that_throng_cannot_take_are_named_with_the_rule() {
    check_refused(&[
        (
            r#""client": {"ping_interval": "-1"}"#,
            "client.ping_interval: \"-1\" turns it off, which is not possible here",
            "",
        ),
        (
            r#""client": {"ping_interval": 25}"#,
            "client.ping_interval: 25 has no unit, and Go reads it as nanoseconds",
            "",
        ),
        (r#""client": {"ping_interval": "5s"}"#, "8s is not shorter than ping_interval 5s", "ping_interval = "),
        (r#""client": {"queue_max_size": "1MB"}"#, "client.queue_max_size: \"1MB\" is not a whole number", ""),
        (r#""client": {"connection_limit": 999999999}"#, "999999999 is not between 0 and 67108864", "connections_max"),
        (r#""client": {"allowed_origins": ["*"]}"#, "\"*\" is left out: every page of the web", "allowed_origins = "),
        (
            r#""client": {"token": {"jwks_public_endpoint": "http://auth.example.com/jwks"}}"#,
            "\"http://auth.example.com/jwks\" is not encrypted",
            "jwks_url = ",
        ),
        (
            r#""client": {"token": {"ecdsa_public_key": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"}}"#,
            "client.token.ecdsa_public_key:",
            "public_key = ",
        ),
        (r#""client": {"token": {"audience": "x"}}"#, "token_audience needs a key for tokens", "token_audience = "),
    ])
    .await;
}

/// The same for namespaces and addresses, of which a mistake must not open anything.
#[tokio::test]
async fn namespaces_and_addresses_that_throng_cannot_take_are_named() {
    check_refused(&[
        (r#""channel": {"namespaces": [{"name": "a b"}]}"#, "\"a b\" is not a namespace", "[[namespace]]"),
        (
            r#""channel": {"namespaces": [{"history_size": 1}]}"#,
            "a namespace without a name is left out",
            "[[namespace]]",
        ),
        (r#""channel": {"namespaces": [{"name": "a"}, {"name": "a"}]}"#, "there are two namespaces \"a\"", ""),
        (
            r#""channel": {"without_namespace": {"history_size": 5, "history_ttl": "9000h"}}"#,
            "1year 9days 18h is not between 1s and 30days",
            "history_ttl = \"1y",
        ),
        (
            r#""channel": {"without_namespace": {"force_positioning": true}}"#,
            "positioning needs a history; set history_size and history_ttl",
            "positioning = true",
        ),
        (r#""log": {"level": "verbose"}"#, "log.level: log: \"verbose\" is not one of off, error", "log = "),
        (r#""http_server": {"port": 70000}"#, "the port 70000 is not between 0 and 65535", "addr = "),
        (r#""http_server": {"tls": {"enabled": true}}"#, "addr is NOT encrypted in this file", "tls+"),
        (
            r#""http_server": {"tls": {"enabled": true, "cert_pem": "-----BEGIN CERT", "key_pem": "/key.pem"}}"#,
            "http_server.tls.cert_pem: its value is PEM; write it to a file",
            "tls_",
        ),
        (
            r#""http_server": {"internal_port": "9000"}, "prometheus": {"enabled": true}"#,
            "internal_addr :9000 can be reached from other machines, and needs a key for operators",
            "metrics = ",
        ),
        (
            r#""websocket": {"handler_prefix": "/ws2"}"#,
            "websocket.handler_prefix (here always /connection/websocket)",
            "",
        ),
        (
            r#""client": {"pin_interval": "5s"}"#,
            "client.pin_interval: not known as a key of Centrifugo; did you mean",
            "",
        ),
        (r#""client": {"insecure": {"a": 1}}"#, "client.insecure.a: not known as a key of Centrifugo", ""),
    ])
    .await;
}

/// A file that cannot be read is said to be so, with the place and what to do.
#[tokio::test]
async fn files_that_cannot_be_read_are_named_with_the_place() {
    let folder = Folder::new();
    for (name, text, expected) in [
        ("a.json", "{\n  \"client\": {\n    \"x\": 1,,\n", ":3:12: not JSON: key must be a string"),
        ("a.json", "{\"a\": 1", ":1:7: not JSON: EOF while parsing an object"),
        ("a.yaml", "client:\n\tx: 1\n", ":2:2: not YAML: tabs"),
        ("a.yml", "a: 1\nb: 2\na: 3\n", ":3:1: not YAML: duplicate mapping key `a`"),
        ("a.yaml", "a: *nothing\n", ":1:4: not YAML: "),
        ("a.toml", "[client]\nping_interval = 25s\n", ":2:17: not TOML: "),
        ("a.json", "", " is empty; a Centrifugo that has only defaults is a JSON file with {} in it"),
        ("a.toml", " \n\n", " is empty; "),
        ("a.conf", "{}", ": the end of the name tells the format; give .json, .yaml, .yml or .toml"),
        ("config", "{}", ": the end of the name tells the format"),
        ("a.json", "[1, 2]", ": there are no keys in it; a configuration is a table of keys and values"),
        ("a.yaml", "just a text\n", ": there are no keys in it"),
        (
            "a.json",
            r#"{"title": "x", "scripts": 1}"#,
            ": not one of its keys is one of Centrifugo; is it the right file?",
        ),
    ] {
        let Printed { code, out, error } = folder.import(name, text).await;
        let path = folder.path(name);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{name} {text:?}");
        assert!(error.starts_with(&format!("throng: {}{expected}", path.display())), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let path = folder.write("latin.json", b"{\n\"a\": \"\xe9\"}");
    let Printed { code, error, .. } = run(&["import", "centrifugo", &path]).await;
    assert!(code == Some(2) && error.contains("latin.json: line 2 of it is not UTF-8"), "{error}");
    let Printed { code, error, .. } = run(&["import", "centrifugo", "/no/such/config.json"]).await;
    assert!(code == Some(2) && error.contains("/no/such/config.json cannot be read: No such file"), "{error}");
    // Comments only are a file of defaults.
    for name in ["a.yaml", "a.toml"] {
        assert_eq!(folder.import(name, "# nothing\n").await.code, Some(0), "{name}");
    }
}
