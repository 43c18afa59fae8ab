//! The cluster: many hubs that are one service, with NATS JetStream between them.

use super::error::ConfigError;
use super::namespace::{NamespaceConfig, NamespaceOptions};
use super::nats_server::NatsServer;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, List, Text};
use super::setting::{DAY, SECOND, bytes, computed, count, deadline, duration, text};
use super::value::choice;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time that a log keeps a publication: what is kept longer belongs in a database.
const AGE_MAX: u64 = 30 * DAY;

/// Longest retry, window of duplicates or wait: more than an hour helps no client that waits.
const HOUR: u64 = 3600 * SECOND;

/// Most partitions: each costs a stream with a Raft group of its own.
const PARTITIONS_MAX: u64 = 256;

/// Most characters of a prefix: it is in every subject.
const PREFIX_LEN_MAX: usize = 32;

section! {
    /// Many hubs as one service: with `engine = "nats"` they have one order, one history and one recovery for each
    /// channel. docs/cluster.md says when it is needed, and how to begin.
    pub struct ClusterConfig in "cluster" (Once) {
        /// Where the order of publications is decided: `memory` in this hub alone, or `nats` in streams of NATS
        /// JetStream, for all hubs that use the same ones.
        ///
        /// With `nats` a publication is accepted when a majority of the servers of its stream has it, and every
        /// subscriber on every hub gets the same publications in the same order. A publication costs a round trip to
        /// NATS then; a delivery costs the same.
        engine: EngineKind = Choice(EngineKind::WORDS), text("memory"), Restart;

        /// Name of this hub for people, in lists of hubs and in the lists of connections of NATS.
        ///
        /// It need not be unique: hubs know each other by an identifier that each makes at its start.
        hub_name: Option<String> = Text("name"), computed("", "the host's name"), Restart;

        /// Addresses of NATS servers, each as nats://HOST:PORT or tls://HOST:PORT. Needed with --engine nats.
        ///
        /// One is enough, because it names the others; with several a hub can also start while one of them is down.
        /// tls:// refuses a connection that is not encrypted.
        nats_servers: Vec<NatsServer> = List("servers"), Unset, Restart;

        /// File that says who the hub is for NATS: credentials of a user as `nsc` makes them (a token and the seed of
        /// an NKey), the seed of an NKey alone, or one line USER:PASSWORD. Without it the hub is anonymous.
        ///
        /// docs/cluster.md lists the permissions that its user needs.
        nats_credentials: Option<PathBuf> = Text("file"), Unset, Restart;

        /// PEM file with the certificate authorities of the NATS servers. Without it those of the system count.
        nats_tls_ca: Option<PathBuf> = Text("file"), Unset, Restart;

        /// PEM file with the certificate by which NATS knows the hub, if it asks for one. Needs --nats-tls-key.
        nats_tls_certificate: Option<PathBuf> = Text("file"), Unset, Restart;

        /// PEM file with the private key of --nats-tls-certificate.
        nats_tls_key: Option<PathBuf> = Text("file"), Unset, Restart;

        /// Name of the service in NATS: the first part of its subjects and streams. Hubs with the same one are one
        /// service.
        ///
        /// 1 to 32 ASCII letters, digits, `_` and `-`. Two services can share NATS servers under two names.
        prefix: String = Text("name"), text("main"), Restart;

        /// Number of partitions, into which the channels are spread. Each is a stream.
        ///
        /// A hub follows the partitions of its channels, and partitions are spread over NATS servers: more of them
        /// spread load more evenly and cost each hub less for channels that it does not have. All hubs need the same
        /// number. Another one is another service: the streams are made anew, and no client can recover across it.
        partitions: usize = count("partitions", 1, PARTITIONS_MAX), text("8"), Restart;

        /// Number of NATS servers that have a copy of each stream.
        ///
        /// 3 survive the loss of one, 5 of two. 1 is for trying: when that server restarts, publications wait, and with
        /// --storage memory all is lost, which every client is told.
        replicas: usize = count("copies", 1, 5), text("3"), Restart;

        /// Where NATS servers keep the streams: in `memory`, or in a `file`.
        ///
        /// Streams hold what was published in the last hours, and survive the loss of one server in either. A file
        /// also survives the restart of all servers at once, and costs a read from the disk for every publication into
        /// a channel that was silent for long.
        storage: StreamStorage = Choice(StreamStorage::WORDS), text("memory"), Restart;

        /// Maximum number of publications that a stream keeps of one channel, the newest ones.
        ///
        /// No history can be longer, so --history-size may not be more. A hub that was cut off for longer than a
        /// channel needs for that many publications tells its subscribers that they missed some.
        history_messages_max: usize = count("publications", 1, 1 << 20), text("1000"), Restart;

        /// Time that a stream keeps a publication.
        ///
        /// A client that returns to a channel without publications for longer than this cannot be shown that it missed
        /// nothing, and is told so. Therefore it is longer than --history-ttl, which bounds what a history gives out.
        history_age: Duration = duration(60 * SECOND, AGE_MAX, "clients need time to return"), text("24h"), Restart;

        /// Maximum number of bytes of one stream. Over it the oldest publications of its channels are dropped.
        ///
        /// Every server that has a copy needs that much for each partition: 1 GiB by default. What is dropped by it may
        /// belong to any channel, so fewer clients can recover: make it large enough that --history-age is reached
        /// first.
        partition_bytes_max: usize = bytes(1 << 20, 1 << 44), text("134217728"), Restart;

        /// Time that a publication is tried. Then it is refused, and its publisher is told.
        ///
        /// NATS servers wait four to nine seconds, by chance, before they elect another leader for a stream whose
        /// server died. A shorter time refuses publications then. Until it is over the publisher waits, and is not
        /// read.
        publish_ack_timeout: Duration = duration(SECOND, HOUR, "an election takes longer"), text("12s"), Restart;

        /// Maximum number of publications that wait for NATS. Further ones are refused at once.
        ///
        /// It bounds the memory of a hub that NATS does not answer. Clients publish one at a time, so it is the number
        /// of clients that can wait, and of publications of the API.
        publish_in_flight: usize = count("publications", 1, 1 << 20), text("4096"), Restart;

        /// Time in which NATS recognises a publication that it already has, when a hub sends it once more.
        ///
        /// It has to be longer than --publish-ack-timeout, or what is sent twice could be published twice. NATS keeps
        /// the identifiers of all publications in memory for this time.
        duplicate_window: Duration = duration(SECOND, HOUR, "it costs memory"), text("2m"), Restart;

        /// Time after which a hub publishes a beacon into a partition in which nothing was published.
        ///
        /// Beacons show within this time that publications were lost on the way, and that NATS works. A longer time
        /// finds both later.
        beacon_interval: Duration = duration(SECOND / 10, 60 * SECOND, "leave it out for 1s"), text("1s"), Restart;

        /// Time without a beacon after which a hub counts as cut off, and --on-stale decides about its clients.
        ///
        /// It is longer than the six seconds for which a stream has no leader after its server died.
        stale_after: Duration = deadline(), text("10s"), Restart;

        /// What a hub does while it is cut off from NATS: `keep` its connections, or `close` them with 1013, so that
        /// they go to another hub.
        ///
        /// `close` is right if hubs can lose NATS one by one, and wrong if they lose it together: all clients would
        /// reconnect, and find nothing better. With `close` /health/ready says 503 meanwhile.
        on_stale: OnStale = Choice(OnStale::WORDS), text("keep"), Restart;

        /// Time for which a hub follows a partition after the last of its channels here has lost its subscribers.
        ///
        /// So that a client that reconnects finds everything it needs at once.
        linger: Duration =
            duration(2 * SECOND, HOUR, "a shorter one ends between two looks"), text("30s"), Restart;

        /// Maximum number of publications that a hub fetches of one partition after it missed some. What is older is
        /// declared missing to those who subscribe to the channels.
        ///
        /// A hub that begins to follow a partition fetches as many at most to fill its histories.
        resync_messages_max: usize = count("publications", 1, 1 << 20), text("10000"), Restart;

        /// Maximum number of bytes of new publications of one partition that wait while older ones are fetched.
        ///
        /// Over it the new ones are dropped and fetched as well.
        resync_hold_bytes: usize = bytes(1 << 16, 1 << 32), text("16777216"), Restart;

        /// Maximum number of messages of NATS that wait for a hub which follows a partition. Further ones are dropped,
        /// and fetched again.
        ///
        /// Lower it only to try that: `follow_dropped` of the metrics counts how often it happens.
        follow_capacity: usize = count("messages", 1, 1 << 20), text("65536"), Restart;

        /// Time that a hub waits for the answers of other hubs, to questions about presence and to commands to clients.
        /// Those that do not answer are named in the result.
        presence_timeout: Duration = deadline(), text("200ms"), Restart;
    }
}

