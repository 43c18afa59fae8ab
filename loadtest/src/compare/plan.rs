//! A plan: the TOML file of a comparison, checked before anything is started.
//!
//! Relative paths count from the current directory, as in a shell. `{dir}` stands for the file's own folder, `{port}`
//! for a port that is free when a run begins, `{tmp}` for a folder that is removed after the run.

use crate::config::Scenario;
use crate::exit::RunError;
use crate::flags;
use crate::report::figures::{OF_PHASE, OF_RUN};
use crate::wire::target::{Target, TargetError};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use toml::Value;

/// Enough runs that a single disturbed one is neither the median nor hidden.
const ROUNDS: usize = 5;

/// Long enough for an interpreter on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// Flags that the comparison itself sets in every run.
const OWN_FLAGS: [&str; 8] = ["face", "html", "json", "protocol", "quiet", "server-metrics", "server-pid", "url"];

/// Flags that make the load. Servers with different ones are not compared under the same test.
const LOAD_FLAGS: [&str; 22] = [
    "burst",
    "by",
    "channels",
    "churn-rate",
    "churn-share",
    "clients",
    "clients-low",
    "every",
    "from",
    "jitter",
    "leavers",
    "missed",
    "p99-max",
    "rate",
    "size",
    "slow-share",
    "step",
    "steps",
    "subscriptions",
    "window",
    "within",
    "zipf",
];

/// Why a plan is refused.
#[derive(Debug, Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error("`rounds` is 0; choose at least 1")]
    NoRounds,
    #[error("there is no [[server]]; list at least one")]
    NoServers,
    #[error("`headline` is {0:?}, which is not the name of a figure; choose one that --assert takes")]
    UnknownHeadline(String),
    #[error("two servers have the name `{0}`; names must be unique")]
    SameName(String),
    #[error("[scenario]: {0}")]
    Scenario(EntryError),
    #[error("server `{name}`: {error}")]
    Server { name: String, error: EntryError },
}

/// Why a part of a plan is refused.
#[derive(Debug, Error)]
pub(super) enum EntryError {
    #[error("`name`: {0}")]
    UnknownScenario(serde::de::value::Error),
    #[error("`name` is empty; the table needs it")]
    NoName,
    #[error("`command` is empty; write it as in [\"program\", \"argument\"]")]
    NoCommand,
    #[error("`{key}` = \"{url}\": {error}")]
    Target { key: &'static str, url: String, error: TargetError },
    #[error("`flags`: {0}")]
    Flags(Box<Self>),
    #[error(
        "`{0}` is set by the comparison and not allowed here; it comes from `url`, `protocol` and `metrics` of each \
         [[server]]"
    )]
    OwnFlag(String),
    #[error("`{0}` is not the value of a flag; write a text, a number, true or false, or a list of these")]
    NoValue(String),
}

/// Flags of the generator, by their names without dashes.
pub(super) type Flags = BTreeMap<String, Value>;

/// The servers, and how to compare them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Runs of each server.
    #[serde(default = "rounds")]
    pub(super) rounds: usize,
    /// How long a server may take to listen.
    #[serde(default = "start_timeout", deserialize_with = "duration")]
    pub(super) start_timeout: Duration,
    /// The figure that stands for all in a summary of several lists, by the name that `--assert` takes.
    pub(super) headline: Option<String>,
    /// Goes in front of the generator's command, as in `["taskset", "-c", "1"]`.
    #[serde(default)]
    pub(super) generator: Vec<String>,
    pub(super) scenario: ScenarioSpec,
    pub(super) server: Vec<Server>,
    /// The file's own folder, and its name without ending.
    #[serde(skip)]
    pub(super) dir: String,
    #[serde(skip)]
    pub(super) name: String,
}

/// The scenario, the same for every server.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ScenarioSpec {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) flags: Flags,
}

/// One of the servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// As the table and `--only` call it.
    pub(super) name: String,
    /// Program and arguments. The process must be the server itself, or become it (`exec`), or the CPU and memory of
    /// a wrapper are measured.
    pub(super) command: Vec<String>,
    /// The address to connect to.
    pub(super) url: String,
    /// An OpenMetrics page, for `--server-metrics`.
    pub(super) metrics: Option<String>,
    /// The client protocol, for `--protocol`.
    #[serde(alias = "face")]
    pub(super) protocol: Option<String>,
    /// Further flags for the runs against this server; they go before the scenario's.
    #[serde(default)]
    pub(super) flags: Flags,
    /// Added to the environment of `command` and `setup`.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Program and arguments, run once before the first round.
    #[serde(default)]
    pub(super) setup: Vec<String>,
}

/// The values of the placeholders.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) port: u16,
    pub(super) dir: String,
    pub(super) tmp: String,
}

