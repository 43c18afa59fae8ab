//! One run of a comparison: this program once more, as a user would type it, and the contents of its report.

use super::interrupt::Interrupt;
use super::plan::{Places, Plan, Server};
use super::process::Group;
use super::workspace::{last_words, log_to};
use crate::exit::{BROKEN, INTERRUPTED, INVALID, PASS, RunError, USAGE};
use crate::report::Report;
use crate::report::figures::{self, Value};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The outcome of one run.
#[derive(Clone, Debug)]
pub(super) struct RunOutcome {
    /// From 1.
    pub(super) round: usize,
    /// The first line of its report, or why there is none.
    pub(super) verdict: String,
    pub(super) exit_code: u8,
    /// Those that are valid for the server; empty if none are.
    pub(super) figures: Vec<Value>,
}

impl RunOutcome {
    /// Returns the outcome of a run without a report.
    pub(super) const fn failed(round: usize, verdict: String, exit_code: u8) -> Self {
        Self { round, verdict, exit_code, figures: Vec::new() }
    }

    pub(super) const fn is_pass(&self) -> bool {
        self.exit_code == PASS
    }

    /// Finds a figure.
    pub(super) fn figure(&self, key: &str) -> Option<Value> {
        self.figures.iter().find(|figure| figure.key == key).copied()
    }
}

/// One start of the generator.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) program: &'a Path,
    pub(super) plan: &'a Plan,
    pub(super) server: &'a Server,
    pub(super) places: &'a Places,
    /// The server's process.
    pub(super) pid: u32,
}

impl Call<'_> {
    /// Returns runs the scenario against the server.
    ///
    /// # Errors
    ///
    /// [`RunError::Usage`] when the generator refuses the flags of the list, [`RunError::Interrupted`] on Ctrl-C,
    /// [`RunError::Broken`] when it does not start.
    pub(super) fn run(&self, round: usize, interrupt: &Interrupt) -> Result<RunOutcome, RunError> {
        let folder = Path::new(&self.places.tmp);
        let (json, log) = (folder.join("report.json"), folder.join("generator.log"));
        let broken = |error: std::io::Error| RunError::Broken(format!("failed to start the generator: {error}"));
        let mut command = self.command();
        command.args(self.arguments(&json));
        log_to(&mut command, &log).map_err(broken)?;
        let mut group = Group::spawn(&mut command).map_err(broken)?;
        group.wait(interrupt)?;
        let status = group.end().map_err(broken)?;
        read(round, status, &json, &log)
    }

    fn command(&self) -> Command {
        let Some((first, others)) = self.plan.generator.split_first() else {
            return Command::new(self.program);
        };
        let mut command = Command::new(first);
        command.args(others).arg(self.program);
        command
    }

    fn arguments(&self, json: &Path) -> Vec<String> {
        let Self { plan, server, places, pid, .. } = self;
        let mut arguments = plan.scenario.arguments(&server.flags);
        arguments.push(format!("--url={}", server.url));
        arguments.extend(server.protocol.iter().map(|protocol| format!("--protocol={protocol}")));
        arguments.extend(server.metrics.iter().map(|url| format!("--server-metrics={url}")));
        arguments.push(format!("--server-pid={pid}"));
        arguments.push(format!("--json={}", json.display()));
        arguments.push("--quiet".to_owned());
        arguments.iter().map(|argument| places.fill(argument)).collect()
    }
}

fn read(round: usize, status: ExitStatus, json: &Path, log: &Path) -> Result<RunOutcome, RunError> {
    let words = || last_words(log).trim_start().to_owned();
    let Some(code) = status.code().and_then(|code| u8::try_from(code).ok()) else {
        return Ok(RunOutcome::failed(round, format!("the generator ended with {status}"), BROKEN));
    };
    if code == USAGE {
        return Err(RunError::Usage(format!(
            "the generator does not understand [scenario] or `flags`:\n    {}",
            words()
        )));
    }
    // A generator that was killed leaves the file empty.
    if !std::fs::metadata(json).is_ok_and(|file| file.len() > 0) {
        // One line, as all ends without a report are.
        let words = words();
        let last = words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        return Ok(RunOutcome::failed(round, last, if code == PASS { BROKEN } else { code }));
    }
    let report = match Report::read_json(json) {
        Ok(report) => report,
        Err(error) => return Ok(RunOutcome::failed(round, format!("{error:#}"), BROKEN)),
    };
    // The generator's limits, or half a run, are no figures of the server.
    let figures = if matches!(code, INVALID | INTERRUPTED) { Vec::new() } else { figures::all(&report.results) };
    Ok(RunOutcome { round, verdict: report.verdict.line, exit_code: code, figures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workspace::Workspace;

    const FILE: &str = r#"
        generator = ["sh", "-c", "PLACE"]
        [scenario]
        name = "idle"
        clients = 10
        [[server]]
        name = "x"
        command = ["x"]
        url = "ws://127.0.0.1:{port}/ws"
        metrics = "http://127.0.0.1:{port}/metrics"
        protocol = "custom"
        flags = { hello = "hi {channel}" }
    "#;

    /// Returns runs a shell script in the generator's place.
    fn run(script: &str) -> Result<RunOutcome, RunError> {
        let plan = Plan::parse(&FILE.replace("PLACE", script)).unwrap();
        let workspace = Workspace::new().unwrap();
        let places = Places { port: 8080, dir: ".".to_owned(), tmp: workspace.path().display().to_string() };
        let call =
            Call { program: Path::new("loadtest"), plan: &plan, server: &plan.server[0], places: &places, pid: 7 };
        call.run(1, &Interrupt::default())
    }

    #[test]
    fn command_line_is_what_a_user_would_type() {
        let run = run("echo $0 $* | sed 's/=[^ ]*json/=J/'; exit 3").unwrap();
        assert_eq!(
            run.verdict,
            "loadtest idle --clients=10 --hello=hi {channel} --url=ws://127.0.0.1:8080/ws --protocol=custom \
             --server-metrics=http://127.0.0.1:8080/metrics --server-pid=7 --json=J --quiet"
        );
        assert_eq!(run.exit_code, 3);
    }

    #[test]
    fn ends_without_a_report_are_failed_runs() {
        let run_of = |script| run(script).unwrap();
        let refused = run_of("echo 'error: the server refuses' >&2; exit 5");
        assert_eq!((refused.verdict.as_str(), refused.exit_code), ("the server refuses", 5));
        assert_eq!(run_of("exit 0").exit_code, BROKEN);
        assert!(run_of("kill -9 $$").verdict.contains("signal: 9"));
        let other = run_of("for word; do case $word in --json=*) echo '{}' >${word#--json=};; esac; done");
        assert!(other.verdict.contains("report format none") && other.exit_code == BROKEN, "{other:?}");
    }

    /// A mistyped flag is the file's fault, and five rounds of it would not help.
    #[test]
    fn bad_usage_ends_the_comparison() {
        let stop = run("echo 'unexpected argument --hello'; exit 2").unwrap_err();
        assert!(matches!(&stop, RunError::Usage(text) if text.contains("unexpected argument --hello")), "{stop:?}");
    }
}
