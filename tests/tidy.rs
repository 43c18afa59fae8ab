//! The architecture as a test: layers, size and headers of files, and what may stand in one place only.
//!
//! `ARCHITECTURE.md` says why; when the architecture moves, this file moves with it.

#![expect(clippy::unwrap_used, reason = "a test that can not read the tree has failed")]

use std::fs;
use std::path::Path;

/// A layer may not mention the words on its right.
const LAYERS: [(&str, &[&str]); 17] = [
    (
        "src/protocol",
        &["tokio::", "hyper", "std::net", "crate::hub", "crate::session", "crate::transport", "Instant::now"],
    ),
    (
        "src/hub",
        &[
            "tokio::net",
            "tokio::io",
            "tokio::time",
            "std::net",
            "hyper",
            "fastwebsockets",
            "crate::session",
            "crate::transport",
            "Instant::now",
            "SystemTime",
            "async ",
            ".await;",
            ".await?",
            ".await.",
        ],
    ),
    ("src/session", &["tokio::net", "std::net", "hyper", "fastwebsockets", "crate::transport", "crate::cli"]),
    ("src/transport", &["crate::cli"]),
    ("src/top", &["crate::config", "crate::hub", "crate::session", "crate::transport", "crate::cli"]),
    ("src/config", &["crate::hub", "crate::session", "crate::transport", "crate::cli", "tokio"]),
    (
        "loadtest/src/measure",
        &[
            "mio::",
            "crate::wire",
            "crate::config",
            "crate::results",
            "crate::observe",
            "crate::audience",
            "crate::worker",
            "crate::coordinator",
            "crate::scenario",
            "crate::report",
            "crate::compare",
            "crate::cli",
        ],
    ),
    (
        "loadtest/src/wire",
        &[
            "mio::",
            "crate::config",
            "crate::results",
            "crate::observe",
            "crate::audience",
            "crate::worker",
            "crate::coordinator",
            "crate::scenario",
            "crate::report",
            "crate::compare",
            "crate::cli",
        ],
    ),
    (
        "loadtest/src/config",
        &[
            "mio::",
            "crate::results",
            "crate::observe",
            "crate::audience",
            "crate::worker",
            "crate::coordinator",
            "crate::scenario",
            "crate::report",
            "crate::compare",
            "crate::cli",
        ],
    ),
    (
        "loadtest/src/results",
        &[
            "mio::",
            "crate::observe",
            "crate::audience",
            "crate::worker",
            "crate::coordinator",
            "crate::scenario",
            "crate::report",
            "crate::compare",
            "crate::cli",
        ],
    ),
    (
        "loadtest/src/observe",
        &[
            "mio::",
            "crate::audience",
            "crate::worker",
            "crate::coordinator",
            "crate::scenario",
            "crate::report",
            "crate::compare",
            "crate::cli",
        ],
    ),
    (
        "loadtest/src/worker",
        &["crate::results", "crate::coordinator", "crate::scenario", "crate::report", "crate::compare", "crate::cli"],
    ),
    ("loadtest/src/coordinator", &["mio::", "crate::scenario", "crate::report", "crate::compare", "crate::cli"]),
    ("loadtest/src/scenario", &["mio::", "crate::report", "crate::compare", "crate::cli"]),
    (
        "loadtest/src/report",
        &["mio::", "crate::worker", "crate::coordinator", "crate::scenario", "crate::compare", "crate::cli"],
    ),
    ("loadtest/src/compare", &["mio::", "crate::worker", "crate::coordinator", "crate::scenario", "crate::cli"]),
    ("src/metrics.rs", &["crate::hub", "crate::session", "crate::transport", "tokio"]),
];

/// A word may stand in these files only.
const HOMES: [(&str, &[&str]); 6] = [
    ("dashmap", &["src/hub/directory.rs"]),
    ("std::env", &["src/main.rs"]),
    ("env::var", &["src/main.rs"]),
    ("process::exit", &["src/main.rs"]),
    ("global_allocator", &["src/main.rs"]),
    ("crossbeam_channel", &["src/hub/inbox.rs"]),
];

/// The one module that argues for what the next list forbids everywhere else.
const UNSAFE: (&str, &str) = ("src/transport/tcp_info.rs", "unsafe ");

/// What nobody writes here.
const NEVER: [&str; 5] = ["unsafe ", "mpsc::unbounded", "#[allow(", "thread::sleep", "todo!"];

/// A longer file holds more than one idea; the style guide aims at 200 lines.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, or the file itself, with its path from the root and its text.
fn sources(below: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(below)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((name(&path), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!found.is_empty(), "{below} has no Rust file: has it moved?");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// The part of a file that ships: what comes before its unit tests, without comments.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Arrows point down: a lower layer that knows an upper one can not be understood, or tested, without it.
#[test]
fn no_layer_mentions_what_is_above_it() {
    for (layer, words) in LAYERS {
        for (file, text) in sources(layer) {
            for (number, line) in shipped(&text) {
                let found = words.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{file}:{}: {layer} may not know {:?}: {line}", number + 1, found);
            }
        }
    }
}

#[test]
fn what_has_one_home_stands_nowhere_else() {
    for (word, homes) in HOMES {
        let files = sources("src").into_iter().filter(|(_, text)| shipped(text).any(|(_, line)| line.contains(word)));
        let files: Vec<_> = files.map(|(file, _)| file).collect();
        assert!(files.iter().all(|file| homes.contains(&file.as_str())), "{word} belongs in {homes:?}, not {files:?}");
    }
}

#[test]
fn nobody_writes_what_is_never_written() {
    for (file, text) in ["src", "loadtest/src", "benches"].into_iter().flat_map(sources) {
        for (number, line) in shipped(&text) {
            let found = NEVER.iter().find(|word| line.contains(**word) && (file.as_str(), **word) != UNSAFE);
            assert!(found.is_none(), "{file}:{}: {line}", number + 1);
        }
    }
}

/// A reader opens a file with 30 seconds to spend: the first line says what it holds.
#[test]
fn every_file_has_a_header_and_one_idea() {
    for (file, text) in ["src", "loadtest", "benches", "tests"].into_iter().flat_map(sources) {
        if file.contains("/target/") {
            continue;
        }
        assert!(text.starts_with("//! "), "{file} does not begin with a //! header");
        assert!(text.lines().count() <= LINES_MAX, "{file} has more than {LINES_MAX} lines");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{file} has a line of more than 120 characters");
    }
}

#[test]
fn every_bench_is_registered_and_explained() {
    let explained = fs::read_to_string(root().join("benches/README.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (file, _) in sources("benches") {
        let name = file.trim_start_matches("benches/").trim_end_matches(".rs");
        assert!(explained.contains(&format!("`{name}`")), "benches/README.md does not name {name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "Cargo.toml does not name {name}");
    }
}

/// Every layer and every folder of the tree is on the map.
#[test]
fn architecture_names_every_module() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (file, _) in sources("src") {
        let module = file.trim_start_matches("src/").trim_end_matches("/mod.rs");
        let is_inner = module == "lib.rs" || module.matches('/').count() > 1;
        assert!(is_inner || map.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}`");
    }
}
