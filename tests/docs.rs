//! The documents as a test: what they say is there is there, and everyone can find it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]
#![expect(clippy::print_stderr, reason = "what was not checked is said")]

#[path = "common/docs/mod.rs"]
mod support_docs;

use std::collections::BTreeSet;
use std::process::Command;
use support_docs::{Document, documents, files, read, root};
use throng::config::{Config, doc};

/// Longest line of a document: what a terminal and a review tool show without wrapping.
const COLUMNS_MAX: usize = 120;

/// Longest document without a table of contents.
const LINES_WITHOUT_CONTENTS: usize = 100;

/// Documents that do not keep the rules on form yet. One that does has to leave this list.
const UNFORMED: [&str; 0] = [];

/// Folders and files at the root that a document may refer to.
const ROOTS: [&str; 10] =
    [".ci/", "benches/", "deploy/", "docs/", "flamegraphs/", "loadtest/", "src/", "static/", "tests/", "Cargo.toml"];

/// A reference that is copied by hand is wrong after the next change.
#[test]
fn configuration_reference_is_what_the_program_prints() {
    let is_same = read("CONFIGURATION.md") == doc::reference();
    assert!(is_same, "throng config-doc > CONFIGURATION.md makes it right");
}

#[test]
fn every_setting_has_its_variable() {
    for arg in Config::command().get_arguments().filter(|arg| arg.get_id() != "help" && arg.get_id() != "version") {
        let variable = format!("THRONG_{}", arg.get_long().unwrap().replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
    }
}

/// A newcomer follows the README and nothing else.
#[test]
fn readme_leads_to_every_document() {
    let readme = Document::parse("README.md", &read("README.md"));
    let linked: BTreeSet<_> = readme.links().into_iter().map(|(_, link)| readme.target(&link).0).collect();
    for document in documents() {
        let is_linked = linked.contains(document.name.as_ref() as &std::path::Path) || document.name == "README.md";
        // Reached from the page of its folder.
        let is_inner = ["CONTRIBUTING.md", "loadtest/examples/README.md"].contains(&&*document.name);
        assert!(is_linked || is_inner, "README.md does not lead to {}", document.name);
    }
}

/// A link that leads nowhere is worse than none: a reader relies on it.
#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    for document in &documents {
        for (line, link) in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = document.target(&link);
            assert!(root().join(&path).exists(), "{}:{line}: there is no {}", document.name, path.display());
            let Some(anchor) = anchor else { continue };
            let target = documents.iter().find(|one| path == std::path::Path::new(&one.name));
            let anchors = target.map(Document::anchors).unwrap_or_default();
            assert!(anchors.iter().any(|one| one == anchor), "{}:{line}: there is no heading {link}", document.name);
        }
    }
}

/// Files move; what a document says about them has to move with them.
#[test]
fn every_file_that_is_named_exists() {
    for document in documents() {
        for (line, code) in document.code() {
            let words: Vec<_> = code.split_whitespace().collect();
            for (index, word) in words.iter().enumerate() {
                let before = index.checked_sub(1).map(|before| words[before]);
                let Some(path) = named_file(before, word) else { continue };
                // The page of a folder may name what is in it.
                let (folder, _) = document.name.rsplit_once('/').unwrap_or_default();
                let is_there = exists(&path) || exists(&format!("{folder}/{path}"));
                assert!(is_there, "{}:{line}: there is no {path}", document.name);
            }
        }
    }
}

/// Returns the file of the repository that a word of code stands for, if it stands for one.
fn named_file(before: Option<&str>, word: &str) -> Option<String> {
    let word = word.trim_matches(|c: char| "'\"(),;:".contains(c)).trim_end_matches('.');
    // A name in capitals, or in braces, is to be replaced by the reader.
    let is_capital = |part: &str| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase());
    let is_placeholder = !word.ends_with(".md") && word.split(['/', '.']).any(is_capital);
    if is_placeholder || word.contains(['{', '<', '$', '=']) {
        return None;
    }
    match before {
        Some("--test") if exists(&format!("tests/{word}/main.rs")) => return Some(format!("tests/{word}/main.rs")),
        Some("--test") => return Some(format!("tests/{word}.rs")),
        Some("--bench") => return Some(format!("benches/{word}.rs")),
        _ => {}
    }
    let path = word.split("::").next().unwrap_or(word);
    let is_page = path.ends_with(".md") && !path.contains('/');
    (is_page || ROOTS.iter().any(|root| path.starts_with(root))).then(|| path.to_owned())
}

