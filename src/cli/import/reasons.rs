//! Reasons: why a key of Centrifugo is not translated, and what to do instead.

/// Why keys are not translated.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reason {
    /// Short name, which the page lists it under.
    pub(super) name: &'static str,
    /// What is different, and what to do.
    pub(super) text: &'static str,
}

macro_rules! reasons {
    ($($NAME:ident = $name:literal: $text:literal;)+) => {
        $(pub(super) const $NAME: &Reason = &Reason { name: $name, text: $text };)+

        /// All of them, in the order of the page.
        pub(super) const ALL: &[&Reason] = &[$($NAME),+];
    };
}

reasons! {
    CLUSTER = "NATS only":
        "Several hubs are one service over streams of NATS JetStream ([cluster], docs/cluster.md), which keep \
         histories and the order; presence is asked of all hubs. Redis and others are not used. One hub needs nothing \
         besides itself, and has as many cores as the machine.";
    HOOK_GRPC = "calls over gRPC":
        "Backends are asked over HTTP only. Serve the same calls there, with the same fields as JSON, and add a \
         [[hook]] with the url (docs/hooks.md). Where such a proxy decides about channels, the file closes them until \
         then: subscribing needs a token that names the channel, and no client may publish.";
    HOOK_STATUS = "statuses of a backend":
        "A backend that answers with another status than 200 gives the client error 100, which is temporary. Let it \
         answer 200, with error or disconnect in the body (docs/hooks.md).";
    HOOK_TLS = "certificates of a backend":
        "The certificate of a backend is checked against the authorities of the system, and the hub has none of its \
         own. Add the authority to those of the system, or let a proxy next to the hub speak TLS to the backend.";
    HOOK_HEADERS = "headers in a message":
        "Headers that a client sends in its first message (emulated headers) are not passed on, only those of its \
         handshake. Let clients send what the backend has to know as data of connect.";
    HOOK_DATA = "data for a backend":
        "Data of a client that is JSON is sent to backends in data, and only other bytes in b64data. Let the backend \
         read both.";
    METHODS = "methods of calls":
        "One address answers the calls of all methods, which the field method names. Let the backend answer those that \
         Centrifugo answered itself.";
    STREAM_PROXY = "streams of a backend":
        "A backend streams publications to the subscribers of a channel over gRPC; this is not translated, and the \
         file closes the channel. Let the backend publish over HTTP (/api/publish_stream) while the channel is \
         occupied, which events tell it (docs/hooks.md).";
    TRANSPORT = "WebSocket only":
        "Clients connect by WebSocket. Let SDKs use the one endpoint wss://HOST/connection/websocket, without \
         fallbacks.";
    GRPC = "HTTP API only":
        "There is no gRPC API. Publish over HTTP: /api/publish, or /api/publish_stream for many.";
    CONSUMERS = "consumers":
        "Queues and tables are not read. Let a program of yours read them and publish to /api/publish_stream, which \
         slows it down when the hub is busy.";
    DELTA = "whole publications":
        "Subscriptions that a backend makes get whole publications, which SDKs need no change for. Those of clients \
         get deltas where the namespace has delta = true.";
    COMPRESSION = "no compression":
        "Frames are not compressed (permessage-deflate). Clients that offer it connect without it.";
    ADMIN = "no admin page":
        "There is no admin page. Operators have `throng top` and /admin/..., with a key of their own in admin_keys; \
         make one with: openssl rand -hex 32.";
    API_KEY = "API with a key":
        "The HTTP API always needs a key. Make one with `openssl rand -hex 32`, put it into api_keys of [api] and let \
         your backends send it as X-API-Key.";
    API_OFF = "the API without keys":
        "The HTTP API cannot be turned off; without a key it answers every request with 401. No key is translated.";
    ERROR_MODE = "errors of the API":
        "Requests say themselves how they want errors: with the header X-Centrifugo-Error-Mode: transport they get \
         them as HTTP statuses. Let your backends send it.";
    HEALTH = "other health paths":
        "Health checks are always on, at /health/live and /health/ready instead of /health. Change the checks of \
         balancers and supervisors.";
    METRICS_OFF = "Prometheus only":
        "Metrics are not pushed. Let Prometheus read /metrics, or an agent that sends them on.";
    TRACES = "traces":
        "Traces go to the OTLP collector that otlp_endpoint of [log] names, in a build with the feature otel.";
    TLS_FILES = "TLS of files":
        "A certificate comes from files (tls_certificate, tls_key). Let certbot renew them, followed by a SIGHUP, or \
         let a proxy in front of the hub speak TLS; client certificates and HTTP/3 need such a proxy.";
    PATHS = "fixed paths":
        "Paths are fixed. Rewrite them in the proxy in front of the hub, or change the clients.";
    LOG_FILE = "log on standard error":
        "Lines go to standard error. Let the supervisor write the file (systemd: StandardError=append:/PATH).";
    TOKEN_RULES = "exact claims":
        "The user is always the claim sub, and aud and iss are compared exactly. Use token_audience and token_issuer \
         with one value each, and let the issuer write sub.";
    SUBSCRIPTION_TOKEN = "one set of keys":
        "The same keys verify tokens for connections and for subscriptions. Sign both with the keys of client.token, \
         or add a [[token_key]]; it is then good for both.";
    ANONYMOUS_TOKEN = "anonymous tokens":
        "A token without sub is accepted and makes an anonymous client. Let the issuer make none; with \
         allow_subscribe = \"authenticated\" such a client may do nothing.";
    USER_HEADER = "users come from tokens":
        "A header that a proxy sets does not name a user. Let the proxy, or your application, make a token.";
    PERSONAL = "personal channels":
        "Personal channels have no namespace here, and a user may have several connections in its own (the channel #42 \
         for the user 42). A channel of another namespace stands in the token: \"channels\": [\"user:#42\"].";
    NAMES = "names of channels":
        "A channel's name is not compared with an expression. Refuse names in the backend that makes the tokens, with \
         allow_subscribe = \"token\".";
    LIMITS = "fixed limits":
        "This limit has one value, the default of Centrifugo. Clients that keep to the default notice nothing.";
    CHARACTERS = "fixed characters":
        "The characters with a meaning in the names of channels are fixed. Rename channels that use others.";
    ALWAYS_ON = "always on":
        "The endpoint for WebSocket cannot be turned off.";
    FILTERS = "no filters":
        "Publications are not filtered by tags; subscriptions that ask for it get all of them. Use a channel for each \
         kind.";
    MAPS = "no maps":
        "Map and shared-poll subscriptions are refused with error 108. Keep state in your backend and publish changes.";
    HISTORY_META = "epoch and history":
        "A channel has its epoch as long as it has history or subscribers. A client that returns later is told that it \
         could not recover, and loads the state from your backend.";
    PRO = "Centrifugo PRO":
        "A feature of Centrifugo PRO without an equivalent. Decide whether you can do without it.";
    GONE = "gone in Centrifugo v6":
        "Centrifugo v6 has no such key either. Clients of SockJS need the WebSocket SDK.";
    DEVELOPMENT = "tools of development":
        "There is no such page. /api/openapi.json describes the HTTP API; `throng check-config`, /metrics and \
         `throng top` show a hub.";
    PID = "no PID file":
        "No file with the process ID is written. Supervisors know it (systemd: MainPID).";
    DELAYS = "write delay":
        "Writes are joined while the hub is busy and never delayed. coalesce_delay of [tuning] adds a delay, for all \
         clients.";

    BUFFERS = "nothing to tune":
        "Buffers and tasks of the Go program; nothing here corresponds to them, and nothing is lost.";
    EXACT = "always exact":
        "Presence and positions change in the same step as a subscription, so nothing is refreshed or checked by a \
         timer.";
    INSIDE = "not needed":
        "Names and reports of a node in a cluster, statistics for its makers, switches for its own features: nothing \
         of that kind is here.";
    USER_LIMITED = "always by name":
        "A channel with # in its name is always for the users after it. If yours are named so for another reason, \
         rename them.";
}
