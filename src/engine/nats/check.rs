//! The check: whether NATS is what the configuration says, and what to do about what it is not.

use super::link::Link;
use super::stream::{self, Account, StreamConfig, StreamError, StreamInfo};
use super::subject::Subjects;
use crate::config::{ClusterConfig, StreamStorage};
use crate::protocol::Epoch;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;

/// Bytes of a publication in NATS beyond its data: subject, headers, tags and what is known of its publisher.
const OVERHEAD: usize = 16 * 1024;

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Examination {
    /// The epoch of each partition whose stream is there and fits.
    pub epochs: Vec<Option<Epoch>>,
    /// Names of streams that are missing.
    pub missing: Vec<String>,
    /// Everything else that is wrong, one line each.
    pub findings: Vec<String>,
}

/// Why nothing could be found.
#[derive(Clone, Debug, Error)]
pub enum ExamineError {
    /// Perhaps later.
    #[error("NATS does not answer: {0}")]
    NoAnswer(String),
    /// It cannot be used as it is.
    #[error("{0}")]
    Unusable(String),
}

impl Examination {
    /// Returns everything that is wrong, one line each; none if hubs can use the streams.
    pub fn complaints(&self) -> Vec<String> {
        let missing = (!self.missing.is_empty()).then(|| {
            let (names, verb) = (self.missing.join(", "), if self.missing.len() == 1 { "is" } else { "are" });
            format!("{names} {verb} missing; run throng cluster init with this configuration")
        });
        self.findings.iter().cloned().chain(missing).collect()
    }
}

/// Looks at the servers, the account and every stream. Changes nothing.
///
/// # Errors
///
/// [`ExamineError`] if there is no answer, or JetStream cannot be used.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn examine(
    link: &Link,
    config: &ClusterConfig,
    message_bytes_max: usize,
) -> Result<Examination, ExamineError> {
    let account = account(link).await?;
    let mut found = Examination::default();
    let needed = message_bytes_max + OVERHEAD;
    if link.payload_max() < needed {
        found.findings.push(format!(
            "the servers accept messages of {} bytes, and --message-bytes-max {message_bytes_max} needs {needed}; \
             raise max_payload of the servers, or lower the setting",
            link.payload_max()
        ));
    }
    found.findings.extend(short_limits(&account, config));
    let subjects = Subjects::new(&config.prefix);
    let mut differences = BTreeMap::<String, Vec<String>>::new();
    for partition in 0..config.partitions {
        let name = subjects.stream(partition);
        match stream::info(link, &name).await {
            Ok(info) => {
                let epoch = info.config.epoch();
                for difference in differences_of(&info, config, &subjects, partition) {
                    differences.entry(difference).or_default().push(name.clone());
                }
                found.epochs.push(epoch);
            }
            Err(error) if error.is_missing() => {
                found.missing.push(name);
                found.epochs.push(None);
            }
            Err(error) => return Err(unanswered(link, &format!("$JS.API.STREAM.INFO.{name}"), &error)),
        }
    }
    let beyond = subjects.stream(config.partitions);
    if found.missing.len() < config.partitions && stream::info(link, &beyond).await.is_ok() {
        differences.entry(wrong_count("more", config)).or_default().push(beyond);
    }
    found.findings.extend(differences.into_iter().map(|(text, streams)| format!("{}: {text}", list(&streams))));
    found.findings.extend(refused_permission(link, config, &subjects).await);
    Ok(found)
}

/// Asks for the account, which says whether JetStream is there and new enough.
async fn account(link: &Link) -> Result<Account, ExamineError> {
    let account = match stream::account(link).await {
        Ok(account) => account,
        Err(StreamError::Request(_)) if link.server().is_some_and(|(_, has_jetstream)| !has_jetstream) => {
            return Err(ExamineError::Unusable(
                "JetStream is off on the NATS server; start it with -js, or with jetstream {} in its configuration"
                    .to_owned(),
            ));
        }
        Err(StreamError::Api { description, .. }) => {
            return Err(ExamineError::Unusable(format!(
                "JetStream cannot be used: {description}; enable it for the account of the hub"
            )));
        }
        Err(error) => return Err(unanswered(link, "$JS.API.INFO", &error)),
    };
    let version = link.server().map(|(version, _)| version).unwrap_or_default();
    too_old(&account, &version).map_or(Ok(account), |text| Err(ExamineError::Unusable(text)))
}

/// Says that a server is too old: what it answers counts, because a version does not say what is in it.
fn too_old(account: &Account, version: &str) -> Option<String> {
    (account.api.level == 0).then(|| {
        format!(
            "the NATS server has version {version}, and hubs need 2.11 or newer, to read many publications at once; \
             update it"
        )
    })
}

