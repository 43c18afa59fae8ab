//! `throng import centrifugo`, as a person uses it: files of Centrifugo v5 and v6 in three formats become files of
//! throng, and what cannot be said is named.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::process::{Process, throng};
use crate::server::{Client, within};
use crate::tokens;
use std::path::{Path, PathBuf};
use throng::config::{ClientGroup, Config, RecoveryMode, SubscriberGroup, TokenAlgorithm};

/// Configurations of Centrifugo: as its documentation has them, as test suites expect them, and realistic full ones.
const SAMPLES: [&str; 6] =
    ["v6_full.yaml", "v6_small.json", "v6_suite.toml", "v5_full.json", "v5_small.toml", "v5_small.yml"];

/// Every secret in the samples, and whether throng needs it.
const SECRETS: [(&str, bool); 14] = [
    ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true),
    ("api-key-of-production-0123456789", true),
    ("bbe7d157-a253-4094-9759-06a8236543f9", true),
    ("d7627bb6-2292-4911-82e1-615c0ed3eebb", true),
    ("redis-password-of-production", false),
    ("another-secret-of-subscriptions-0123456789", false),
    ("token-of-the-backend", true),
    ("grpc-key-of-production", false),
    ("dsn-password", false),
    ("password-of-the-admin", false),
    ("secret-of-the-admin", false),
    ("redis-password-of-v5", false),
    ("password-of-the-admin-v5", false),
    ("secret-of-the-admin-v5", false),
];

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/centrifugo");
    folder.join(name).to_str().unwrap().to_owned()
}

/// What a command printed.
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