/// Returns whether there is such a file or folder; `*` in the last part stands for anything.
fn exists(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some((start, end)) = name.split_once('*') else { return root().join(path).exists() };
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(end))
    })
}

/// What keeps a page readable in a terminal, and a long one in anything.
#[test]
fn every_page_is_narrow_and_a_long_one_has_contents() {
    for document in documents() {
        let fault = formal_fault(&document);
        if UNFORMED.contains(&&*document.name) {
            assert!(fault.is_some(), "{} keeps the rules: take it off the list", document.name);
        } else {
            assert_eq!(fault, None, "{}", document.name);
        }
    }
}

fn formal_fault(document: &Document) -> Option<String> {
    if let Some(line) = document.lines.iter().find(|line| line.text.chars().count() > COLUMNS_MAX) {
        return Some(format!("line {} has {} columns", line.number, line.text.chars().count()));
    }
    let sections = document.prose().filter(|line| line.text.starts_with("## ")).count();
    let first = document.prose().find(|line| line.text.starts_with("## ")).map_or(0, |line| line.number);
    let listed = document.links().iter().filter(|(line, link)| *line < first && link.starts_with('#')).count();
    // Links to headings before the first of them: a table of contents.
    let is_listed = listed >= sections.min(5) && listed > 0;
    if document.lines.len() > LINES_WITHOUT_CONTENTS && !is_listed {
        return Some(format!("{} lines and no table of contents", document.lines.len()));
    }
    let spelt = document.prose().find(|line| is_misspelt(&line.text));
    spelt.map(|line| format!("line {} says \"can not\"", line.number))
}

/// The page and the files of operators are read like documents.
#[test]
fn pages_and_deployment_files_are_spelt_like_documents() {
    let folders = ["deploy/", "flamegraphs/", "static/", "docs/"];
    let kinds = ["awk", "cfg", "conf", "css", "html", "js", "mjs", "py", "service", "toml", "yaml", "yml"];
    let named = files(&kinds).into_iter().filter(|file| folders.iter().any(|folder| file.starts_with(folder)));
    let named: Vec<_> = named.collect();
    assert!(named.len() > 12, "only {named:?}: have the folders moved?");
    for file in named {
        let line = read(&file).lines().position(is_misspelt);
        assert_eq!(line.map(|index| index + 1), None, "{file} says \"can not\"");
    }
}

fn is_misspelt(text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphabetic())).collect();
    words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case("can") && pair[1] == "not")
}