choice! {
    /// Where the order of publications is decided.
    pub enum EngineKind {
        /// In this process.
        Memory = "memory",
        /// In streams of NATS JetStream.
        Nats = "nats",
    }
}

choice! {
    /// Where NATS servers keep streams.
    pub enum StreamStorage {
        /// In memory.
        Memory = "memory",
        /// In files.
        File = "file",
    }
}

choice! {
    /// What a hub does that is cut off.
    pub enum OnStale {
        /// Keeps its connections.
        Keep = "keep",
        /// Closes them.
        Close = "close",
    }
}

impl StreamStorage {
    /// Returns the word of the configuration, which is that of JetStream too.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl ClusterConfig {
    /// Checks that the settings fit each other and the namespaces.
    pub(super) fn check(&self, default: &NamespaceOptions, named: &[NamespaceConfig]) -> Result<(), ConfigError> {
        if self.engine == EngineKind::Memory {
            return Ok(());
        }
        let own = self.contradiction().or_else(|| {
            let default = ("[default_namespace]".to_owned(), default);
            let named = named.iter().map(|one| (format!("[[namespace]] {}", one.name), &one.options));
            std::iter::once(default).chain(named).find_map(|(place, options)| self.too_short(&place, options))
        });
        own.map_or(Ok(()), |text| Err(ConfigError::Cluster { text }))
    }