pub(crate) async fn run(arguments: &[&str]) -> Printed {
    let output = within(throng(arguments).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Printed { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// A folder with files that is gone with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Imports the text of a file of Centrifugo.
    pub(crate) async fn import(&self, name: &str, text: &str) -> Printed {
        run(&["import", "centrifugo", &self.write(name, text)]).await
    }
}

/// Returns the lines that set something.
pub(crate) fn settings(file: &str) -> Vec<&str> {
    let lines = file.lines().map(|line| line.split("  # ").next().unwrap_or(line));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// A file that a hub does not take would be work for nothing.
#[tokio::test]
async fn every_sample_becomes_a_file_that_check_config_accepts() {
    let folder = Folder::new();
    for name in SAMPLES {
        let Printed { code, out, error } = run(&["import", "centrifugo", &sample(name)]).await;
        assert_eq!(code, Some(0), "{name}: {error}");
        let dialect = &name[..2];
        assert!(error.starts_with(&format!("throng: {}: Centrifugo {dialect}, ", sample(name))), "{error}");
        assert!(out.lines().all(|line| line.chars().count() <= 120 || line.contains(" = ")), "{out}");
        let checked = run(&["check-config", &folder.write("hub.toml", &out)]).await;
        assert_eq!((checked.code, checked.error.as_str()), (Some(0), ""), "{name}\n{out}");
    }
}

/// What the realistic file sets, line by line: what it says, and what Centrifugo does by default and throng does not.
#[tokio::test]
async fn full_file_says_in_throngs_words_what_centrifugo_does() {
    let Printed { out, error, .. } = run(&["import", "centrifugo", &sample("v6_full.yaml")]).await;
    let config = Config::from_toml(&out).unwrap();
    let lines = settings(&out);
    for line in [
        "addr = [\"0.0.0.0:8443\"]",
        "internal_addr = \"127.0.0.1:9000\"",
        "allowed_origins = [\"https://app.example.com\", \"https://*.example.com\"]",
        "token_required = true",
        "token_audience = \"realtime\"",
        "connections_per_user_max = 16",
        "handshake_rate_max = 500",
        "connections_per_address_max = 4294967296",
        "ping_interval = \"20s\"",
        "pong_timeout = \"5s\"",
        "outbox_bytes_max = 4194304",
        "outbox_stall_max = \"2s\"",
        "connections_max = 50000",
        "message_bytes_max = 131072",
        "shutdown_timeout = \"15s\"",
        "drain_time = \"0s\"",
        "log = \"debug\"",
    ] {
        assert!(lines.contains(&line), "{line}\n{out}");
    }
    let algorithms: Vec<_> = config.token_keys.iter().map(|key| key.algorithm.name()).collect();
    assert_eq!(algorithms, ["HS256", "HS384", "HS512"], "Centrifugo takes all three with one secret");
    let [chat, news, user, rooms] = &config.namespaces[..] else { panic!("{out}") };
    let (name, options) = (chat.name.as_str(), &chat.options);
    assert_eq!((name, options.history_size, options.history_ttl.as_secs()), ("chat", 100, 300));
    assert!(options.recovery && options.positioning && options.presence && options.join_leave);
    assert_eq!(options.allow_subscribe, SubscriberGroup::Authenticated);
    assert_eq!((options.allow_publish, options.allow_history), (ClientGroup::Subscribers, ClientGroup::Subscribers));
    assert_eq!((news.options.allow_subscribe, news.options.recovery), (SubscriberGroup::Everyone, true));
    assert_eq!(news.options.history_ttl.as_secs(), 24 * 3600);
    assert_eq!([news, user].map(|one| one.options.delta), [true, false]);
    // Namespaces of Centrifugo do not inherit.
    assert_eq!([news, user].map(|one| one.options.recovery_mode), [RecoveryMode::Cache, RecoveryMode::Stream]);
    // Namespaces of Centrifugo do not inherit, so nothing of without_namespace may reach this one.
    let default = &config.default_namespace;
    assert_eq!((default.allow_subscribe, default.history_size), (SubscriberGroup::Authenticated, 0));
    assert_eq!(
        (user.options.allow_subscribe, user.options.allow_publish),
        (SubscriberGroup::Token, ClientGroup::Nobody)
    );
    // Joins tell subscribers who is there, for which they may not ask: one of the two has to give way.
    assert!(
        !rooms.options.join_leave && !rooms.options.presence && error.contains("namespaces[3].join_leave"),
        "{error}"
    );
    assert_eq!(rooms.options.allow_presence, ClientGroup::Nobody);
    assert_eq!(rooms.options.allow_subscribe, SubscriberGroup::Hook);
    let asked: Vec<_> = config.hooks.iter().map(|hook| (hook.name.word(), hook.url.as_str())).collect();
    let backend = ["http://backend:3000/centrifugo/connect", "http://backend:3000/centrifugo/subscribe"];
    assert_eq!(asked, [("connect", backend[0]), ("subscribe", backend[1])], "{out}");
}

/// A file without anything still is a Centrifugo, with defaults that throng does not have.
#[tokio::test]
async fn defaults_of_centrifugo_are_stated() {
    let folder = Folder::new();
    let Printed { code, out, error } = folder.import("config.json", "{}").await;
    assert_eq!(code, Some(0), "{error}");
    let expected = "addr = [\":8000\"]\n[token]\nconnections_per_user_max = 4294967296\n[admission]\n\
        handshake_rate_max = 1000000\nconnections_per_address_max = 4294967296\n\
        handshakes_per_address_max = 1048576\nhandshake_rate_per_address_max = 1000000\n[limits]\n\
        ping_interval = \"25s\"\npong_timeout = \"8s\"\noutbox_stall_max = \"1s\"\nmessage_rate_max = 1000000\n\
        message_bytes_rate_max = 4294967295\nchannels_max = 4294967296\n[default_namespace]\nhistory_size = 0\n\
        history_ttl = \"0s\"\nrecovery = false\npositioning = false\nrecovery_mode = \"stream\"\ndelta = false\n\
        presence = false\njoin_leave = false\nallow_subscribe = \"token\"\nallow_publish = \"nobody\"\n\
        allow_presence = \"nobody\"\nallow_history = \"nobody\"\n[stopping]\n\
        shutdown_timeout = \"30s\"\nlb_grace = \"0s\"\ndrain_time = \"0s\"";
    assert_eq!(settings(&out).join("\n"), expected);
    assert!(error.contains("There is no key for tokens, so every client is anonymous"), "{error}");
}

/// Standard error says everything that the user has to decide, and the file repeats it.
#[tokio::test]
async fn what_has_no_equivalent_is_named_on_both_streams() {
    for (name, expected) in [
        (
            "v6_full.yaml",
            &[
                "client.allowed_origins: \"http://localhost:*\" is left out",
                "future_option: not known as a key of Centrifugo",
                "engine.redis.prefix, engine.type (here always memory): Several hubs are one",
                "[[hook]]: backends are asked as before, with three differences.",
                "client.subscription_token.enabled, client.subscription_token.hmac_secret_key: The same keys",
                "client.channel_limit (here always 128)",
                "consumers[0].postgresql.dsn",
                "health.enabled: Health checks are always on, at /health/live",
            ][..],
        ),
        (
            "v5_full.json",
            &[
                "allowed_origins: \"*\" is left out",
                "token_hmac_secret_key: tokens of HS384 and HS512 are refused, because 36 bytes are too few",
                "client.channel_limit: a key of Centrifugo v6, which v5, as the rest of the file is written for",
                "engine (here always memory), redis_address, redis_password: Several hubs are one service over",
                "namespaces[0].proxy_subscribe: there is no endpoint for it (channel.proxy.subscribe); add a [[hook]]",
                "sockjs: Centrifugo v6 has no such key either",
                "admin, admin_password, admin_secret: There is no admin page",
            ],
        ),
        (
            "v6_suite.toml",
            &["client.token.hmac_secret_key: 6 bytes are too few for HS256, which needs 32", "client.insecure: every"],
        ),
    ] {
        let Printed { out, error, .. } = run(&["import", "centrifugo", &sample(name)]).await;
        let joined = |text: &str| text.replace('#', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let (out, error) = (joined(&out), joined(&error));
        for text in expected {
            assert!(error.contains(text), "{name}: {text}\n{error}");
            assert!(out.contains(text), "{name}: {text}\n{out}");
        }
    }
    let Printed { out, error, .. } = run(&["import", "centrifugo", &sample("v6_full.yaml")]).await;
    let quiet = "graphite.enabled, http_stream.enabled,";
    assert!(out.contains(quiet) && !error.contains(quiet), "what is off needs no decision\n{error}");
}

/// Output ends up in chats and tickets: a secret stands in the value that needs it and nowhere else.
#[tokio::test]
async fn secrets_stand_only_in_the_values_that_need_them() {
    for name in SAMPLES {
        let Printed { out, error, .. } = run(&["import", "centrifugo", &sample(name)]).await;
        let text = std::fs::read_to_string(sample(name)).unwrap();
        for (secret, is_needed) in SECRETS.into_iter().filter(|(secret, _)| text.contains(secret)) {
            assert!(!error.contains(secret), "{name}: {error}");
            for line in out.lines().filter(|line| line.contains(secret)) {
                let is_value =
                    ["secret = \"", "api_keys = [\"", "static_headers = [\""].iter().any(|key| line.starts_with(key));
                assert!(is_needed && is_value, "{name}: {line}");
            }
            assert_eq!(out.contains(secret), is_needed, "{name}");
        }
    }
    // Not in an error either, whatever is wrong.
    let folder = Folder::new();
    let secret = "do-not-show-this";
    for (name, text) in [
        ("a.json", format!("{{\"http_api\": {{\"key\": \"{secret}\" \"x\": 1}}}}")),
        ("a.json", format!("{{\"http_api\": {{\"key\": {{\"{secret}\": [\"{secret}\"]}}}}}}")),
        ("a.json", format!("{{\"http_api\": {{\"key\": [\"{secret}\"]}}}}")),
        ("a.json", format!("{{\"http_api\": {{\"key\": \" {secret}\"}}}}")),
        ("a.json", format!("{{\"client\": {{\"token\": {{\"hmac_secret_key\": \"{secret}\"}}}}}}")),
        ("a.json", format!("{{\"client\": {{\"token\": {{\"rsa_public_key\": \"{secret}\"}}}}}}")),
        ("a.json", format!("{{\"http_server\": {{\"tls\": {{\"key_pem\": \"-----BEGIN {secret}\"}}}}}}")),
        ("a.yaml", format!("http_api:\n  key: \"{secret}\n")),
        ("a.yaml", format!("http_api: {{key: {secret}\n")),
        ("a.toml", format!("[http_api]\nkey = \"{secret}\n")),
        ("a.toml", format!("[http_api]\nkey = {secret}\n")),
    ] {
        // A key that is called like the secret is no secret.
        let is_name = text.contains(&format!("{{\"{secret}\""));
        let Printed { out, error, .. } = folder.import(name, &text).await;
        assert!(is_name || !error.contains(secret) && !out.contains(secret), "{text}\n{error}\n{out}");
    }
}

/// One configuration in six files is one configuration.
#[tokio::test]
async fn formats_and_versions_say_the_same() {
    let folder = Folder::new();
    let files = [
        (
            "v6.json",
            r#"{"client": {"allowed_origins": ["https://a.example"], "ping_interval": "30s",
            "token": {"hmac_secret_key": "0123456789abcdef0123456789abcdef"}}, "http_server": {"port": 9001},
            "channel": {"namespaces": [{"name": "news", "history_size": 5, "history_ttl": "1h30m",
            "allow_recovery": true, "allow_subscribe_for_client": true}]}, "http_api": {"key": "0123456789abcdef"}}"#,
        ),
        (
            "v6.yaml",
            "client:\n  allowed_origins:\n    - https://a.example\n  ping_interval: 30s\n  token:\n    \
             hmac_secret_key: 0123456789abcdef0123456789abcdef\nhttp_server: {port: 9001}\nchannel:\n  \
             namespaces:\n    \
             - name: news\n      history_size: 5\n      history_ttl: 1h30m\n      allow_recovery: true\n      \
             allow_subscribe_for_client: true\nhttp_api: {key: 0123456789abcdef}\n",
        ),
        (
            "v6.toml",
            "[client]\nallowed_origins = [\"https://a.example\"]\nping_interval = \"30s\"\n[client.token]\n\
             hmac_secret_key = \"0123456789abcdef0123456789abcdef\"\n[http_server]\nport = 9001\n\
             [[channel.namespaces]]\nname = \"news\"\nhistory_size = 5\nhistory_ttl = \"1h30m\"\n\
             allow_recovery = true\nallow_subscribe_for_client = true\n[http_api]\nkey = \"0123456789abcdef\"\n",
        ),
        (
            "v5.json",
            r#"{"allowed_origins": "https://a.example", "ping_interval": "30s",
            "token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "port": "9001", "namespaces": [{"name": "news",
            "history_size": 5, "history_ttl": "1h30m", "allow_recovery": true, "allow_subscribe_for_client": true}],
            "api_key": "0123456789abcdef"}"#,
        ),
        (
            "v5.yml",
            "allowed_origins: [https://a.example]\nping_interval: 30s\n\
             token_hmac_secret_key: 0123456789abcdef0123456789abcdef\nport: 9001\nnamespaces:\n- &news\n  \
             name: news\n  \
             history_size: 5\n  history_ttl: 1h30m\n  allow_recovery: true\n  allow_subscribe_for_client: true\n\
             api_key: 0123456789abcdef\n",
        ),
        (
            "v5.TOML",
            "\u{feff}Allowed_Origins = [\"https://a.example\"]\r\nping_interval = \"30s\"\r\n\
             token_hmac_secret_key = \"0123456789abcdef0123456789abcdef\"\r\nport = 9001\r\n\
             api_key = \"0123456789abcdef\"\r\n[[namespaces]]\r\nname = \"news\"\r\nhistory_size = 5\r\n\
             history_ttl = \"1h30m\"\r\nallow_recovery = true\r\nallow_subscribe_for_client = true\r\n",
        ),
    ];
    let mut first: Option<String> = None;
    for (name, text) in files {
        let Printed { code, out, error } = folder.import(name, text).await;
        assert_eq!(code, Some(0), "{name}: {error}");
        assert!(error.contains(&format!("Centrifugo {}, ", &name[..2])), "{error}");
        let made = settings(&out).join("\n");
        assert!(made.contains("addr = [\":9001\"]") && made.contains("history_ttl = \"1h30m\""), "{name}\n{made}");
        assert_eq!(&made, first.get_or_insert_with(|| made.clone()), "{name}");
    }
}

