//! `throng cluster`: makes the streams of a cluster, and says whether NATS is what the configuration says.

use super::exit::{EXIT_FAILURE, EXIT_USAGE, fail_with, fail_with_lines, fail_with_load_error, print_text};
use super::sources;
use crate::config::{ClusterConfig, Config, EngineKind};
use crate::engine::nats::check::{Examination, ExamineError, examine};
use crate::engine::nats::init::init;
use crate::engine::nats::link::{Link, LinkError};
use crate::net::runtime;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const HELP: &str = "\
Makes the streams of a cluster in NATS JetStream, or says whether they are what the configuration says.

Usage: throng cluster init [OPTIONS OF throng]
       throng cluster check [OPTIONS OF throng]

init makes the streams that are missing, all or none, and changes none that is there. check changes nothing.

Exit code 0 if hubs can use the streams, 1 if NATS cannot be reached or does not make one, 2 if settings cannot be used
or something differs: each difference is one line, with what to do.
";

/// For how long init tries again what may succeed later: servers that have just started elect a leader first.
const INIT_TIME: Duration = Duration::from_secs(20);

/// Pause before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

const USAGE: &str = "throng cluster init [OPTIONS OF throng]\n       throng cluster check [OPTIONS OF throng]";

/// Makes or checks streams, as the arguments say.
pub(super) fn cluster(mut arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>) -> ExitCode {
    let verb = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let run: fn(&Config) -> ExitCode = match verb.as_str() {
        "--help" | "-h" => return print_text(HELP),
        "init" => |config| within_runtime(config, Action::Init),
        "check" => |config| within_runtime(config, Action::Check),
        word => {
            let instead = if word.is_empty() { String::new() } else { format!(", not {word:?}") };
            let text = format!("throng cluster needs init or check{instead}\n\nUsage: {USAGE}");
            return fail_with(EXIT_USAGE, &text);
        }
    };
    arguments.remove(1);
    match sources::of_process(arguments, variables).with_usage(USAGE).load() {
        Ok(loaded) => run(&loaded.config),
        Err(error) => fail_with_load_error(&error),
    }
}

#[derive(Clone, Copy)]
enum Action {
    Init,
    Check,
}

fn within_runtime(config: &Config, action: Action) -> ExitCode {
    if config.cluster.engine == EngineKind::Memory {
        let text = "there is no cluster: --engine is memory; set engine = \"nats\" in [cluster]";
        return fail_with(EXIT_USAGE, &text);
    }
    match runtime::build(&config.tuning) {
        Ok(runtime) => runtime.block_on(act(config, action)),
        Err(error) => fail_with(EXIT_FAILURE, &format_args!("failed to start the runtime: {error}")),
    }
}

async fn act(config: &Config, action: Action) -> ExitCode {
    let link = match Link::once(&config.cluster, "cluster").await {
        Ok(link) => link,
        Err(error @ LinkError::Unreachable(_)) => return fail_with(EXIT_FAILURE, &unreachable(config, &error)),
        Err(error @ LinkError::Refused(_)) => return fail_with(EXIT_FAILURE, &error),
        Err(error) => return fail_with(EXIT_USAGE, &error),
    };
    match action {
        Action::Check => match examine(&link, &config.cluster, config.sockets.message_bytes_max).await {
            Ok(found) => report(&config.cluster, &found, ""),
            Err(error) => fail_with_examine_error(error),
        },
        Action::Init => make_patiently(&link, config).await,
    }
}

/// Names the servers that were tried: an error of the network does not.
fn unreachable(config: &Config, error: &LinkError) -> String {
    let servers: Vec<_> = config.cluster.nats_servers.iter().map(ToString::to_string).collect();
    format!("{error}; --nats-servers is {}: start one of them, or name others", servers.join(","))
}

async fn make_patiently(link: &Link, config: &Config) -> ExitCode {
    let deadline = Instant::now() + INIT_TIME;
    loop {
        let is_last = Instant::now() + RETRY >= deadline;
        match examine(link, &config.cluster, config.sockets.message_bytes_max).await {
            Ok(found) if !found.findings.is_empty() => return fail_with_lines(&found.findings),
            Ok(mut found) => match init(link, &config.cluster, &found).await {
                Ok(made) => {
                    found.missing.clear();
                    let lines: String = made.iter().map(|name| format!("{name}: made\n")).collect();
                    return report(&config.cluster, &found, &lines);
                }
                Err(error) if error.may_pass() && !is_last => {}
                Err(error) => return fail_with(EXIT_FAILURE, &error),
            },
            Err(ExamineError::NoAnswer(_)) if !is_last => {}
            Err(error) => return fail_with_examine_error(error),
        }
        sleep(RETRY).await;
    }
}

fn fail_with_examine_error(error: ExamineError) -> ExitCode {
    match error {
        ExamineError::NoAnswer(_) => fail_with(EXIT_FAILURE, &error),
        ExamineError::Unusable(text) => fail_with_lines(&[text]),
    }
}

/// Prints what is wrong, or that nothing is.
fn report(config: &ClusterConfig, found: &Examination, before: &str) -> ExitCode {
    let complaints = found.complaints();
    if !complaints.is_empty() {
        return fail_with_lines(&complaints);
    }
    let ClusterConfig { prefix, partitions, replicas, storage, .. } = config;
    let (streams, copies) = (plural(*partitions, "stream"), if *replicas == 1 { "copy" } else { "copies" });
    print_text(&format!(
        "{before}cluster {prefix}: hubs can use it; {streams} in {}, {replicas} {copies} each\n",
        storage.word()
    ))
}

fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
