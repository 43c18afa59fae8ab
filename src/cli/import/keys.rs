//! The table of keys: every key of Centrifugo, and what becomes of it. The page and the command are made from it.

use super::key::Fate::{Fixed, Missing, Part, Unneeded};
use super::key::Read::{Duration, Level, Limit, Number};
use super::key::{Dialect, Key, key, setting};
use super::proxy_keys::{self, PROXY};
use super::reasons;
use crate::config::suggestion::suggestion;

/// Keys that stand once in a file, in the order of the page. The first that fits is meant.
pub(super) const KEYS: &[Key] = &[
    key("http_server.address", &["address"], Part("`addr`")),
    key("http_server.port", &["port"], Part("`addr`")),
    key("http_server.internal_address", &["internal_address"], Part("`internal_addr`")),
    key("http_server.internal_port", &["internal_port"], Part("`internal_addr`")),
    key("http_server.tls.enabled", &["tls"], Part("`tls+` in `addr`")),
    key("http_server.tls.cert_pem", &["tls_cert", "tls_cert_pem"], Part("`tls_certificate`")),
    key("http_server.tls.key_pem", &["tls_key", "tls_key_pem"], Part("`tls_key`")),
    key("http_server.tls.cert_pem_file", &[], Part("`tls_certificate`")),
    key("http_server.tls.key_pem_file", &[], Part("`tls_key`")),
    key("http_server.tls_external", &["tls_external"], Part("`tls+` in `internal_addr`")),
    key("http_server.tls.*", &["tls_*"], Missing(reasons::TLS_FILES)),
    key("http_server.tls_autocert.*", &[], Missing(reasons::TLS_FILES)),
    key("http_server.internal_tls.*", &[], Missing(reasons::TLS_FILES)),
    key("http_server.http3.*", &["http3"], Missing(reasons::TLS_FILES)),
    key("log.level", &["log_level"], setting("log", Level, None)),
    key("log.file", &["log_file"], Missing(reasons::LOG_FILE)),
    key("engine.type", &["engine"], Fixed("memory", reasons::CLUSTER)),
    key("engine.*", &["redis_*", "tarantool_*", "global_redis_*"], Missing(reasons::CLUSTER)),
    key("broker.enabled", &[], Part("`engine` of `[cluster]`, if the type is nats")),
    key("broker.type", &["broker"], Part("`engine` of `[cluster]`, if it is nats")),
    key("broker.nats.url", &["nats_url"], Part("`nats_servers`")),
    key("broker.*", &["nats_*"], Missing(reasons::CLUSTER)),
    key("presence_manager.enabled", &[], Missing(reasons::CLUSTER)),
    key("presence_manager.type", &[], Fixed("memory", reasons::CLUSTER)),
    key("presence_manager.*", &[], Missing(reasons::CLUSTER)),
    key("redis.*", &["global_presence_ttl"], Missing(reasons::CLUSTER)),
    key("map_broker.*", &[], Missing(reasons::MAPS)),
    key("controller.*", &[], Missing(reasons::CLUSTER)),
    key("client.allowed_origins", &["allowed_origins"], Part("`allowed_origins`")),
    key("client.token.hmac_secret_key", &["token_hmac_secret_key"], Part("`[[token_key]]` HS256, HS384, HS512")),
    key("client.token.rsa_public_key", &["token_rsa_public_key"], Part("`[[token_key]]` RS256, RS384, RS512")),
    key("client.token.ecdsa_public_key", &["token_ecdsa_public_key"], Part("`[[token_key]]` ES256 or ES384")),
    key("client.token.jwks_public_endpoint", &["token_jwks_public_endpoint"], Part("`jwks_url`")),
    key("client.token.audience", &["token_audience"], Part("`token_audience`")),
    key("client.token.issuer", &["token_issuer"], Part("`token_issuer`")),
    key("client.token.user_id_claim", &["token_user_id_claim"], Fixed("sub", reasons::TOKEN_RULES)),
    key("client.token.*", &["token_audience_regex", "token_issuer_regex"], Missing(reasons::TOKEN_RULES)),
    key(
        "client.subscription_token.*",
        &["separate_subscription_token_config", "subscription_token_*"],
        Missing(reasons::SUBSCRIPTION_TOKEN),
    ),
    key(
        "client.allow_anonymous_connect_without_token",
        &["allow_anonymous_connect_without_token"],
        Part("`token_required = false`"),
    ),
    key(
        "client.disallow_anonymous_connection_tokens",
        &["disallow_anonymous_connection_tokens"],
        Missing(reasons::ANONYMOUS_TOKEN),
    ),
    key(
        "client.insecure_skip_token_signature_verify",
        &["client_insecure_skip_token_signature_verify"],
        Part("`token_insecure`"),
    ),
    key("client.insecure", &["client_insecure"], Part("`allow_... = \"everyone\"`")),
    key("client.user_id_http_header", &["client_user_id_http_header"], Missing(reasons::USER_HEADER)),
    key("client.ping_interval", &["ping_interval"], setting("ping_interval", Duration, Some("25s"))),
    key("client.pong_timeout", &["pong_timeout"], setting("pong_timeout", Duration, Some("8s"))),
    key("client.queue_max_size", &["client_queue_max_size"], setting("outbox_bytes_max", Number, None)),
    key("client.connection_limit", &["client_connection_limit"], setting("connections_max", Number, None)),
    key(
        "client.user_connection_limit",
        &["client_user_connection_limit"],
        setting("connections_per_user_max", Limit, Some("0")),
    ),
    key(
        "client.connection_rate_limit",
        &["client_connection_rate_limit"],
        setting("handshake_rate_max", Limit, Some("0")),
    ),
    key("client.channel_limit", &["client_channel_limit"], Fixed("128", reasons::LIMITS)),
    key("client.stale_close_delay", &["client_stale_close_delay"], Fixed("10s", reasons::LIMITS)),
    key("client.expired_close_delay", &["client_expired_close_delay"], Fixed("25s", reasons::LIMITS)),
    key("client.expired_sub_close_delay", &["client_expired_sub_close_delay"], Fixed("25s", reasons::LIMITS)),
    key(
        "client.history_max_publication_limit",
        &["client_history_max_publication_limit"],
        Fixed("300", reasons::LIMITS),
    ),
    key(
        "client.recovery_max_publication_limit",
        &["client_recovery_max_publication_limit"],
        Fixed("300", reasons::LIMITS),
    ),
    key("client.connect_include_server_time", &["client_connect_include_server_time"], Fixed("false", reasons::LIMITS)),
    key("client.presence_update_interval", &["client_presence_update_interval"], Unneeded(reasons::EXACT)),
    key("client.channel_position_check_delay", &["client_channel_position_check_delay"], Unneeded(reasons::EXACT)),
    key("client.channel_position_max_time_lag", &["client_channel_position_max_time_lag"], Unneeded(reasons::EXACT)),
    key("client.concurrency", &["client_concurrency"], Unneeded(reasons::BUFFERS)),
    key("client.queue_initial_cap", &["client_queue_initial_cap"], Unneeded(reasons::BUFFERS)),
    key("client.reply_without_queue", &["client_reply_without_queue"], Unneeded(reasons::BUFFERS)),
    key("client.max_messages_in_frame", &["client_max_messages_in_frame"], Unneeded(reasons::BUFFERS)),
    key("client.write_delay", &["client_write_delay"], Missing(reasons::DELAYS)),
    key(
        "client.subscribe_to_user_personal_channel.enabled",
        &["user_subscribe_to_personal"],
        Part("`personal_channel`"),
    ),
    key("client.subscribe_to_user_personal_channel.*", &["user_personal_*"], Missing(reasons::PERSONAL)),
    key("client.connect_code_to_unidirectional_disconnect.*", &["client_connect_code_*"], Missing(reasons::TRANSPORT)),
    key("", &["granular_proxy_mode"], Part("which proxies are asked: those of `proxies`, or the others")),
    key("client.rate_limit.*", &["client_command_rate_limit.*", "client_error_limits.*"], Missing(reasons::PRO)),
    key("client.allowed_delta_types", &[], Missing(reasons::DELTA)),
    key("channel.history_meta_ttl", &["global_history_meta_ttl"], Missing(reasons::HISTORY_META)),
    key("channel.max_length", &["channel_max_length"], Fixed("255", reasons::LIMITS)),
    key("channel.private_prefix", &["channel_private_prefix"], Fixed("$", reasons::CHARACTERS)),
    key("channel.namespace_boundary", &["channel_namespace_boundary"], Fixed(":", reasons::CHARACTERS)),
    key("channel.user_boundary", &["channel_user_boundary"], Fixed("#", reasons::CHARACTERS)),
    key("channel.user_separator", &["channel_user_separator"], Fixed(",", reasons::CHARACTERS)),
    key("channel.namespaces", &["namespaces"], Part("`[[namespace]]`")),
    key("channel.proxy.subscribe_stream.*", &["proxy_subscribe_stream_*"], Missing(reasons::STREAM_PROXY)),
    key("channel.proxy.map_*", &[], Missing(reasons::MAPS)),
    key("channel.proxy.shared_poll_*", &[], Missing(reasons::MAPS)),
    key("channel.proxy.*", &["proxy_cache_empty_*"], Missing(reasons::PRO)),
    key("channel.patterns.*", &["channel_patterns"], Missing(reasons::PRO)),
    key("rpc.without_namespace.proxy_enabled", &[], Part("`[[hook]]` rpc")),
    key("rpc.without_namespace.proxy_name", &["rpc_proxy_name"], Part("`[[hook]]` rpc")),
    key("rpc.namespaces.*", &["rpc_namespaces.*"], Part("`[[hook]]` rpc, one for all methods")),
    key("rpc.*", &["rpc_*"], Missing(reasons::METHODS)),
    key("", &["connect_proxy_name"], Part("`[[hook]]` connect")),
    key("", &["refresh_proxy_name"], Part("`[[hook]]` refresh")),
    key("http_api.key", &["api_key"], Part("`api_keys`")),
    key("http_api.disabled", &["api_disable"], Missing(reasons::API_OFF)),
    key("http_api.insecure", &["api_insecure"], Missing(reasons::API_KEY)),
    key("http_api.external", &["api_external"], Part("nothing: `/api` is at `addr`")),
    key("http_api.handler_prefix", &["api_handler_prefix"], Fixed("/api", reasons::PATHS)),
    key("http_api.error_mode", &["api_error_mode"], Missing(reasons::ERROR_MODE)),
    key("grpc_api.*", &["grpc_api", "grpc_api_*"], Missing(reasons::GRPC)),
    key("consumers.*", &["consumers.*"], Missing(reasons::CONSUMERS)),
    key("websocket.message_size_limit", &["websocket_message_size_limit"], setting("message_bytes_max", Number, None)),
    key("websocket.write_timeout", &["websocket_write_timeout"], setting("outbox_stall_max", Duration, Some("1s"))),
    key("websocket.disabled", &["websocket_disable"], Fixed("false", reasons::ALWAYS_ON)),
    key("websocket.handler_prefix", &["websocket_handler_prefix"], Fixed("/connection/websocket", reasons::PATHS)),
    key("websocket.compression", &["websocket_compression"], Missing(reasons::COMPRESSION)),
    key("websocket.*", &["websocket_*"], Unneeded(reasons::BUFFERS)),
    key("sse.*", &["sse", "sse_*"], Missing(reasons::TRANSPORT)),
    key("http_stream.*", &["http_stream", "http_stream_*"], Missing(reasons::TRANSPORT)),
    key("webtransport.*", &["webtransport", "webtransport_*"], Missing(reasons::TRANSPORT)),
    key("emulation.*", &["emulation_*"], Missing(reasons::TRANSPORT)),
    key("uni_websocket.*", &["uni_websocket", "uni_websocket_*"], Missing(reasons::TRANSPORT)),
    key("uni_sse.*", &["uni_sse", "uni_sse_*"], Missing(reasons::TRANSPORT)),
    key("uni_http_stream.*", &["uni_http_stream", "uni_http_stream_*"], Missing(reasons::TRANSPORT)),
    key("uni_grpc.*", &["uni_grpc", "uni_grpc_*"], Missing(reasons::TRANSPORT)),
    key("admin.oidc.*", &["admin_oidc.*"], Missing(reasons::PRO)),
    key("admin.*", &["admin", "admin_*"], Missing(reasons::ADMIN)),
    key("prometheus.enabled", &["prometheus"], Part("`metrics = \"public\"`")),
    key("prometheus.handler_prefix", &["prometheus_handler_prefix"], Fixed("/metrics", reasons::PATHS)),
    key("prometheus.*", &["channel_namespace_for_transport_messages_*"], Unneeded(reasons::INSIDE)),
    key("health.enabled", &["health"], Missing(reasons::HEALTH)),
    key("health.handler_prefix", &["health_handler_prefix"], Missing(reasons::HEALTH)),
    key("swagger.*", &["swagger", "swagger_*"], Missing(reasons::DEVELOPMENT)),
    key("debug.*", &["debug", "debug_*"], Missing(reasons::DEVELOPMENT)),
    key("dev.*", &[], Missing(reasons::DEVELOPMENT)),
    key("init.*", &[], Missing(reasons::TRANSPORT)),
    key("opentelemetry.*", &["opentelemetry", "opentelemetry_*"], Missing(reasons::TRACES)),
    key("graphite.*", &["graphite", "graphite_*"], Missing(reasons::METRICS_OFF)),
    key("usage_stats.*", &["usage_stats_disable"], Unneeded(reasons::INSIDE)),
    key("node.*", &["name", "node_info_metrics_aggregate_interval"], Unneeded(reasons::INSIDE)),
    key("shutdown.timeout", &["shutdown_timeout"], setting("shutdown_timeout", Duration, Some("30s"))),
    key("", &["shutdown_termination_delay"], Part("`lb_grace`")),
    key("pid_file", &["pid_file"], Missing(reasons::PID)),
    key("enable_unreleased_features", &["enable_unreleased_features"], Unneeded(reasons::INSIDE)),
    key("", &["gomaxprocs"], setting("threads", Number, None)),
    key("", &["sockjs", "sockjs_*"], Missing(reasons::GONE)),
    key("brokers.*", &["brokers.*"], Missing(reasons::PRO)),
    key("presence_managers.*", &["presence_managers.*"], Missing(reasons::PRO)),
    key("database.*", &["database.*"], Missing(reasons::PRO)),
    key("push_notifications.*", &["push_notifications.*"], Missing(reasons::PRO)),
    key("clickhouse_analytics.*", &["clickhouse_analytics.*"], Missing(reasons::PRO)),
    key("user_status.*", &["user_status.*"], Missing(reasons::PRO)),
    key("user_block.*", &["user_block.*"], Missing(reasons::PRO)),
    key("user_tokens_invalidate.*", &["user_tokens_invalidate.*"], Missing(reasons::PRO)),
    key("token_revoke.*", &["token_revoke.*"], Missing(reasons::PRO)),
    key("distributed_rate_limit.*", &["distributed_rate_limit.*"], Missing(reasons::PRO)),
    key("singleflight.*", &["use_singleflight"], Unneeded(reasons::BUFFERS)),
    key("cache.*", &["cache.*"], Missing(reasons::PRO)),
    key("state.*", &["state_vacated_event_delay", "partitioned_presence.*"], Missing(reasons::PRO)),
    key("license", &["license"], Unneeded(reasons::PRO)),
    key("", &["user_command_rate_limit.*", "redis_user_command_rate_limit.*"], Missing(reasons::PRO)),
];