/// Certificates and keys are files in both programs.
#[tokio::test]
async fn certificates_in_files_are_taken_and_encrypt_both_addresses() {
    let folder = Folder::new();
    let tls = r#""tls": {"enabled": true, "cert_pem": "/etc/chain.pem", "key_pem": "/etc/key.pem"}"#;
    let text = format!(r#"{{"http_server": {{{tls}, "address": "::1", "internal_address": "127.0.0.1"}}}}"#);
    let Printed { out, .. } = folder.import("config.json", &text).await;
    for line in [
        "addr = [\"tls+[::1]:8000\"]",
        "internal_addr = \"tls+127.0.0.1:8000\"",
        "tls_certificate = \"/etc/chain.pem\"",
        "tls_key = \"/etc/key.pem\"",
    ] {
        assert!(settings(&out).contains(&line), "{line}\n{out}");
    }
    let v5 = r#"{"tls": true, "tls_cert": "/c.pem", "tls_key": "/k.pem", "tls_external": true, "internal_port": 9000,
        "internal_address": "127.0.0.1"}"#;
    let Printed { out, .. } = folder.import("config.json", v5).await;
    for line in ["addr = [\"tls+:8000\"]", "internal_addr = \"127.0.0.1:9000\"", "tls_certificate = \"/c.pem\""] {
        assert!(settings(&out).contains(&line), "{line}\n{out}");
    }
}