/// Returns why there is no answer: for good if the hub may not ask, else perhaps for now.
fn unanswered(link: &Link, subject: &str, error: &StreamError) -> ExamineError {
    let complaint = link.state().borrow().complaint.clone().unwrap_or_default();
    if is_about_permissions(&complaint) {
        return ExamineError::Unusable(permission(&complaint));
    }
    ExamineError::NoAnswer(format!("{subject}: {error}"))
}

fn is_about_permissions(complaint: &str) -> bool {
    complaint.to_ascii_lowercase().contains("permissions violation")
}

fn permission(complaint: &str) -> String {
    format!("{complaint}; docs/cluster.md lists the permissions that the user of a hub needs")
}

/// Finds limits of the account that are too small for all streams together.
fn short_limits(account: &Account, config: &ClusterConfig) -> Vec<String> {
    let limits = account.limits;
    let (limit, what) = match config.storage {
        StreamStorage::Memory => (limits.max_memory, "max_memory"),
        StreamStorage::File => (limits.max_storage, "max_file"),
    };
    let needed = config.partition_bytes_max.saturating_mul(config.partitions);
    let too_few = |limit: i64, needed: usize| usize::try_from(limit).is_ok_and(|limit| limit < needed);
    let bytes = too_few(limit, needed).then(|| {
        format!(
            "the account may have {limit} bytes, and --partition-bytes-max {} in {} partitions needs {needed}; raise \
             {what} of the account, or lower one of the settings",
            config.partition_bytes_max, config.partitions
        )
    });
    let streams = too_few(limits.max_streams, config.partitions).then(|| {
        format!(
            "the account may have {} streams, and --partitions is {}; raise max_streams of the account, or lower the \
             setting",
            limits.max_streams, config.partitions
        )
    });
    bytes.into_iter().chain(streams).collect()
}

fn wrong_count(they_have: &str, config: &ClusterConfig) -> String {
    format!(
        "made for another number of partitions ({they_have}), and --partitions is {}; give all hubs that number, or \
         remove the streams and run throng cluster init, after which no client can recover what is in them",
        config.partitions
    )
}

/// Finds settings of a stream that are not those of the configuration.
fn differences_of(info: &StreamInfo, config: &ClusterConfig, subjects: &Subjects, partition: usize) -> Vec<String> {
    let is = &info.config;
    let Some(epoch) = is.epoch() else {
        return vec![
            "not made by throng cluster init: it has no throng_epoch in its metadata; remove it, or choose another \
             --prefix"
                .to_owned(),
        ];
    };
    if is.partitions() != Some(config.partitions) {
        let count = is.partitions().map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        return vec![wrong_count(&count, config)];
    }
    let wanted = StreamConfig::of(config, subjects, partition, epoch);
    let duration = |nanos| humantime::format_duration(Duration::from_nanos(nanos)).to_string();
    let settings = [
        ("storage", "--storage", is.storage.clone(), wanted.storage.clone(), false),
        ("num_replicas", "--replicas", is.num_replicas.to_string(), wanted.num_replicas.to_string(), true),
        (
            "max_msgs_per_subject",
            "--history-messages-max",
            is.max_msgs_per_subject.to_string(),
            wanted.max_msgs_per_subject.to_string(),
            true,
        ),
        ("max_age", "--history-age", duration(is.max_age), duration(wanted.max_age), true),
        ("max_bytes", "--partition-bytes-max", is.max_bytes.to_string(), wanted.max_bytes.to_string(), true),
        (
            "duplicate_window",
            "--duplicate-window",
            duration(is.duplicate_window),
            duration(wanted.duplicate_window),
            true,
        ),
    ];
    let configured = settings.into_iter().filter(|(_, _, is, wanted, _)| is != wanted);
    let configured = configured.map(|(name, setting, is, wanted, can_be_edited)| {
        let advice = if can_be_edited {
            format!("set the setting to {is}, or edit the stream: nats stream edit")
        } else {
            format!("set the setting to {is}, or remove the stream and run throng cluster init")
        };
        format!("{name} is {is}, and {setting} is {wanted}; {advice}")
    });
    let republish = |one: &StreamConfig| format!("{} > {}", one.republish.src, one.republish.dest);
    let fixed = [
        ("subjects", is.subjects.join(" "), wanted.subjects.join(" ")),
        ("republish", republish(is), republish(&wanted)),
        ("retention", is.retention.clone(), wanted.retention.clone()),
        ("discard", is.discard.clone(), wanted.discard.clone()),
        ("allow_direct", is.allow_direct.to_string(), "true".to_owned()),
        ("deny_delete", is.deny_delete.to_string(), "true".to_owned()),
        ("deny_purge", is.deny_purge.to_string(), "true".to_owned()),
    ];
    let fixed = fixed.into_iter().filter(|(_, is, wanted)| is != wanted);
    let fixed = fixed.map(|(name, is, wanted)| {
        format!("{name} is {is}, and hubs need {wanted}; remove the stream and run throng cluster init")
    });
    configured.chain(fixed).collect()
}

