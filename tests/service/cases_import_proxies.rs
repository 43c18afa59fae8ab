//! `throng import centrifugo` with proxies: the backends that a Centrifugo asks become hooks that ask the same, and
//! what they cannot say is named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::cases_import::{Folder, Printed, refusal, run, settings};
use crate::hooks::result;
use crate::server::Client;
use crate::server::application::Application;
use crate::server::process::Process;
use serde_json::{Value, json};
use throng::config::{ClientGroup, Config, HookConfig, SubscriberGroup};

/// What is asked, about which namespaces, and where.
type Asked<'a> = (&'a str, &'a [&'a str], &'a str);

/// Imports a file, and checks that a hub takes what is printed.
async fn import(name: &str, text: &str) -> (Config, Printed) {
    let folder = Folder::new();
    let printed = folder.import(name, text).await;
    assert_eq!(printed.code, Some(0), "{}", printed.error);
    let checked = run(&["check-config", &folder.write("hub.toml", &printed.out)]).await;
    assert_eq!((checked.code, checked.error.as_str()), (Some(0), ""), "{name}\n{}", printed.out);
    (Config::from_toml(&printed.out).unwrap(), printed)
}

async fn import_json(file: &Value) -> (Config, Printed) {
    import("config.json", &file.to_string()).await
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_hooks(hooks: &[HookConfig], expected: &[Asked<'_>], printed: &Printed) {
    let names = |hook: &HookConfig| hook.namespaces.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found: Vec<_> =
        hooks.iter().map(|hook| (hook.name.word(), names(hook), hook.url.as_str().to_owned())).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, names, url)| (*name, names.iter().map(ToString::to_string).collect(), (*url).to_owned()))
        .collect();
    assert_eq!(found, expected, "{}\n{}", printed.out, printed.error);
}