/// Keys in PEM are taken with every algorithm of their kind, as Centrifugo takes them.
#[tokio::test]
async fn public_keys_become_tables_of_their_algorithms() {
    let folder = Folder::new();
    for (key, algorithm, expected) in [
        ("rsa_public_key", TokenAlgorithm::Rs256, &["RS256", "RS384", "RS512"][..]),
        ("ecdsa_public_key", TokenAlgorithm::Es256, &["ES256"]),
        ("ecdsa_public_key", TokenAlgorithm::Es384, &["ES384"]),
    ] {
        let pem = tokens::public_key(algorithm).unwrap();
        let text = serde_json::json!({ "client": { "token": { key: pem } } }).to_string();
        let Printed { out, error, .. } = folder.import("config.json", &text).await;
        let keys = Config::from_toml(&out).unwrap().token_keys;
        assert_eq!(keys.iter().map(|key| key.algorithm.name()).collect::<Vec<_>>(), expected, "{error}");
        assert!(keys.iter().all(|key| key.public_key.as_ref().is_some_and(|key| key.as_str().trim() == pem.trim())));
        assert!(!error.contains(key), "{error}");
    }
}

/// The command is found and explains itself.
#[tokio::test]
async fn command_is_in_the_help_and_has_its_own() {
    let Printed { out, .. } = run(&["--help"]).await;
    assert!(out.contains("import centrifugo FILE"), "{out}");
    let Printed { code, out, .. } = run(&["import", "centrifugo", "--help"]).await;
    assert!(code == Some(0) && out.contains("CENTRIFUGO_") && out.contains("docs/from-centrifugo.md"), "{out}");
    for arguments in [&["import"][..], &["import", "centrifugo"], &["import", "nginx", "x.json"]] {
        let Printed { code, out, error } = run(arguments).await;
        assert!(code == Some(2) && out.is_empty() && error.contains("throng import"), "{arguments:?}: {error}");
    }
}