/// Returns what the hub may not do, if there is something: it asks for what changes nothing.
async fn refused_permission(link: &Link, config: &ClusterConfig, subjects: &Subjects) -> Option<String> {
    let live = link.subscribe(subjects.all_live(Epoch::new(1), 0)).await.ok();
    let hubs = link.subscribe(subjects.hub()).await.ok();
    // No stream takes what expects another one, so nothing is stored.
    let beacon = subjects.beacon(config.partitions - 1);
    let stored = link.store_nowhere(beacon, stream::API_TIMEOUT).await;
    drop((live, hubs));
    let complaint = link.state().borrow().complaint.clone().filter(|complaint| is_about_permissions(complaint));
    // A stream that is missing does not answer, and is reported already.
    drop(stored);
    complaint.map(|complaint| permission(&complaint))
}

fn list(streams: &[String]) -> String {
    match streams {
        [one] => one.clone(),
        [first, .., last] => format!("{first} to {last} ({} streams)", streams.len()),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::nats::stream::{AccountLimits, StreamState};

    fn info(change: impl FnOnce(&mut StreamConfig)) -> Vec<String> {
        let (config, subjects) = (ClusterConfig::default(), Subjects::new("main"));
        let mut stream = StreamConfig::of(&config, &subjects, 3, Epoch::new(7));
        change(&mut stream);
        differences_of(&StreamInfo { config: stream, state: StreamState::default(), now: 0 }, &config, &subjects, 3)
    }

    /// An operator has to see both values and what to do.
    #[test]
    fn every_difference_of_a_stream_is_said_with_both_values() {
        assert_eq!(info(|_| ()), [""; 0]);
        type Change = fn(&mut StreamConfig);
        let cases: [(Change, &str); 8] = [
            (|one| one.num_replicas = 1, "num_replicas is 1, and --replicas is 3; set the setting to 1, or edit"),
            (|one| one.storage = "file".into(), "storage is file, and --storage is memory; set the setting to file"),
            (|one| one.max_age = 60_000_000_000, "max_age is 1m, and --history-age is 1day"),
            (|one| one.max_bytes = -1, "max_bytes is -1, and --partition-bytes-max is 134217728"),
            (|one| one.republish.dest.clear(), "republish is throng.main.log.3.* > , and hubs need"),
            (|one| one.deny_purge = false, "deny_purge is false, and hubs need true"),
            (|one| one.metadata.clear(), "not made by throng cluster init"),
            (
                |one| drop(one.metadata.insert("throng_partitions".into(), "16".into())),
                "made for another number of partitions (16), and --partitions is 8",
            ),
        ];
        for (change, expected) in cases {
            let found = info(change);
            assert!(found.len() == 1 && found[0].contains(expected), "{found:?}\n{expected}");
        }
    }

    /// What servers of these versions answer to $JS.API.INFO.
    #[test]
    fn server_that_is_too_old_is_refused_with_its_version() {
        let limits = r#""limits":{"max_memory":-1,"max_storage":-1,"max_streams":-1,"max_consumers":-1}"#;
        for (version, api, is_refused) in [
            ("2.9.25", r#"{"total":3,"errors":0}"#, true),
            ("2.10.29", r#"{"total":3,"errors":0,"inflight":1}"#, true),
            ("2.11.0", r#"{"level":1,"total":3,"errors":0}"#, false),
            ("2.15.1", r#"{"level":4,"total":3,"errors":0}"#, false),
        ] {
            let answer = format!(r#"{{"type":"t","memory":0,"storage":0,"streams":0,{limits},"api":{api}}}"#);
            let text = too_old(&serde_json::from_str(&answer).unwrap(), version);
            assert_eq!(text.is_some(), is_refused, "{version}");
            let expected = format!("version {version}, and hubs need 2.11 or newer");
            assert!(text.is_none_or(|text| text.contains(&expected)), "{version}");
        }
    }

    #[test]
    fn limits_of_the_account_are_compared_with_what_all_streams_need() {
        let config = ClusterConfig::default();
        let mut account = Account::default();
        assert_eq!(short_limits(&account, &config), [""; 0]);
        account.limits = AccountLimits { max_memory: 1 << 20, max_storage: 1, max_streams: 7 };
        let found = short_limits(&account, &config);
        assert!(found[0].contains("may have 1048576 bytes") && found[0].contains("1073741824; raise max_memory"));
        assert!(found[1].contains("may have 7 streams, and --partitions is 8"), "{found:?}");
    }
}