    fn contradiction(&self) -> Option<String> {
        if self.nats_servers.is_empty() {
            return Some("--engine nats needs --nats-servers; name one, as in nats://127.0.0.1:4222".to_owned());
        }
        let is_allowed = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-');
        if !(1..=PREFIX_LEN_MAX).contains(&self.prefix.len()) || !self.prefix.chars().all(is_allowed) {
            return Some(format!("--prefix {:?} is not 1 to 32 ASCII letters, digits, _ and -", self.prefix));
        }
        if self.nats_tls_certificate.is_some() != self.nats_tls_key.is_some() {
            return Some("--nats-tls-certificate and --nats-tls-key go together; give both, or neither".to_owned());
        }
        let show = humantime::format_duration;
        if self.duplicate_window <= self.publish_ack_timeout {
            return Some(format!(
                "--duplicate-window {} is not longer than --publish-ack-timeout {}: a publication that is tried again \
                 could be published twice; raise the first or lower the second",
                show(self.duplicate_window),
                show(self.publish_ack_timeout)
            ));
        }
        if self.duplicate_window > self.history_age {
            return Some(format!(
                "--duplicate-window {} is longer than --history-age {}, which NATS refuses; lower the first",
                show(self.duplicate_window),
                show(self.history_age)
            ));
        }
        if self.stale_after <= self.beacon_interval * 3 {
            return Some(format!(
                "--stale-after {} is not longer than three times --beacon-interval {}: a hub would be cut off while \
                 it waits for the next beacon; raise the first or lower the second",
                show(self.stale_after),
                show(self.beacon_interval)
            ));
        }
        None
    }

    /// Finds a history of a namespace that is longer than what streams keep.
    fn too_short(&self, place: &str, options: &NamespaceOptions) -> Option<String> {
        if options.history_size > self.history_messages_max {
            return Some(format!(
                "{place}: history_size {} is more than --history-messages-max {}, which streams keep of a channel; \
                 lower the first or raise the second",
                options.history_size, self.history_messages_max
            ));
        }
        (options.history_ttl > self.history_age).then(|| {
            format!(
                "{place}: history_ttl {} is longer than --history-age {}, which streams keep a publication; lower the \
                 first or raise the second",
                humantime::format_duration(options.history_ttl),
                humantime::format_duration(self.history_age)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Each of these would start and fail later, or lose publications.
    #[test]
    fn contradictions_of_a_cluster_name_both_settings_and_what_to_do() {
        let nats = "[cluster]\nengine = \"nats\"\n";
        let servers = "nats_servers = [\"nats://127.0.0.1:4222\"]\n";
        assert!(Config::from_toml(&format!("{nats}{servers}")).is_ok());
        for (text, expected) in [
            (String::new(), "--engine nats needs --nats-servers"),
            (format!("{servers}prefix = \"a.b\""), "--prefix \"a.b\" is not 1 to 32"),
            (format!("{servers}prefix = \"{}\"", "a".repeat(33)), "is not 1 to 32"),
            (format!("{servers}nats_tls_key = \"x\""), "--nats-tls-certificate and --nats-tls-key go together"),
            (format!("{servers}duplicate_window = \"8s\""), "--duplicate-window 8s is not longer than"),
            (format!("{servers}history_age = \"1m\"\n[default_namespace]\nhistory_ttl = \"1m\""), "NATS refuses"),
            (format!("{servers}stale_after = \"3s\""), "--stale-after 3s is not longer than three times"),
            (format!("{servers}history_messages_max = 49"), "[default_namespace]: history_size 50 is more than"),
            (
                format!("{servers}[[namespace]]\nname = \"a\"\nhistory_ttl = \"25h\""),
                "[[namespace]] a: history_ttl 1day 1h is longer than --history-age 1day",
            ),
        ] {
            let error = Config::from_toml(&format!("{nats}{text}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }
}