/// The page that people read is the table that the program has.
#[tokio::test]
async fn page_has_the_table_of_the_program() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-centrifugo.md")).unwrap();
    let Printed { out, .. } = run(&["import", "centrifugo", "--table"]).await;
    let (_, rest) = page.split_once("<!-- table: throng import centrifugo --table -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /table -->").unwrap();
    assert!(table == out, "throng import centrifugo --table prints what belongs between the two marks");
}

/// The file is for running a hub: tokens of the old issuer open connections, and what was closed is closed.
#[tokio::test]
async fn hub_with_an_imported_file_accepts_the_tokens_of_the_old_issuer() {
    let folder = Folder::new();
    let text = serde_json::json!({
        "http_server": { "address": "127.0.0.1" },
        "client": { "token": { "hmac_secret_key": tokens::SECRET } },
        "channel": { "namespaces": [
            { "name": "chat", "allow_subscribe_for_client": true, "allow_publish_for_subscriber": true },
            { "name": "closed" },
        ] },
    });
    let Printed { out, .. } = folder.import("config.json", &text.to_string()).await;
    let process = Process::start(&["--config", &folder.write("hub.toml", &out)]).await;
    let token = tokens::token(&tokens::claims("42"));
    let mut client = Client::connect(process.addr, &format!("/ws?channel=chat:a&token={token}")).await;
    client.send("hello").await;
    assert_eq!(client.line().await, "hello");
    for (target, status) in [
        ("/ws?channel=chat:a".to_owned(), 401),
        (format!("/ws?channel=closed:a&token={token}"), 403),
        (format!("/ws?channel=unknown:a&token={token}"), 404),
    ] {
        assert_eq!(refusal(process.addr, &target).await, status, "{target}");
    }
}

/// Returns the status with which a handshake is refused.
pub(crate) async fn refusal(addr: std::net::SocketAddr, target: &str) -> u16 {
    let error = within(tokio_tungstenite::connect_async(format!("ws://{addr}{target}"))).await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(response) = error else { panic!("{error}") };
    response.status().as_u16()
}