/// Keys of `channel.without_namespace` and of each of `channel.namespaces`; in v5 above everything and in `namespaces`.
pub(super) const OPTIONS: &[Key] = &[
    key("name", &["name"], Part("`name`")),
    key("history_size", &["history_size"], Part("`history_size`")),
    key("history_ttl", &["history_ttl"], Part("`history_ttl`")),
    key("history_meta_ttl", &["history_meta_ttl"], Missing(reasons::HISTORY_META)),
    key("allow_recovery", &["allow_recovery"], Part("`recovery`")),
    key("force_recovery", &["force_recovery"], Part("`recovery`")),
    key("force_recovery_mode", &["force_recovery_mode"], Part("`recovery_mode`")),
    key("allow_positioning", &["allow_positioning"], Part("`positioning`")),
    key("force_positioning", &["force_positioning"], Part("`positioning`")),
    key("presence", &["presence"], Part("`presence`")),
    key("join_leave", &["join_leave"], Part("`join_leave`")),
    key("force_push_join_leave", &["force_push_join_leave"], Part("`join_leave`")),
    key("allow_subscribe_for_client", &["allow_subscribe_for_client"], Part("`allow_subscribe`")),
    key("allow_subscribe_for_anonymous", &["allow_subscribe_for_anonymous"], Part("`allow_subscribe`")),
    key("allow_publish_for_client", &["allow_publish_for_client"], Part("`allow_publish`")),
    key("allow_publish_for_subscriber", &["allow_publish_for_subscriber"], Part("`allow_publish`")),
    key("allow_publish_for_anonymous", &["allow_publish_for_anonymous"], Part("`allow_publish`")),
    key("allow_presence_for_client", &["allow_presence_for_client"], Part("`allow_presence`")),
    key("allow_presence_for_subscriber", &["allow_presence_for_subscriber"], Part("`allow_presence`")),
    key("allow_presence_for_anonymous", &["allow_presence_for_anonymous"], Part("`allow_presence`")),
    key("allow_history_for_client", &["allow_history_for_client"], Part("`allow_history`")),
    key("allow_history_for_subscriber", &["allow_history_for_subscriber"], Part("`allow_history`")),
    key("allow_history_for_anonymous", &["allow_history_for_anonymous"], Part("`allow_history`")),
    key("allow_user_limited_channels", &["allow_user_limited_channels"], Unneeded(reasons::USER_LIMITED)),
    key("channel_regex", &["channel_regex"], Missing(reasons::NAMES)),
    key("allowed_delta_types", &["allowed_delta_types"], Part("`delta`")),
    key("delta_publish", &["delta_publish"], Part("`delta`")),
    key("subscribe_proxy_enabled", &["proxy_subscribe"], Part("`allow_subscribe = \"hook\"`, `[[hook]]` subscribe")),
    key("subscribe_proxy_name", &["subscribe_proxy_name"], Part("`[[hook]]` subscribe")),
    key("publish_proxy_enabled", &["proxy_publish"], Part("`allow_publish = \"hook\"`, `[[hook]]` publish")),
    key("publish_proxy_name", &["publish_proxy_name"], Part("`[[hook]]` publish")),
    key("sub_refresh_proxy_enabled", &["proxy_sub_refresh"], Part("`[[hook]]` sub_refresh")),
    key("sub_refresh_proxy_name", &["sub_refresh_proxy_name"], Part("`[[hook]]` sub_refresh")),
    key("subscribe_stream_proxy_enabled", &["proxy_subscribe_stream"], Missing(reasons::STREAM_PROXY)),
    key("subscribe_stream_proxy_name", &["subscribe_stream_proxy_name"], Missing(reasons::STREAM_PROXY)),
    key(
        "subscribe_stream_proxy_bidirectional",
        &["proxy_subscribe_stream_bidirectional"],
        Missing(reasons::STREAM_PROXY),
    ),
    key("allow_tags_filter", &[], Missing(reasons::FILTERS)),
    key("subscription_types", &[], Missing(reasons::MAPS)),
    key("map.*", &[], Missing(reasons::MAPS)),
    key("shared_poll.*", &[], Missing(reasons::MAPS)),
    key("subscribe_cel", &["subscribe_cel"], Missing(reasons::PRO)),
    key("publish_cel", &["publish_cel"], Missing(reasons::PRO)),
    key("presence_cel", &["presence_cel"], Missing(reasons::PRO)),
    key("history_cel", &["history_cel"], Missing(reasons::PRO)),
    key("keep_latest_publication", &["keep_latest_publication"], Missing(reasons::PRO)),
    key("shared_position_sync", &["shared_position_sync"], Unneeded(reasons::EXACT)),
    key("state_events", &["state_events"], Missing(reasons::PRO)),
    key("cache_empty_proxy_name", &["cache_empty_proxy_name"], Missing(reasons::PRO)),
    key("broker_name", &["broker_name"], Missing(reasons::PRO)),
    key("presence_manager_name", &["presence_manager_name"], Missing(reasons::PRO)),
];

