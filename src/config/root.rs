//! The configuration: all sections, checked as a whole. That a completed one exists proves that it is valid.

use super::access::AccessConfig;
use super::address::Address;
use super::admission::AdmissionConfig;
use super::api::ApiConfig;
use super::api_key::ApiKeyConfig;
use super::cluster::ClusterConfig;
use super::error::ConfigError;
use super::events::EventsConfig;
use super::file;
use super::file_access::{FileMode, FileOwner};
use super::hook::{self, HookConfig, HookName};
use super::hub_limits::HubLimits;
use super::key::ApiKey;
use super::load_error::LoadError;
use super::log::LogConfig;
use super::namespace::{self, NamespaceConfig, NamespaceOptions};
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{List, Switch, Text};
use super::setting::{Setting, computed, count, text};
use super::socket_limits::SocketLimits;
use super::stopping::StoppingConfig;
use super::tables::{Entry, default_texts, find};
use super::tls::TlsConfig;
use super::token::TokenConfig;
use super::token_key::TokenKeyConfig;
use super::tuning::TuningConfig;
use std::path::Path;

section! {
    /// Everything that an operator may choose.
    ///
    /// Each field is declared once, with its type, unit, range, default and text; see [`section!`](super::section).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use throng::config::Config;
    ///
    /// let config = Config::from_toml("[limits]\nping_interval = \"20s\"\n")?;
    /// assert_eq!(config.limits.ping_interval, Duration::from_secs(20));
    /// assert_eq!(config.limits.pong_timeout, Duration::from_secs(6), "the default");
    ///
    /// let error = Config::from_toml("[limits]\nping_intervall = \"20s\"\n").unwrap_err();
    /// assert_eq!(error.to_string(), "toml:2:1: there is no key ping_intervall; did you mean ping_interval?");
    /// # Ok::<(), throng::config::LoadError>(())
    /// ```
    pub struct Config in "" (Once) {
        /// Addresses to listen on, each as HOST:PORT, :PORT or unix:PATH.
        ///
        /// The prefix `tls+` enables TLS 1.2 and 1.3 and needs --tls-certificate. The prefix `proxy+`, which comes
        /// first, requires a PROXY protocol header on every connection and needs --trusted-proxies. Port 0 picks a free
        /// port and prints it.
        ///
        /// :PORT and a name listen on every address of both families, 0.0.0.0:PORT on IPv4 only, and `[::]:PORT` on
        /// IPv6 only if an IPv4 address with the same port is listed too.
        addr: Vec<Address> = List("addresses"), text(":8080"), Restart;

        /// Mode of Unix sockets in octal digits, as in 660. Connecting needs the permission to write. Without it the
        /// mode follows from the umask.
        unix_mode: Option<FileMode> = Text("mode"), Unset, Restart;

        /// Owner of Unix sockets, as for chown: USER, USER:GROUP or :GROUP. Without it they belong to the user of the
        /// hub.
        ///
        /// A hub without privileges may only give them to one of its own groups.
        unix_owner: Option<FileOwner> = Text("owner"), Unset, Restart;

        /// Address for operators, written like --addr: /health, /metrics and /admin, without clients.
        ///
        /// With it /metrics and /admin are served only there, and on loopback or a Unix socket /metrics needs no key.
        /// Without it --addr serves both, to requests with a key. An address other than loopback needs --admin-keys.
        internal_addr: Option<Address> = Text("address"), Unset, Restart;

        /// Number of shards. Each connection is written by one shard.
        ///
        /// More shards than cores gain nothing.
        shards: Option<usize> = count("shards", 1, 64), computed("", "number of cores"), Restart;

        /// Serve /echo for conformance tests, where every connection gets back what it sends. Needs a loopback --addr.
        echo: bool = Switch, Unset, Restart;
    }
    with {
        /// Who may connect, who is trusted, and who operates the hub.
        access: AccessConfig,
        /// The certificate.
        tls: TlsConfig,
        /// Who clients are.
        tokens: TokenConfig,
        /// How many clients may connect, and how fast.
        admission: AdmissionConfig,
        /// What the hub and its connections may hold.
        limits: HubLimits,
        /// What a client may send, and what its socket may hold.
        sockets: SocketLimits,
        /// The options of channels without a namespace, and of namespaces that do not set them.
        default_namespace: NamespaceOptions,
        /// The HTTP API.
        api: ApiConfig,
        /// What the application is told.
        events: EventsConfig,
        /// Many hubs as one service.
        cluster: ClusterConfig,
        /// How the hub stops.
        stopping: StoppingConfig,
        /// What is logged.
        logging: LogConfig,
        /// Latency for throughput, and back.
        tuning: TuningConfig,
    }
    lists {
        /// Groups of channels with options of their own.
        namespaces: NamespaceConfig,
        /// Keys that verify tokens.
        token_keys: TokenKeyConfig,
        /// Keys of backends, each for a part of the HTTP API.
        api_key_tables: ApiKeyConfig,
        /// What the application is asked.
        hooks: HookConfig,
    }
}

