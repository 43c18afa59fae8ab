//! The architecture as a test: layers, size and headers of files, and what may stand in one place only.
//!
//! `ARCHITECTURE.md` says why; when the architecture moves, this file moves with it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

#[path = "common/imports.rs"]
mod imports;

use imports::Imports;
use std::fs;
use std::path::Path;

/// What no file of `hub` may do: I/O, asking the clock, waiting.
const IO: [&str; 10] = [
    "tokio::net",
    "tokio::io",
    "tokio::time",
    "std::net",
    "Instant::now",
    "SystemTime",
    "async ",
    ".await;",
    ".await?",
    ".await.",
];

/// The one file of `hub` that waits, for callers above it.
const WAITS: &str = "src/hub/inbox/credit.rs";

/// The layers of a crate, from the top to the bottom. One may use those below it and none above it.
const LAYERS: [(&str, &[&str]); 2] = [
    ("src", &["cli", "server", "http", "operation", "net", "session", "engine", "hub", "protocol"]),
    (
        "loadtest/src",
        &[
            "cli",
            "compare",
            "report",
            "scenario",
            "coordinator",
            "worker",
            "audience",
            "observe",
            "results",
            "config",
            "wire",
            "measure",
        ],
    ),
];

/// Modules that any layer may use, and that use no layer but `protocol`.
const LEAVES: [&str; 4] = ["auth", "config", "metrics", "rate"];

/// What else a folder or file may not mention.
const FORBIDDEN: [(&str, &[&str]); 23] = [
    (
        "src/protocol",
        &["tokio::", "hyper", "std::net", "Instant::now", "crate::config", "crate::metrics", "crate::rate"],
    ),
    ("src/hub", &IO),
    ("src/hub", &["hyper", "fastwebsockets", "crate::rate"]),
    ("src/engine", &["tokio::net", "std::net", "hyper", "fastwebsockets", "crate::rate"]),
    ("src/session", &["tokio::net", "std::net", "hyper", "fastwebsockets"]),
    ("src/net", &["hyper", "crate::hub::shard"]),
    ("src/operation", &["hyper", "crate::hub::shard"]),
    ("src/http", &["crate::hub::shard"]),
    ("src/server", &["crate::hub::shard"]),
    ("src/auth", &["tokio", "hyper", "std::net", "SystemTime", "Instant::now", "tracing::"]),
    ("src/config", &["tokio", "crate::auth"]),
    ("src/metrics", &["tokio"]),
    ("src/top", &["crate::"]),
    ("loadtest/src/compare", &["mio::", "crate::scenario", "crate::coordinator", "crate::worker"]),
    ("loadtest/src/report", &["mio::", "crate::scenario", "crate::coordinator", "crate::worker"]),
    ("loadtest/src/scenario", &["mio::"]),
    ("loadtest/src/coordinator", &["mio::"]),
    ("loadtest/src/worker", &["crate::results"]),
    ("loadtest/src/observe", &["mio::"]),
    ("loadtest/src/results", &["mio::"]),
    ("loadtest/src/config", &["mio::"]),
    ("loadtest/src/wire", &["mio::"]),
    ("loadtest/src/measure", &["mio::"]),
];

/// A word may stand in these files only.
const HOMES: [(&str, &[&str]); 7] = [
    ("async_nats::", &["src/engine/nats/link.rs"]),
    ("dashmap", &["src/hub/directory.rs", "src/session/users.rs"]),
    // ... and where a seed is named for a test.
    ("std::env", &["src/main.rs", "src/engine/nats/sequence/tests.rs"]),
    ("env::var", &["src/main.rs", "src/engine/nats/sequence/tests.rs"]),
    ("process::exit", &["src/main.rs"]),
    ("global_allocator", &["src/main.rs"]),
    ("crossbeam_channel", &["src/hub/inbox/queue.rs"]),
];

/// The one module that argues for what the next list forbids everywhere else.
const UNSAFE: (&str, &str) = ("src/net/tcp_info.rs", "unsafe ");

/// Code that must not be written.
const NEVER: [&str; 5] = ["unsafe ", "mpsc::unbounded", "#[allow(", "thread::sleep", "todo!"];

