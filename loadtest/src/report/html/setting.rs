//! Where and how a run was made: the machine, its settings, the command, the configuration.

use super::headline::time;
use super::named_report::NamedReport;
use super::tables::{Table, cell, section};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names and values of one run, by name.
type Settings = BTreeMap<String, String>;

/// Returns the machine, the command, the settings that shape a result.
pub(super) fn environment(runs: &[NamedReport<'_>]) -> String {
    let facts = ["time", "command", "commit", "CPU", "cores", "kernel"];
    let of_run = |run: &NamedReport<'_>| {
        let environment = &run.report.environment;
        let cores = format!("{}, of which {} may be used", environment.cores, environment.cores_allowed);
        let commit = environment.commit.clone().unwrap_or_default();
        let values = [
            time(environment.unix_time_s),
            environment.command.clone(),
            commit,
            environment.cpu.clone(),
            cores,
            environment.kernel.clone(),
        ];
        let facts = facts.iter().map(|fact| (*fact).to_owned()).zip(values);
        facts.chain(environment.settings.clone()).filter(|(_, value)| !value.is_empty()).collect()
    };
    let settings: Vec<Settings> = runs.iter().map(of_run).collect();
    let others = settings.iter().flat_map(BTreeMap::keys).filter(|name| !facts.contains(&name.as_str()));
    let mut names: Vec<_> = others.cloned().collect();
    names.sort_unstable();
    names.dedup();
    names.splice(0..0, facts.map(str::to_owned));
    section("Environment", &table(runs, &names, &settings))
}

/// Returns the configuration. Values that a scenario does not use are 0 and omitted.
pub(super) fn configuration(runs: &[NamedReport<'_>]) -> String {
    let of_run = |run: &NamedReport<'_>| {
        let mut settings = Settings::new();
        flatten(&mut settings, "", &serde_json::to_value(&run.report.config).unwrap_or_default());
        settings
    };
    let settings: Vec<Settings> = runs.iter().map(of_run).collect();
    let mut names: Vec<_> = settings.iter().flat_map(BTreeMap::keys).cloned().collect();
    names.sort_unstable();
    names.dedup();
    section("Configuration", &table(runs, &names, &settings))
}

/// Turns JSON into names and values: `face.kind` is `plain`.
fn flatten(settings: &mut Settings, name: &str, value: &Value) {
    let text = match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(settings, &name, value);
            }
            return;
        }
        Value::Array(values) if values.is_empty() => return,
        Value::Array(values) => {
            let texts: Vec<_> =
                values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
            texts.join(", ")
        }
        Value::Null | Value::Bool(false) => return,
        Value::Bool(true) => "yes".to_owned(),
        Value::Number(number) if number.as_f64() == Some(0.0) => return,
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::String(text) if text.is_empty() => return,
        Value::String(text) => text.clone(),
    };
    settings.insert(name.to_owned(), text);
}

/// Returns a row per name, marked where runs differ.
fn table(runs: &[NamedReport<'_>], names: &[String], settings: &[Settings]) -> String {
    let head = if runs.len() > 1 { runs.iter().map(NamedReport::label).collect() } else { vec![String::new()] };
    let mut table = Table::new(head);
    for name in names {
        let values: Vec<_> = settings.iter().map(|settings| settings.get(name)).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let is_different = values.iter().any(|value| *value != values[0]);
        let label = if is_different { format!("{name} \u{2260}") } else { name.clone() };
        let cells = values.into_iter().map(|value| cell(value.map_or("\u{2013}", String::as_str)));
        table.row(&label, cells.collect());
    }
    let html = table.html();
    // These cells hold prose, which may wrap, not numbers.
    html.replacen("<table>", "<table class=\"prose\">", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_flat_and_without_what_is_not_used() {
        let mut settings = Settings::new();
        let value = serde_json::json!({"face": {"kind": "plain"}, "rate": 10.0, "burst": 0, "asserts": ["a<1", "b"]});
        flatten(&mut settings, "", &value);
        let pairs: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["asserts=a<1, b", "face.kind=plain", "rate=10"]);
    }
}