/// Returns the numbers of rows that a text refers to as "threats.md, row 2" or "threats.md, rows 2 and 36".
fn rows(text: &str) -> Vec<u32> {
    // A reference may go on in the next line of a comment.
    let words = text.lines().map(|line| line.trim().trim_start_matches("//!").trim_start_matches("///"));
    let text = words.map(|line| line.trim_start_matches("//")).collect::<Vec<_>>().join(" ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let starts = text.split("threats.md, row").skip(1);
    let mut rows = Vec::new();
    for after in starts {
        for word in after.trim_start_matches('s').split_whitespace() {
            let number = word.trim_end_matches(|c: char| !c.is_ascii_digit());
            match number.parse() {
                Ok(row) => rows.push(row),
                Err(_) if word == "and" => continue,
                Err(_) => break,
            }
            if !word.ends_with(',') && number.len() < word.len() {
                break;
            }
        }
    }
    rows
}

/// "docs/threats.md, row 15" in a comment is worth nothing without the row.
#[test]
fn every_threat_that_is_named_has_a_row() {
    let text = "/// docs/threats.md, rows 10, 15, 16, 30. What 7 cost\n// (docs/threats.md,\n//! row 25.) and 3 more";
    assert_eq!(rows(text), [10, 15, 16, 30, 25]);
    assert_eq!(rows("/// docs/threats.md, rows 2 and 36: in 5 seconds. docs/threats.md, row 9 and 3"), [2, 36, 9, 3]);
    let page = Document::parse("docs/threats.md", &read("docs/threats.md"));
    let known: BTreeSet<u32> =
        page.prose().filter_map(|line| line.text.strip_prefix("## Row ")?.split(':').next()?.parse().ok()).collect();
    let mut named = BTreeSet::new();
    for file in files(&["rs", "sh", "mjs", "js"]).into_iter().filter(|file| file != "tests/docs.rs") {
        for row in rows(&read(&file)) {
            assert!(known.contains(&row), "{file}: docs/threats.md has no row {row}");
            named.insert(row);
        }
    }
    assert!(named.len() >= 15, "the sources name only the rows {named:?}: has the spelling changed?");
    assert!((1..=39).all(|row| known.contains(&row)), "rows keep their numbers: {known:?}");
}

/// A threat without its test is an opinion.
#[test]
fn every_test_that_the_threats_name_exists() {
    let page = Document::parse("docs/threats.md", &read("docs/threats.md"));
    let sources: Vec<_> = files(&["rs"]).iter().map(|file| read(file)).collect();
    let (mut checked, mut sections) = (0, 0);
    for line in page.prose() {
        sections += usize::from(line.text.starts_with("## Row "));
        let is_list = line.text.starts_with("- `") || line.text.starts_with("  `");
        let Some(name) = line.text.split('`').nth(1).filter(|_| is_list) else { continue };
        checked += 1;
        match name.split_once("::") {
            Some((file, test)) => {
                assert!(read(file).contains(&format!("fn {test}(")), "line {}: {file} has no {test}", line.number);
            }
            None if name.contains('/') => assert!(exists(name), "line {}: there is no {name}", line.number),
            None => {
                let is_there = sources.iter().any(|text| text.contains(&format!("fn {name}(")));
                assert!(is_there, "line {}: no source has {name}", line.number);
            }
        }
    }
    assert!(checked > 80 && sections == 46, "{checked} tests in {sections} rows: has the form of the page changed?");
}

/// An alert at night needs an entry that says what to do.
#[test]
fn every_alert_has_an_entry_in_the_runbook() {
    let alerts = read("deploy/prometheus/alerts.yml");
    let runbook = Document::parse("docs/operations.md", &read("docs/operations.md"));
    let anchors = runbook.anchors();
    let mut count = 0;
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        let anchor = name.to_lowercase();
        assert!(anchors.contains(&anchor), "docs/operations.md has no entry {name}");
        let link = format!("runbook: docs/operations.md#{anchor}\n");
        assert!(alert.contains(&link), "{name} does not link to its entry: {link}");
        count += 1;
    }
    assert!(count > 5, "deploy/prometheus/alerts.yml has only {count} alerts: has its form changed?");
    let entries = runbook.prose().filter(|line| line.text.starts_with("### Throng")).count();
    assert_eq!(entries, count, "the runbook has entries without an alert");
}

/// What a reader copies from the page of the SDKs is what the tests run.
#[test]
fn page_of_the_sdks_has_the_examples_as_they_are_run() {
    let page = read("docs/sdk.md");
    let folder = root().join("tests/sdk/examples");
    let names: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() > 3, "only {names:?}: has the folder moved?");
    for name in names {
        let example = std::fs::read_to_string(folder.join(&name)).unwrap();
        let is_there = page.split("```").any(|block| block.split_once('\n').is_some_and(|(_, text)| text == example));
        assert!(is_there, "docs/sdk.md does not have {} as it is", name.display());
    }
}

/// A figure that was typed is a figure that is wrong after the next measurement.
#[test]
fn figures_are_those_that_were_recorded() {
    let Ok(output) = Command::new("python3").arg("docs/figures/make").arg("check").current_dir(root()).output() else {
        eprintln!("not checked: there is no python3");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}docs/figures/make draw makes it right");
}
