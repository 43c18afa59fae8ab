//! The page: the table of keys in Markdown, as docs/from-centrifugo.md has it.

use super::key::{Fate, Key};
use super::keys::{KEYS, OPTIONS};
use super::proxy_keys::PROXY;
use super::reasons::{ALL, Reason};
use std::fmt::Write;

/// Columns of a line of text.
const WIDTH: usize = 118;

/// What is in no table of its own.
const OTHERS: &str = "*";

/// Headings of the tables, each with the first part of the paths in v6.
const HEADINGS: [(&str, &str); 5] = [
    ("`http_server`", "http_server"),
    ("`client`", "client"),
    ("`channel`", "channel"),
    ("Other sections", OTHERS),
    ("Only in v5", ""),
];

/// Heading of the table of proxies.
const PROXY_HEADING: &str = "Each proxy";

/// Where its keys are.
const PROXY_TEXT: &str = "
In v6 a proxy is a table: `client.proxy.connect`, `client.proxy.refresh`, `channel.proxy.subscribe`,
`channel.proxy.publish`, `channel.proxy.sub_refresh`, `rpc.proxy`, and each of `proxies`. In v5 it is one of `proxies`
with `granular_proxy_mode`; otherwise endpoint and timeout are keys such as `proxy_connect_endpoint` and
`proxy_sub_refresh_timeout`, and the others begin with `proxy_` and hold for all.
";

/// Returns the table, section by section, and the reasons that it refers to.
pub(super) fn page() -> String {
    let mut page = String::new();
    for (heading, name) in HEADINGS {
        write_table(&mut page, heading, KEYS.iter().filter(|key| section(key) == name));
        if name == "channel" {
            write_table(&mut page, "`channel.without_namespace` and each of `channel.namespaces`", OPTIONS.iter());
            write_table(&mut page, PROXY_HEADING, PROXY.iter());
            page.push_str(PROXY_TEXT);
        }
    }
    page.push_str("\n### Reasons\n\n");
    for reason in ALL {
        let mut line = format!("- **{}**", reason.name);
        line.push(':');
        for word in reason.text.split_whitespace() {
            let last = line.rsplit('\n').next().unwrap_or_default();
            line.push_str(if last.chars().count() + 1 + word.chars().count() > WIDTH { "\n  " } else { " " });
            line.push_str(word);
        }
        // Writing to a string does not fail, here and below.
        let _ = writeln!(page, "{line}");
    }
    page
}

/// Returns the part of a path in v6 that a table of the page is about.
fn section(key: &Key) -> &'static str {
    let first = key.v6.split('.').next().unwrap_or_default();
    if HEADINGS.iter().any(|(_, name)| *name == first) { first } else { OTHERS }
}

fn write_table<'a>(page: &mut String, heading: &str, keys: impl Iterator<Item = &'a Key>) {
    let _ = writeln!(page, "\n### {heading}\n\n| v6 | v5 | throng |\n|---|---|---|");
    for key in keys {
        let v5 = key.v5.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        let v6 = if key.v6.is_empty() { String::new() } else { format!("`{}`", short(key)) };
        let _ = writeln!(page, "| {v6} | {v5} | {} |", fate(&key.fate));
    }
}

/// Returns a path without the name of its table, where that is the heading.
fn short(key: &Key) -> &'static str {
    match section(key) {
        "" | OTHERS => key.v6,
        section => key.v6.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key.v6),
    }
}

fn fate(fate: &Fate) -> String {
    let named = |reason: &Reason| reason.name;
    match fate {
        Fate::Setting(one) => match one.default {
            Some("0") => format!("`{}`, 0: the largest", one.setting),
            Some(default) => format!("`{}`, else `{default}`", one.setting),
            None => format!("`{}`", one.setting),
        },
        Fate::Part(what) => (*what).to_owned(),
        Fate::Fixed(value, reason) => format!("always `{value}`: {}", named(reason)),
        Fate::Unneeded(reason) => format!("nothing to do: {}", named(reason)),
        Fate::Missing(reason) => format!("no: {}", named(reason)),
    }
}
