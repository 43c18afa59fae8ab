//! The environment variables: those that are settings, and those that only look like it.

use super::file::Problem;
use super::root::Config;
use super::section::{Occurs, Section, single_settings};
use super::setting::Setting;
use super::suggestion::nearest;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Prefix of all our variables.
const PREFIX: &str = "THRONG_";

/// Name of the variable that names the file.
pub(super) const CONFIG: &str = "THRONG_CONFIG";

/// Variables that are not settings of the hub: its file, and the key of `throng top`.
const OTHERS: [&str; 2] = [CONFIG, "THRONG_TOP_KEY"];

/// Names that image builds and compose files give to what they run, after the prefix.
const LABELS: [&str; 4] = ["VERSION", "IMAGE", "TAG", "REVISION"];

/// The variables of a process that have our prefix. An empty one counts as not set: that is what compose files make of
/// a variable that is not set.
#[derive(Clone, Default)]
pub(super) struct Variables(BTreeMap<String, OsString>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Variables {
    pub(super) fn new(all: Vec<(OsString, OsString)>) -> Self {
        let named = all.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let is_given = |value: &OsString| !value.to_string_lossy().trim().is_empty();
        Self(named.filter(|(name, value)| name.starts_with(PREFIX) && is_given(value)).collect())
    }

    /// Returns the text of a variable.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.to_string_lossy().trim().to_owned())
    }

    /// Returns the items of a setting, if it has any.
    pub(super) fn items(&self, setting: &Setting) -> Option<Vec<String>> {
        self.text(&setting.variable()).map(|text| setting.items(&text)).filter(|items| !items.is_empty())
    }

    /// Returns what is wrong with the values of settings.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let settings = single_settings(Config::SCHEMA).map(|(_, setting)| setting);
        let problem = |setting: &Setting| {
            let name = setting.variable();
            let value = self.0.get(&name)?;
            let checked = match value.to_str() {
                Some(_) => self.items(setting)?.iter().try_for_each(|item| setting.check(item)),
                None => {
                    return Some(Problem { origin: name, position: None, text: "the value is not UTF-8".to_owned() });
                }
            };
            checked.err().map(|error| Problem { origin: name, position: None, text: error.to_string() })
        };
        settings.filter_map(problem).collect()
    }

    /// Returns a complaint about each variable that has our prefix and is not a setting: a misspelt one would be
    /// ignored.
    pub(super) fn complaints(&self) -> Vec<String> {
        let known: Vec<_> = single_settings(Config::SCHEMA).map(|(_, setting)| setting.variable()).collect();
        let is_known = |name: &str| known.iter().any(|known| known == name) || OTHERS.contains(&name);
        let unknown = self.0.iter().filter(|(name, value)| {
            let rest = name.strip_prefix(PREFIX).unwrap_or_default();
            !is_known(name) && !is_injected(rest, &value.to_string_lossy())
        });
        unknown.map(|(name, _)| complaint(name, &known)).collect()
    }
}

fn complaint(name: &str, known: &[String]) -> String {
    if name == "THRONG_PORT" {
        return "the variable THRONG_PORT is not a setting; write THRONG_ADDR=:PORT".to_owned();
    }
    let rest = name.trim_start_matches(PREFIX).to_lowercase();
    let is_list = |section: &&Section| section.occurs == Occurs::Repeated && rest.starts_with(section.name);
    if let Some(list) = Config::SCHEMA.iter().find(is_list) {
        return format!("the variable {name} is not a setting; {} stands in a file only", list.heading());
    }
    // Compared without what all names have in common, which would make any two similar.
    let rest = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let near = nearest(&rest(name), known.iter().map(|name| rest(name)));
    let suggestion = near.map_or_else(String::new, |near| format!("; did you mean {PREFIX}{near}?"));
    format!("the variable {name} is not a setting{suggestion}")
}