/// One configuration with every proxy, in each generation and format.
const FILES: [(&str, &str); 6] = [
    (
        "v6.json",
        r#"{"client": {"proxy": {
            "connect": {"enabled": true, "endpoint": "http://b:3000/connect", "timeout": "2s",
                "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}},
            "refresh": {"enabled": true, "endpoint": "https://b/refresh", "timeout": "1500ms",
                "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}}}},
        "channel": {"proxy": {
            "subscribe": {"endpoint": "http://b:3000/subscribe", "timeout": "500ms",
                "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}},
            "publish": {"endpoint": "http://b:3000/publish",
                "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}},
            "sub_refresh": {"endpoint": "http://b:3000/sub_refresh",
                "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}}},
          "without_namespace": {"publish_proxy_enabled": true},
          "namespaces": [{"name": "chat", "subscribe_proxy_enabled": true, "publish_proxy_enabled": true,
            "sub_refresh_proxy_enabled": true}, {"name": "open", "allow_subscribe_for_client": true}]},
        "rpc": {"without_namespace": {"proxy_enabled": true}, "proxy": {"endpoint": "http://b:3000/rpc",
            "http_headers": ["Cookie"], "http": {"static_headers": {"X-Key": "secret-of-hooks"}}}}}"#,
    ),
    (
        "v6.yaml",
        "x: &common\n  http_headers: [Cookie]\n  http:\n    static_headers: {X-Key: secret-of-hooks}\nclient:\n  \
         proxy:\n    connect: {<<: *common, enabled: true, endpoint: 'http://b:3000/connect', timeout: 2s}\n    \
         refresh: {<<: *common, enabled: true, endpoint: 'https://b/refresh', timeout: 1500ms}\nchannel:\n  \
         proxy:\n    \
         subscribe: {<<: *common, endpoint: 'http://b:3000/subscribe', timeout: 500ms}\n    \
         publish: {<<: *common, endpoint: 'http://b:3000/publish'}\n    \
         sub_refresh: {<<: *common, endpoint: 'http://b:3000/sub_refresh'}\n  \
         without_namespace: {publish_proxy_enabled: true}\n  namespaces:\n    - name: chat\n      \
         subscribe_proxy_enabled: true\n      publish_proxy_enabled: true\n      sub_refresh_proxy_enabled: true\n    \
         - {name: open, allow_subscribe_for_client: true}\nrpc:\n  without_namespace: {proxy_enabled: true}\n  \
         proxy: {<<: *common, endpoint: 'http://b:3000/rpc'}\n",
    ),
    (
        "v6.toml",
        "[client.proxy.connect]\nenabled = true\nendpoint = \"http://b:3000/connect\"\ntimeout = \"2s\"\n\
         http_headers = [\"Cookie\"]\nhttp.static_headers.X-Key = \"secret-of-hooks\"\n[client.proxy.refresh]\n\
         enabled = true\nendpoint = \"https://b/refresh\"\ntimeout = \"1500ms\"\nhttp_headers = [\"Cookie\"]\n\
         http.static_headers.X-Key = \"secret-of-hooks\"\n[channel.proxy.subscribe]\n\
         endpoint = \"http://b:3000/subscribe\"\ntimeout = \"500ms\"\nhttp_headers = [\"Cookie\"]\n\
         http.static_headers.X-Key = \"secret-of-hooks\"\n[channel.proxy.publish]\n\
         endpoint = \"http://b:3000/publish\"\nhttp_headers = [\"Cookie\"]\n\
         http.static_headers.X-Key = \"secret-of-hooks\"\n[channel.proxy.sub_refresh]\n\
         endpoint = \"http://b:3000/sub_refresh\"\nhttp_headers = [\"Cookie\"]\n\
         http.static_headers.X-Key = \"secret-of-hooks\"\n[channel.without_namespace]\npublish_proxy_enabled = true\n\
         [[channel.namespaces]]\nname = \"chat\"\nsubscribe_proxy_enabled = true\npublish_proxy_enabled = true\n\
         sub_refresh_proxy_enabled = true\n[[channel.namespaces]]\nname = \"open\"\n\
         allow_subscribe_for_client = true\n[rpc]\nwithout_namespace.proxy_enabled = true\n[rpc.proxy]\n\
         endpoint = \"http://b:3000/rpc\"\nhttp_headers = [\"Cookie\"]\n\
         http.static_headers.X-Key = \"secret-of-hooks\"\n",
    ),
    (
        "v5.json",
        r#"{"proxy_connect_endpoint": "http://b:3000/connect", "proxy_connect_timeout": "2s",
        "proxy_refresh_endpoint": "https://b/refresh", "proxy_refresh_timeout": "1500ms",
        "proxy_subscribe_endpoint": "http://b:3000/subscribe", "proxy_subscribe_timeout": "500ms",
        "proxy_publish_endpoint": "http://b:3000/publish", "proxy_sub_refresh_endpoint": "http://b:3000/sub_refresh",
        "proxy_rpc_endpoint": "http://b:3000/rpc", "proxy_http_headers": ["Cookie"],
        "proxy_static_http_headers": {"X-Key": "secret-of-hooks"}, "proxy_publish": true,
        "namespaces": [{"name": "chat", "proxy_subscribe": true, "proxy_publish": true, "proxy_sub_refresh": true},
            {"name": "open", "allow_subscribe_for_client": true}]}"#,
    ),
    (
        "v5.yml",
        "proxy_connect_endpoint: http://b:3000/connect\nproxy_connect_timeout: 2s\n\
         proxy_refresh_endpoint: https://b/refresh\nproxy_refresh_timeout: 1500ms\n\
         proxy_subscribe_endpoint: http://b:3000/subscribe\nproxy_subscribe_timeout: 500ms\n\
         proxy_publish_endpoint: http://b:3000/publish\nproxy_sub_refresh_endpoint: http://b:3000/sub_refresh\n\
         proxy_rpc_endpoint: http://b:3000/rpc\nproxy_http_headers: Cookie\n\
         proxy_static_http_headers: {X-Key: secret-of-hooks}\nproxy_publish: true\nnamespaces:\n- name: chat\n  \
         proxy_subscribe: true\n  proxy_publish: true\n  proxy_sub_refresh: true\n- name: open\n  \
         allow_subscribe_for_client: true\n",
    ),
    (
        "v5.toml",
        "proxy_connect_endpoint = \"http://b:3000/connect\"\nproxy_connect_timeout = \"2s\"\n\
         proxy_refresh_endpoint = \"https://b/refresh\"\nproxy_refresh_timeout = \"1500ms\"\n\
         proxy_subscribe_endpoint = \"http://b:3000/subscribe\"\nproxy_subscribe_timeout = \"500ms\"\n\
         proxy_publish_endpoint = \"http://b:3000/publish\"\n\
         proxy_sub_refresh_endpoint = \"http://b:3000/sub_refresh\"\nproxy_rpc_endpoint = \"http://b:3000/rpc\"\n\
         proxy_http_headers = [\"Cookie\"]\nproxy_publish = true\n[proxy_static_http_headers]\n\
         X-Key = \"secret-of-hooks\"\n[[namespaces]]\nname = \"chat\"\nproxy_subscribe = true\nproxy_publish = true\n\
         proxy_sub_refresh = true\n[[namespaces]]\nname = \"open\"\nallow_subscribe_for_client = true\n",
    ),
];

#[tokio::test]
async fn proxies_become_hooks_in_each_format_and_version() {
    let mut first: Option<String> = None;
    for (name, text) in FILES {
        let (config, printed) = import(name, text).await;
        let Printed { out, error, .. } = &printed;
        assert!(error.contains(&format!("Centrifugo {}, ", &name[..2])), "{error}");
        check_hooks(
            &config.hooks,
            &[
                ("connect", &[], "http://b:3000/connect"),
                ("subscribe", &["chat"], "http://b:3000/subscribe"),
                ("publish", &[], "http://b:3000/publish"),
                ("refresh", &[], "https://b/refresh"),
                ("sub_refresh", &["chat"], "http://b:3000/sub_refresh"),
                ("rpc", &[], "http://b:3000/rpc"),
            ],
            &printed,
        );
        let timeouts: Vec<_> = config.hooks.iter().map(|hook| hook.timeout.as_millis()).collect();
        assert_eq!(timeouts, [2000, 500, 1000, 1500, 1000, 1000], "{name}");
        for hook in &config.hooks {
            assert_eq!(hook.headers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["cookie"], "{name}");
            let [fixed] = &hook.static_headers[..] else { unreachable!("{name}\n{out}") };
            assert_eq!((fixed.name.as_str(), fixed.value.to_str().unwrap()), ("x-key", "secret-of-hooks"));
            assert_eq!(hook.requests_max, 65_536, "Centrifugo has no limit");
        }
        let groups: Vec<_> = std::iter::once(&config.default_namespace)
            .chain(config.namespaces.iter().map(|one| &one.options))
            .map(|options| (options.allow_subscribe, options.allow_publish))
            .collect();
        let expected = [
            (SubscriberGroup::Token, ClientGroup::Hook),
            (SubscriberGroup::Hook, ClientGroup::Hook),
            (SubscriberGroup::Authenticated, ClientGroup::Nobody),
        ];
        assert_eq!(groups, expected, "{name}\n{out}");
        assert!(!error.contains("secret-of-hooks") && !error.contains("every client is anonymous"), "{error}");
        let made = settings(out).join("\n");
        assert_eq!(&made, first.get_or_insert_with(|| made.clone()), "{name}");
    }
}

/// Names refer to tables of their own, with what each of them says.
#[tokio::test]
async fn named_proxies_become_hooks_of_their_namespaces() {
    let v6 = json!({
        "client": { "token": { "hmac_secret_key": "0123456789abcdef0123456789abcdef" } },
        "proxies": [
            { "name": "one", "endpoint": "http://one/", "timeout": "3s", "http_headers": ["X-Request-Id"] },
            { "name": "two", "endpoint": "http://two/" },
            { "name": "spare", "endpoint": "http://spare/", "binary_encoding": true },
        ],
        "channel": {
            "proxy": { "subscribe": { "endpoint": "http://default/", "include_connection_meta": true } },
            "namespaces": [
                { "name": "a", "subscribe_proxy_enabled": true, "subscribe_proxy_name": "one" },
                { "name": "b", "subscribe_proxy_enabled": true, "subscribe_proxy_name": "two",
                  "sub_refresh_proxy_enabled": true, "sub_refresh_proxy_name": "two" },
                { "name": "c", "subscribe_proxy_enabled": true, "subscribe_proxy_name": "one" },
                { "name": "d", "subscribe_proxy_enabled": true },
                { "name": "e", "subscribe_proxy_name": "one", "allow_subscribe_for_client": true },
            ],
        },
    });
    let (config, printed) = import_json(&v6).await;
    check_hooks(
        &config.hooks,
        &[
            ("subscribe", &["a", "c"], "http://one/"),
            ("subscribe", &["b"], "http://two/"),
            ("subscribe", &["d"], "http://default/"),
            ("sub_refresh", &["b"], "http://two/"),
        ],
        &printed,
    );
    let first = &config.hooks[0];
    assert_eq!((first.timeout.as_secs(), first.headers.len(), config.hooks[1].headers.len()), (3, 1, 0));
    let out = joined(&printed.out.replace('#', " "));
    for text in [
        "proxies[2].binary_encoding, proxies[2].endpoint, proxies[2].name: nothing in the file below asks this",
        "channel.namespaces[4].subscribe_proxy_name: the proxy is not enabled there",
        "channel.proxy.subscribe.include_connection_meta: what the answer to connect has as meta comes back",
    ] {
        assert!(out.contains(text), "{text}\n{}", printed.out);
    }
    let v5 = json!({
        "granular_proxy_mode": true, "connect_proxy_name": "one", "refresh_proxy_name": "two",
        "proxies": [
            { "name": "one", "endpoint": "http://one/", "static_http_headers": { "X-A": "b" } },
            { "name": "two", "endpoint": "http://two/", "timeout": "3s" },
        ],
        "rpc_proxy_name": "one", "publish_proxy_name": "two", "proxy_rpc_endpoint": "http://unused/",
        "namespaces": [{ "name": "a", "publish_proxy_name": "one" }, { "name": "b", "publish_proxy_name": "two" }],
    });
    let (config, printed) = import_json(&v5).await;
    check_hooks(
        &config.hooks,
        &[
            ("connect", &[], "http://one/"),
            ("publish", &[], "http://two/"),
            ("publish", &["a"], "http://one/"),
            ("refresh", &[], "http://two/"),
            ("rpc", &[], "http://one/"),
        ],
        &printed,
    );
    assert!(joined(&printed.out).contains("proxy_rpc_endpoint: nothing in the file below asks"), "{}", printed.out);
}

/// What a hook cannot say is named with the reason, and closes what the proxy decided.
#[tokio::test]
async fn proxies_without_a_hook_are_named_and_close_what_they_decided() {
    let chat = |more: Value, subscribe: Value| {
        let mut namespace = json!({ "name": "chat", "allow_subscribe_for_client": true });
        namespace.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "channel": { "namespaces": [namespace], "proxy": { "subscribe": subscribe } } })
    };
    let on = json!({ "subscribe_proxy_enabled": true });
    for (file, expected) in [
        (
            chat(on.clone(), json!({ "endpoint": "grpc://b:1", "timeout": "2s", "grpc": { "compression": true } })),
            "channel.proxy.subscribe.endpoint, channel.proxy.subscribe.grpc.compression, \
             channel.proxy.subscribe.timeout, channel.namespaces[0].subscribe_proxy_enabled: Backends are asked over \
             HTTP only.",
        ),
        (
            chat(on.clone(), json!({})),
            "channel.namespaces[0].subscribe_proxy_enabled: there is no endpoint for it (channel.proxy.subscribe); \
             add a [[hook]] with the url. Until then subscribing needs a token",
        ),
        (
            chat(json!({ "subscribe_proxy_enabled": true, "subscribe_proxy_name": "gone" }), json!({})),
            "there is no \"gone\" in proxies; add a [[hook]] subscribe with its url. Until then",
        ),
        (
            chat(on, json!({ "endpoint": "http://user:secret-of-hooks@b/" })),
            "channel.proxy.subscribe.endpoint: its value is not a URL such as http://127.0.0.1:3000/hooks, without a \
             user and a password.",
        ),
        (
            json!({ "granular_proxy_mode": true, "namespaces": [{ "name": "chat", "proxy_subscribe": true }] }),
            "namespaces[0].proxy_subscribe: subscribe_proxy_name is missing, which granular_proxy_mode needs",
        ),
    ] {
        let (config, printed) = import_json(&file).await;
        check_hooks(&config.hooks, &[], &printed);
        assert_eq!(config.namespaces[0].options.allow_subscribe, SubscriberGroup::Token, "{file}");
        assert!(joined(&printed.error).contains(expected), "{expected}\n{}", printed.error);
        assert!(!printed.error.contains("secret-of-hooks") && !printed.out.contains("secret-of-hooks"));
    }
}

/// Options of a proxy that a hook does not have, and values that it does not take.
#[tokio::test]
async fn options_of_proxies_without_an_equivalent_are_named() {
    let with = |more: Value| {
        let mut connect = json!({ "enabled": true, "endpoint": "http://b/" });
        connect.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "client": { "proxy": { "connect": connect } } })
    };
    for (more, expected) in [
        (
            json!({ "binary_encoding": true }),
            "binary_encoding: Data of a client that is JSON is sent to backends in data",
        ),
        (
            json!({ "emulated_headers": ["Authorization"] }),
            "emulated_headers: Headers that a client sends in its first",
        ),
        (json!({ "grpc_metadata": ["x"] }), "grpc_metadata: Backends are asked over HTTP only"),
        (
            json!({ "http": { "tls": { "enabled": true } } }),
            "http.tls.enabled: The certificate of a backend is checked",
        ),
        (
            json!({ "http": { "status_to_code_transforms": [{ "status_code": 404, "to_error": { "code": 404 } }] } }),
            "status_to_code_transforms[0].to_error.code: A backend that answers with another status than 200",
        ),
        (json!({ "timeout": "25h" }), "client.proxy.connect.timeout: timeout: 1day 1h is not between 1ms and 1day"),
        (json!({ "http_headers": ["Host"] }), "http_headers: headers: host belongs to one connection"),
        (
            json!({ "http_headers": ["x-key"], "http": { "static_headers": { "X-Key": "secret-of-hooks" } } }),
            "http_headers: headers: x-key is a static header too, and here the value of a client never replaces one",
        ),
        (
            json!({ "http": { "static_headers": { "X-Key": "secret-of-hooks\nX: y" } } }),
            "static_headers.X-Key: static_headers: a header is written NAME: VALUE",
        ),
        (
            json!({ "http": { "static_headers": { "X-Key": "secret-of-hooks", "x-key": "secret-of-hooks-2" } } }),
            "it is there twice, in small letters and in capitals",
        ),
    ] {
        let (config, printed) = import_json(&with(more)).await;
        check_hooks(&config.hooks, &[("connect", &[], "http://b/")], &printed);
        assert!(joined(&printed.error).contains(expected), "{expected}\n{}", printed.error);
        assert!(!printed.error.contains("secret-of-hooks"), "{}", printed.error);
        assert!(config.hooks[0].headers.is_empty(), "{}", printed.out);
    }
    // Nothing expires, so the hub would never ask.
    let refresh = json!({ "client": { "proxy": { "refresh": { "enabled": true, "endpoint": "http://b/" } } } });
    let (config, printed) = import_json(&refresh).await;
    check_hooks(&config.hooks, &[], &printed);
    let expected = "client.proxy.refresh.enabled, client.proxy.refresh.endpoint: [[hook]] refresh: nothing asks it";
    assert!(joined(&printed.error).contains(expected), "{}", printed.error);
}