impl Config {
    /// Reads the text of a file, for a machine with one core and 10,000 descriptors.
    ///
    /// A process has more sources: see [`Sources`](super::Sources).
    ///
    /// # Errors
    ///
    /// [`LoadError`] says everything that is wrong with the text, with lines and columns.
    pub fn from_toml(text: &str) -> Result<Self, LoadError> {
        let path = Path::new("toml");
        let contents = file::parse(Self::SCHEMA, path, text).map_err(LoadError::Problems)?;
        let config = Self::read(&contents).map_err(ConfigError::from).and_then(|config| config.complete(1, 10_000));
        config.map_err(|error| LoadError::invalid(error, Self::SCHEMA, &contents, |one| place(&contents.entries, one)))
    }

    /// Checks the settings alone and against each other, and fills in those that depend on the machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the settings, their values and what to do.
    pub fn complete(mut self, cores: usize, descriptors: u64) -> Result<Self, ConfigError> {
        self.check_ranges()?;
        if self.addr.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        self.shards = Some(self.shards.unwrap_or(cores).clamp(1, 64));
        self.tuning.threads = Some(self.tuning.threads.unwrap_or(cores).max(1));
        if self.limits.connections_max == 0 {
            self.limits.connections_max = usize::try_from(descriptors / 10 * 9).unwrap_or(usize::MAX).max(1);
        }
        self.sockets = self.sockets.complete();
        self.admission.check(self.shards())?;
        self.limits.check()?;
        self.check_outbox()?;
        self.default_namespace.check(self.sockets.message_bytes_max)?;
        namespace::check(&self.namespaces, self.sockets.message_bytes_max)?;
        self.logging.check()?;
        self.check_listeners()?;
        self.tokens.check(&self.token_keys)?;
        let has_tokens = self.tokens.has_keys(&self.token_keys);
        hook::check(&self.hooks, &self.default_namespace, &self.namespaces, has_tokens)?;
        self.events.check()?;
        self.cluster.check(&self.default_namespace, &self.namespaces)?;
        Ok(self)
    }

    fn check_outbox(&self) -> Result<(), ConfigError> {
        let (outbox, message) = (self.limits.outbox_bytes_max, self.sockets.message_bytes_max);
        if outbox < message { Err(ConfigError::OutboxTooSmall { outbox, message }) } else { Ok(()) }
    }

    fn check_listeners(&self) -> Result<(), ConfigError> {
        if let Some(addr) = self.addr.iter().find(|addr| self.echo && !addr.is_local()) {
            return Err(ConfigError::EchoInPublic { addr: addr.to_string() });
        }
        if let Some(addr) = self.internal_addr.iter().find(|addr| !addr.is_local() && self.access.admin_keys.is_empty())
        {
            return Err(ConfigError::InternalAddrWithoutKey { addr: addr.to_string() });
        }
        self.check_conflicts()?;
        self.tls.check(self.addr.iter().chain(&self.internal_addr))?;
        let proxied = self.addr.iter().chain(&self.internal_addr).find(|addr| addr.has_proxy_protocol);
        match proxied.filter(|_| self.access.trusted_proxies.is_empty()) {
            Some(addr) => Err(ConfigError::NoTrustedProxies { addr: addr.to_string() }),
            None => Ok(()),
        }
    }

    /// Finds addresses that cannot be opened together, before the first of them is.
    fn check_conflicts(&self) -> Result<(), ConfigError> {
        let addresses: Vec<_> = self.addr.iter().chain(&self.internal_addr).collect();
        for (index, one) in addresses.iter().enumerate() {
            if let Some(other) = addresses[..index].iter().find(|other| one.conflicts_with(other)) {
                return Err(ConfigError::Conflict { one: other.to_string(), other: one.to_string() });
            }
        }
        Ok(())
    }

    /// Returns whether the application is asked this.
    pub fn has_hook(&self, name: HookName) -> bool {
        self.hooks.iter().any(|hook| hook.name == name)
    }

    /// Returns whether a key of the HTTP API can be guessed.
    pub fn has_short_api_key(&self) -> bool {
        let tables = self.api_key_tables.iter().map(|table| &table.key);
        self.api.api_keys.iter().chain(tables).any(ApiKey::is_short)
    }

    /// Returns the number of shards of a completed configuration.
    pub fn shards(&self) -> usize {
        self.shards.unwrap_or(1)
    }
}

/// Returns in which line a file has a setting.
pub(super) fn place(entries: &[Entry], setting: &Setting) -> Option<String> {
    find(entries, setting).map(|entry| format!("in line {}", entry.line))
}

impl Default for Config {
    /// The documented defaults, without environment and file, with one shard and 1,000 connections.
    fn default() -> Self {
        let Ok(mut config) = Self::read(&default_texts) else {
            unreachable!("the defaults are values, as a unit test shows")
        };
        config.shards = Some(1);
        config.limits.connections_max = 1_000;
        config
    }
}

impl Default for SocketLimits {
    fn default() -> Self {
        Config::default().sockets.complete()
    }
}

impl Default for HubLimits {
    fn default() -> Self {
        Config::default().limits
    }
}

impl Default for TuningConfig {
    fn default() -> Self {
        Config::default().tuning
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Config::default().cluster
    }
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Config::default().admission
    }
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        Config::default().default_namespace
    }
}