/// Returns whether a variable is one that the surroundings set and not a person: Kubernetes does it for each Service of
/// a namespace, Docker for a link, and images for their version. `name` is without our prefix.
fn is_injected(name: &str, value: &str) -> bool {
    // `THRONG_SERVICE_HOST`, and `THRONG_METRICS_SERVICE_HOST` of a Service `throng-metrics`.
    let ends_with = |end: &str| name == end || name.ends_with(&format!("_{end}"));
    let contains = |part: &str| name.starts_with(part) || name.contains(&format!("_{part}"));
    // `THRONG_PORT=tcp://10.0.0.1:80`, but not `THRONG_PORT=8080`, which a person means.
    let is_port = ends_with("PORT") && value.contains("://");
    let is_service = ends_with("SERVICE_HOST") || ends_with("SERVICE_PORT") || contains("SERVICE_PORT_");
    // `THRONG_ENV_PATH` and `THRONG_NAME=/web/throng`.
    let is_link = contains("ENV_") || (ends_with("NAME") && value.starts_with('/'));
    is_service || is_port || is_port_of_protocol(name) || is_link || LABELS.contains(&name)
}

/// Returns whether a name ends like `PORT_80_TCP`, `PORT_80_TCP_ADDR`, `PORT_80_TCP_PORT` or `PORT_80_TCP_PROTO`.
fn is_port_of_protocol(name: &str) -> bool {
    let words: Vec<_> = name.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|digit| digit.is_ascii_digit());
    let is_begin = |words: &[&str]| matches!(words, ["PORT", number, "TCP" | "UDP" | "SCTP", ..] if is_number(number));
    let is_end = |rest: &[&str]| matches!(rest, [] | ["ADDR" | "PORT" | "PROTO"] | ["PORT", "START" | "END"]);
    (0..words.len()).any(|start| is_begin(&words[start..]) && is_end(words.get(start + 3..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(variables: &[(&str, &str)]) -> Vec<String> {
        Variables::new(variables.iter().map(|(name, value)| (name.into(), value.into())).collect()).complaints()
    }

    #[test]
    fn misspelt_variable_is_reported_with_a_suggestion_if_one_is_near() {
        let said = complaints(&[("THRONG_SHARD", "2"), ("THRONG_ADDR", ":0"), ("THRONG_TOP_KEY", "x"), ("PATH", "x")]);
        assert_eq!(said, ["the variable THRONG_SHARD is not a setting; did you mean THRONG_SHARDS?"]);
        assert_eq!(complaints(&[("THRONG_XYZ", "1")]), ["the variable THRONG_XYZ is not a setting"]);
        assert_eq!(complaints(&[("THRONG_PORT", "8080")])[0].split("; ").nth(1), Some("write THRONG_ADDR=:PORT"));
        assert_eq!(complaints(&[("THRONG_PING_INTERVALS", "")]), [""; 0], "empty is as good as not set");
    }

    /// A Service with the name of the hub gives each pod of its namespace these variables.
    #[test]
    fn variables_of_the_surroundings_are_no_complaints() {
        for (name, value) in [
            ("THRONG_SERVICE_HOST", "10.0.0.1"),
            ("THRONG_SERVICE_PORT", "80"),
            ("THRONG_SERVICE_PORT_HTTP", "80"),
            ("THRONG_SERVICE_PORT_HTTP_METRICS", "80"),
            ("THRONG_PORT", "tcp://10.0.0.1:80"),
            ("THRONG_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("THRONG_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("THRONG_PORT_80_TCP_PORT", "80"),
            ("THRONG_PORT_80_TCP_PROTO", "tcp"),
            ("THRONG_PORT_53_UDP_ADDR", "10.0.0.1"),
            ("THRONG_METRICS_SERVICE_HOST", "10.0.0.1"),
            ("THRONG_METRICS_SERVICE_PORT_WEB", "1"),
            ("THRONG_METRICS_PORT", "udp://10.0.0.1:80"),
            ("THRONG_METRICS_PORT_9090_SCTP_PROTO", "sctp"),
            ("THRONG_1_PORT_80_TCP_PORT_START", "80"),
            ("THRONG_NAME", "/web/throng"),
            ("THRONG_ENV_RUST_VERSION", "1.89"),
            ("THRONG_VERSION", "1.2.3"),
            ("THRONG_IMAGE", "registry/throng:1"),
        ] {
            assert_eq!(complaints(&[(name, value)]), [""; 0], "{name}");
        }
        for name in
            ["THRONG_PORT_EIGHTY_TCP", "THRONG_PORT_80", "THRONG_SERVICE", "THRONG_HOST", "THRONG_PORT_80_TCP_X"]
        {
            assert_eq!(complaints(&[(name, "1")]).len(), 1, "{name}");
        }
    }
}
