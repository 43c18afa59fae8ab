//! The configuration: everything that an operator may choose, parsed once; that it exists proves that it is valid.
//!
//! A setting is declared once, at its field ([`Setting`]). The rest follows from the declarations:
//!
//! ```text
//! sections (access, admission, limits ...) --> Config::SCHEMA --> file: keys, types, positions of mistakes
//!                                                            --> command: flags, variables, --help
//!                                                            --> reload: what changes without a restart
//!                                                            --> doc: the reference, the sample file
//! ```

pub mod error;
pub mod load_error;
pub mod root;

pub mod section;
pub mod setting;
pub mod tables;
pub mod value;

pub mod access;
pub mod admission;
pub mod api;
pub mod api_key;
pub mod channel_options;
pub mod cluster;
pub mod events;
pub mod hook;
pub mod hub_limits;
pub mod log;
pub mod namespace;
pub mod socket_limits;
pub mod stopping;
pub mod tls;
pub mod token;
pub mod token_key;
pub mod tuning;

pub mod address;
pub mod collector_url;
pub mod file_access;
pub mod hook_header;
pub mod host;
pub mod http_url;
pub mod jwks_url;
pub mod key;
pub mod log_filter;
pub mod namespace_name;
pub mod nats_server;
pub mod origin;
pub mod webhook_secret;

pub mod command;
pub mod doc;
pub mod file;
pub mod reload;
mod size;
pub mod source;
pub mod suggestion;
mod variables;

pub use access::{AccessConfig, ForwardedHeader, MetricsAccess};
pub use address::{Address, Host, SocketAddress};
pub use admission::AdmissionConfig;
pub use api::ApiConfig;
pub use api_key::{ApiKeyConfig, ApiScope};
pub use channel_options::{ChannelOptions, Namespaces, UnknownNamespace};
pub use cluster::{ClusterConfig, EngineKind, OnStale, StreamStorage};
pub use collector_url::CollectorUrl;
pub use error::ConfigError;
pub use events::{EventType, EventsConfig};
pub use file_access::{FileMode, FileOwner};
pub use hook::{HookConfig, HookName};
pub use hook_header::{ClientHeader, StaticHeader};
pub use host::{HostPattern, HostPort};
pub use http_url::HttpUrl;
pub use hub_limits::{DrainCloseCode, HubLimits, SlowConsumer};
pub use jwks_url::JwksUrl;
pub use key::{ApiKey, Key};
pub use load_error::LoadError;
pub use log::{LogConfig, LogFormat};
pub use log_filter::LogFilter;
pub use namespace::{ClientGroup, NamespaceConfig, NamespaceOptions, SubscriberGroup};
pub use namespace_name::NamespaceName;
pub use nats_server::NatsServer;
pub use origin::{Origin, OriginPattern};
pub use root::Config;
pub use setting::Setting;
pub use socket_limits::SocketLimits;
pub use source::{Loaded, Sources};
pub use stopping::StoppingConfig;
pub use tls::TlsConfig;
pub use token::TokenConfig;
pub use token_key::{KeyText, TokenAlgorithm, TokenKeyConfig};
pub use tuning::TuningConfig;
pub use webhook_secret::WebhookSecret;