/// Words of earlier versions, for which the glossary of `ARCHITECTURE.md`, or the field, has another one.
const OLD_WORDS: [&str; 38] = [
    "Agreed",
    "Answering",
    "Aside",
    "Audiences",
    "Bell",
    "Blocked",
    "Census",
    "Desk",
    "Door",
    "Face",
    "Fed",
    "Flushed",
    "Gate",
    "GateLimits",
    "Gathering",
    "Held",
    "Joining",
    "Lane",
    "Pulse",
    "Seat",
    "Steering",
    "Surroundings",
    "Talk",
    "TalkLimits",
    "agreed",
    "bell",
    "census",
    "dirty",
    "get_up",
    "give_up",
    "greet",
    "knock",
    "leaving",
    "lie_down",
    "pulse",
    "shake_hands",
    "steering",
    "take_aside",
];

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

/// Returns the rules of each folder: the layers above it, and what else it may not mention.
fn rules() -> Vec<(String, Vec<String>)> {
    let above = |layers: &[&str]| layers.iter().map(|layer| format!("crate::{layer}")).collect::<Vec<_>>();
    let layers = LAYERS.iter().flat_map(|(root, layers)| {
        layers.iter().enumerate().map(move |(depth, layer)| (format!("{root}/{layer}"), above(&layers[..depth])))
    });
    let (_, upper) = LAYERS[0];
    let leaves = LEAVES.iter().map(|leaf| (format!("src/{leaf}"), above(&upper[..upper.len() - 1])));
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let forbidden = FORBIDDEN.iter().map(|(folder, words)| ((*folder).to_owned(), owned(words)));
    layers.chain(leaves).chain(forbidden).collect()
}

/// Arrows point down: a lower layer that knows an upper one cannot be understood, or tested, without it.
#[test]
fn no_layer_mentions_what_is_above_it() {
    for (folder, words) in rules() {
        let path = if root().join(&folder).exists() { folder.clone() } else { format!("{folder}.rs") };
        for (file, text) in sources(&path) {
            let may_wait = |word: &str| file == WAITS && ["async ", ".await;", ".await."].contains(&word);
            for (number, line) in shipped(&text) {
                let found = words.iter().find(|word| line.contains(word.as_str()) && !may_wait(word));
                assert!(found.is_none(), "{file}:{}: {folder} may not mention {:?}: {line}", number + 1, found);
            }
        }
    }
}

/// Files that import each other can only be understood together: they are one file in two pieces.
#[test]
fn no_files_import_each_other_in_a_circle() {
    for (folder, root_file) in [("src", "lib"), ("loadtest/src", "main"), ("loadtest/examples/floor", "main")] {
        let circles = Imports::read(&root().join(folder), root_file).circles();
        assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
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

/// One thing has one word, and a reader finds it by the word that the field uses.
#[test]
fn old_words_do_not_come_back() {
    for (file, text) in sources("src") {
        for (number, line) in shipped(&text) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let found = words.find(|word| OLD_WORDS.contains(word));
            assert!(found.is_none(), "{file}:{}: an old word, {found:?}: {line}", number + 1);
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

/// A function that was renamed would lose its frame in the flame graphs, and nothing would say so.
#[test]
fn every_function_of_the_flame_graphs_exists() {
    let script = fs::read_to_string(root().join("flamegraphs/record")).unwrap();
    let lists = script.lines().filter_map(|line| line.strip_prefix("path=").or_else(|| line.strip_prefix("path+=")));
    let names = lists.flat_map(|list| list.trim_matches('\'').split('|')).filter(|name| !name.is_empty());
    let (names, sources) = (names.collect::<Vec<_>>(), sources("src"));
    assert!(names.len() > 15, "only {names:?}");
    for name in names {
        let is_begun =
            |(_, text): &(String, String)| ["(", "<"].iter().any(|end| text.contains(&format!("fn {name}{end}")));
        assert!(sources.iter().any(is_begun), "flamegraphs/record names {name}, which no source has");
    }
}

/// Every folder, and every file at the root, has a line in the code map.
#[test]
fn architecture_names_every_module() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (file, _) in sources("src") {
        let module = file.trim_start_matches("src/").trim_end_matches("/mod.rs");
        let folder = module.rsplit_once('/').map_or(module, |(folder, _)| folder);
        let is_named = [module, folder].iter().any(|name| map.contains(&format!("| `{name}` |")));
        assert!(is_named || module == "lib.rs", "the code map of ARCHITECTURE.md does not name `{folder}`");
    }
}