/// Calls have one hook: where two proxies differ, the list has both.
#[tokio::test]
async fn second_backend_for_calls_is_named_with_the_values_of_both() {
    let file = |second: Value| {
        json!({
            "rpc": {
                "proxy": { "endpoint": "http://one/rpc?key=secret-of-hooks", "timeout": "2s" },
                "without_namespace": { "proxy_enabled": true },
                "namespaces": [
                    { "name": "shop", "proxy_enabled": true, "proxy_name": "second" },
                    { "name": "quiet" },
                ],
            },
            "proxies": [second],
        })
    };
    let first: &[Asked<'_>] = &[("rpc", &[], "http://one/rpc?key=secret-of-hooks")];
    let second = json!({ "name": "second", "endpoint": "http://two/rpc", "timeout": "5s", "http_headers": ["Cookie"] });
    let (config, printed) = import_json(&file(second)).await;
    check_hooks(&config.hooks, first, &printed);
    let error = joined(&printed.error);
    for expected in [
        "rpc.namespaces[0].proxy_name: calls of all methods have one backend here, http://one/rpc with timeout 2s, and \
         this is another: http://two/rpc with timeout 5s, headers Cookie. It is left out",
        "methods of a namespace that the file does not have, and those of rpc.namespaces[1].name",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
    assert!(!error.contains("secret-of-hooks"), "{error}");
    let same = json!({ "name": "second", "endpoint": "http://one/rpc?key=secret-of-hooks", "timeout": "2000ms" });
    let (config, printed) = import_json(&file(same)).await;
    check_hooks(&config.hooks, first, &printed);
    assert!(!printed.error.contains("is another"), "{}", printed.error);
}

/// Where a file has to be wider than Centrifugo, it says so.
#[tokio::test]
async fn namespaces_and_clients_that_are_asked_about_in_addition_are_named() {
    let (config, printed) = import_json(&json!({ "channel": {
        "proxy": { "subscribe": { "endpoint": "http://b/s" }, "sub_refresh": { "endpoint": "http://b/r" } },
        "without_namespace": { "subscribe_proxy_enabled": true, "sub_refresh_proxy_enabled": true },
        "namespaces": [
            { "name": "a", "sub_refresh_proxy_enabled": true },
            { "name": "b", "presence": true, "subscribe_proxy_enabled": true, "allow_presence_for_subscriber": true },
        ],
    } }))
    .await;
    check_hooks(&config.hooks, &[("subscribe", &[], "http://b/s"), ("sub_refresh", &[], "http://b/r")], &printed);
    let error = joined(&printed.error);
    for expected in [
        "[[hook]] sub_refresh: the backend for channels without a namespace is asked about those of b too",
        "channel.namespaces[1].allow_presence_for_subscriber: allow_presence = \"subscribers\" holds for anonymous",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
    // A proxy that lets clients in is not asked here, so nobody else lets them in.
    let (config, printed) = import_json(&json!({ "client": {
        "token": { "hmac_secret_key": "0123456789abcdef0123456789abcdef" },
        "allow_anonymous_connect_without_token": true,
        "proxy": { "connect": { "enabled": true, "endpoint": "grpc://b:1" } },
    } }))
    .await;
    assert!(config.tokens.token_required && config.hooks.is_empty(), "{}", printed.out);
}

/// The file is for running a hub: the old backend is asked, and what it says is what happens.
#[tokio::test]
async fn hub_with_an_imported_file_asks_the_old_backend() {
    let backend = Application::start(|request| match request.path.as_str() {
        "/connect" => result(json!({ "user": "42" })),
        "/subscribe" if request.json()["user"] == "42" => result(json!({})),
        _ => crate::hooks::refusal(403, "not there"),
    })
    .await;
    let folder = Folder::new();
    let text = json!({
        "address": "127.0.0.1", "port": 0,
        "proxy_connect_endpoint": format!("http://{}/connect", backend.addr),
        "proxy_subscribe_endpoint": format!("http://{}/subscribe", backend.addr),
        "proxy_static_http_headers": { "X-Key": "key-of-the-hub" },
        "namespaces": [{ "name": "chat", "proxy_subscribe": true }, { "name": "closed" }],
    });
    let Printed { out, .. } = folder.import("config.json", &text.to_string()).await;
    let process = Process::start(&["--config", &folder.write("hub.toml", &out)]).await;
    let _client = Client::connect(process.addr, "/ws?channel=chat:a").await;
    let requests = backend.requests();
    assert_eq!(requests.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/connect", "/subscribe"]);
    assert_eq!(refusal(process.addr, "/ws?channel=closed:a").await, 403);
    assert!(requests.iter().all(|one| one.header("x-key") == Some("key-of-the-hub")), "{requests:?}");
}