impl Dialect {
    /// Finds what a path of a file means: the key, and its path in v6.
    pub(super) fn find(self, path: &str) -> Option<(&'static Key, String)> {
        if let Some((table, option)) = self.table_and_option(path)
            && let Some(key) = OPTIONS.iter().find(|key| self.is_meant(key, option))
            && (key.v6 != "name" || table.ends_with(']'))
        {
            return Some((key, format!("{table}.{}", key.v6)));
        }
        if let Some(found) = proxy_keys::find(self, path) {
            return Some(found);
        }
        let key = KEYS.iter().find(|key| self.is_meant(key, path))?;
        let canonical = if self == Self::V6 || key.v6.is_empty() || key.v6.ends_with('*') { path } else { key.v6 };
        Some((key, canonical.to_owned()))
    }

    /// Splits the path of an option: the table in v6, and the option.
    fn table_and_option(self, path: &str) -> Option<(String, &str)> {
        const WITHOUT: &str = "channel.without_namespace";
        let lists = match self {
            Self::V5 => "namespaces[",
            Self::V6 => "channel.namespaces[",
        };
        if let Some(rest) = path.strip_prefix(lists) {
            let (number, option) = rest.split_once("].")?;
            return Some((format!("channel.namespaces[{number}]"), option));
        }
        match self {
            Self::V5 => Some((WITHOUT.to_owned(), path)),
            Self::V6 => Some((WITHOUT.to_owned(), path.strip_prefix(WITHOUT)?.strip_prefix('.')?)),
        }
    }

    /// Says why a name is no key.
    pub(super) fn unknown(self, name: &str) -> String {
        let other = self.other();
        if other.find(&name.to_lowercase()).is_some() {
            return format!(
                "a key of Centrifugo {}, which {}, as the rest of the file is written for, does not read. If it should \
                 hold, write it for {} and import the file again.",
                other.name(),
                self.name(),
                self.name()
            );
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let similar = suggestion(name, self.names());
        let similar = if similar.is_empty() { suggestion(last, self.names()) } else { similar };
        format!("not known as a key of Centrifugo{similar}")
    }

    /// Returns all names of keys.
    fn names(self) -> impl Iterator<Item = String> {
        KEYS.iter().chain(OPTIONS).chain(PROXY).flat_map(move |key| match self {
            Self::V5 => key.v5.iter().map(|name| name.to_string()).collect::<Vec<_>>(),
            Self::V6 => vec![key.v6.to_owned()],
        })
    }
}