impl Places {
    /// Puts them in.
    pub(super) fn fill(&self, text: &str) -> String {
        let Self { port, dir, tmp } = self;
        text.replace("{port}", &port.to_string()).replace("{dir}", dir).replace("{tmp}", tmp)
    }
}

impl Plan {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`RunError::Usage`] with the line or the key that is wrong.
    pub(super) fn read(path: &Path) -> Result<Self, RunError> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| RunError::Usage(format!("failed to read {name}: {error}")))?;
        let plan = Self::parse(&text).map_err(|why| RunError::Usage(format!("{name}: {why}")))?;
        // A bare file name has an empty parent, which no program takes for a folder.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { dir: dir.display().to_string(), name, ..plan })
    }

    /// Reads and checks the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// Applies the flags of the command line.
    ///
    /// # Errors
    ///
    /// [`RunError::Usage`] when a name in `only` is not that of a server, or no round is left.
    pub(super) fn narrowed(mut self, rounds: Option<usize>, only: &[String]) -> Result<Self, RunError> {
        self.rounds = rounds.unwrap_or(self.rounds);
        if self.rounds == 0 {
            return Err(RunError::Usage("--rounds 0 compares nothing; choose at least 1".to_owned()));
        }
        let names: Vec<_> = self.server.iter().map(|server| server.name.as_str()).collect();
        if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
            let names = names.join(", ");
            return Err(RunError::Usage(format!("--only {unknown}: there is no such server, the file has {names}")));
        }
        self.server.retain(|server| only.is_empty() || only.contains(&server.name));
        Ok(self)
    }

    /// Returns whether `flags` of the servers give them different loads.
    pub(super) fn has_different_loads(&self) -> bool {
        let load = |server: &Server| {
            let mut flags: BTreeMap<String, &Value> = BTreeMap::new();
            for (key, value) in self.scenario.flags.iter().chain(&server.flags) {
                flags.insert(flags::name(key), value);
            }
            flags.retain(|name, _| LOAD_FLAGS.contains(&name.as_str()));
            flags.into_iter().map(|(name, value)| (name, value.clone())).collect::<BTreeMap<_, _>>()
        };
        self.server.windows(2).any(|pair| load(&pair[0]) != load(&pair[1]))
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.rounds == 0 {
            return Err(PlanError::NoRounds);
        }
        if self.server.is_empty() {
            return Err(PlanError::NoServers);
        }
        let keys = || OF_PHASE.iter().map(|figure| figure.key).chain(OF_RUN.iter().map(|figure| figure.key));
        if let Some(headline) = self.headline.as_ref().filter(|headline| !keys().any(|key| key == *headline)) {
            return Err(PlanError::UnknownHeadline(headline.clone()));
        }
        self.scenario.check().map_err(PlanError::Scenario)?;
        let mut names = BTreeSet::new();
        for server in &self.server {
            let name = &server.name;
            server.check().map_err(|error| PlanError::Server { name: name.clone(), error })?;
            if !names.insert(name) {
                return Err(PlanError::SameName(name.clone()));
            }
        }
        Ok(())
    }
}

impl ScenarioSpec {
    fn check(&self) -> Result<(), EntryError> {
        let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&self.name);
        Scenario::deserialize(name).map_err(EntryError::UnknownScenario)?;
        check_flags(&self.flags)
    }

    /// Returns the scenario and its flags as a command line, with the server's flags before the scenario's own.
    pub(super) fn arguments(&self, server: &Flags) -> Vec<String> {
        let mut flags = self.flags.clone();
        flags.extend(server.clone());
        let flags = flags.iter().flat_map(|(key, value)| flags::words(key, value).unwrap_or_default());
        std::iter::once(self.name.clone()).chain(flags).collect()
    }
}

impl Server {
    fn check(&self) -> Result<(), EntryError> {
        if self.name.trim().is_empty() {
            return Err(EntryError::NoName);
        }
        if self.command.is_empty() {
            return Err(EntryError::NoCommand);
        }
        let places = Places { port: 1, dir: String::new(), tmp: String::new() };
        let target = |key, url: &str| {
            let parsed = Target::parse(&places.fill(url));
            parsed.map(drop).map_err(|error| EntryError::Target { key, url: url.to_owned(), error })
        };
        target("url", &self.url)?;
        self.metrics.as_ref().map_or(Ok(()), |url| target("metrics", url))?;
        check_flags(&self.flags).map_err(|error| EntryError::Flags(Box::new(error)))
    }
}

fn check_flags(flags: &Flags) -> Result<(), EntryError> {
    for (name, value) in flags {
        if OWN_FLAGS.contains(&flags::name(name).as_str()) {
            return Err(EntryError::OwnFlag(name.clone()));
        }
        flags::words(name, value).ok_or_else(|| EntryError::NoValue(name.clone()))?;
    }
    Ok(())
}

const fn rounds() -> usize {
    ROUNDS
}

const fn start_timeout() -> Duration {
    START_TIMEOUT
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("\"{text}\": {error}, write it as in 15s or 500ms")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        rounds = 3
        generator = ["taskset", "-c", "1"]
        start_timeout = "500ms"
        [scenario]
        name = "saturate"
        clients = 1000
        rate = 0.5
        duration = "10s"
        assert = ["p99<20ms", "lost=0"]
        server-syscalls = true
        [[server]]
        name = "throng"
        command = ["throng", "--addr", "127.0.0.1:{port}"]
        url = "ws://127.0.0.1:{port}/ws"
        metrics = "http://127.0.0.1:{port}/metrics"
        [[server]]
        name = "other"
        command = ["{dir}/other"]
        url = "ws://127.0.0.1:{port}"
        protocol = "custom"
        flags = { clients = 10, hello = "-{channel}" }
        env = { GOMAXPROCS = "1" }
        setup = ["make"]
    "#;

    fn error(from: &str, to: &str) -> String {
        Plan::parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn file_becomes_command_lines() {
        let plan = Plan::parse(FILE).unwrap();
        assert_eq!((plan.rounds, plan.start_timeout), (3, Duration::from_millis(500)));
        let common = ["--assert=p99<20ms", "--assert=lost=0"];
        let throng = plan.scenario.arguments(&plan.server[0].flags);
        assert_eq!(throng[..4], ["saturate", common[0], common[1], "--clients=1000"]);
        assert_eq!(throng[4..], ["--duration=10s", "--rate=0.5", "--server-syscalls"]);
        let other = plan.scenario.arguments(&plan.server[1].flags);
        assert_eq!(other[3..6], ["--clients=10", "--duration=10s", "--hello=-{channel}"]);
    }

    /// Lists of earlier versions still work.
    #[test]
    fn protocol_has_its_former_key_too() {
        let plan = Plan::parse(&FILE.replace("protocol =", "face =")).unwrap();
        assert_eq!(plan.server[1].protocol.as_deref(), Some("custom"));
    }

    #[test]
    fn placeholders_are_filled_everywhere() {
        let places = Places { port: 8080, dir: "a/b".to_owned(), tmp: "/t".to_owned() };
        assert_eq!(places.fill("{dir}/x {port} {port} {tmp} {record}"), "a/b/x 8080 8080 /t {record}");
    }

    #[test]
    fn defaults_are_five_rounds_and_fifteen_seconds() {
        let text = FILE.replace("rounds = 3", "").replace("start_timeout = \"500ms\"", "");
        let plan = Plan::parse(&text).unwrap();
        assert_eq!((plan.rounds, plan.start_timeout), (ROUNDS, START_TIMEOUT));
    }

    /// A mistyped key must not lead to a comparison of something else.
    #[test]
    fn unknown_keys_are_named_with_their_line() {
        let text = error("rounds = 3", "runds = 3");
        assert!(text.contains("line 2") && text.contains("unknown field `runds`"), "{text}");
        let text = error("url =", "uri =");
        assert!(text.contains("unknown field `uri`"), "{text}");
    }

    #[test]
    fn impossible_values_are_named() {
        assert!(error("\"saturate\"", "\"saturation\"").contains("`name`: unknown variant `saturation`"));
        assert!(error("rounds = 3", "rounds = 0").contains("`rounds` is 0"));
        assert!(error("500ms", "soon").contains("write it as in 15s"));
        assert!(error("[\"make\"]", "\"make\"").contains("expected a sequence"));
        assert!(error("[\"{dir}/other\"]", "[]").contains("server `other`: `command` is empty"));
        assert!(error("\"other\"", "\"throng\"").contains("two servers have the name `throng`"));
        assert!(error("clients = 1000", "url = \"ws://127.0.0.1/\"").contains("[scenario]: `url` is set by"));
        assert!(
            error("clients = 10,", "clients = { a = 1 },").contains("`flags`: `clients` is not the value of a flag")
        );
        let text = error("ws://127.0.0.1:{port}\"", "ws://192.0.2.1:{port}\"");
        assert!(text.contains("server `other`: `url`") && text.contains("not on this machine"), "{text}");
    }

    #[test]
    fn command_line_narrows_the_plan() {
        let plan = Plan::parse(FILE).unwrap();
        let narrowed = plan.clone().narrowed(Some(9), &["other".to_owned()]).unwrap();
        assert_eq!((narrowed.rounds, narrowed.server.len(), narrowed.server[0].name.as_str()), (9, 1, "other"));
        assert_eq!(plan.clone().narrowed(None, &[]).unwrap().server.len(), 2);
        let text = plan.clone().narrowed(None, &["nobody".to_owned()]).unwrap_err().to_string();
        assert!(text.contains("nobody") && text.contains("throng, other"), "{text}");
        assert!(plan.narrowed(Some(0), &[]).is_err());
    }
}
