//! The documents as a test: what the README says about settings is what the binary does.

#![expect(clippy::unwrap_used, reason = "a test that can not read the tree has failed")]

use clap::CommandFactory;
use std::fs;
use std::path::Path;
use throng::config::Config;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The table as the README has to hold it, made from what `--help` prints.
fn settings_table() -> String {
    let mut table = String::from("| flag | default | what it does, and what happens at the limit |\n|---|---|---|\n");
    for arg in Config::command().get_arguments() {
        let Some(flag) = arg.get_long().filter(|flag| !["help", "version"].contains(flag)) else { continue };
        let default = arg.get_default_values().iter().map(|value| value.to_str().unwrap()).next();
        let default = match default.filter(|_| !arg.is_hide_default_value_set()) {
            Some(default) if arg.get_action().takes_values() => format!("`{default}`"),
            Some(_) | None => "-".to_owned(),
        };
        table += &format!("| `--{flag}` | {default} | {} |\n", arg.get_help().unwrap());
    }
    table
}

/// A table that is copied by hand is wrong after the next change.
#[test]
fn readme_lists_every_setting_with_its_default() {
    let table = settings_table();
    assert!(read("README.md").contains(&table), "the README's table of settings has to be:\n\n{table}");
}

#[test]
fn every_setting_has_its_variable() {
    for arg in Config::command().get_arguments().filter(|arg| arg.get_id() != "help" && arg.get_id() != "version") {
        let variable = format!("THRONG_{}", arg.get_long().unwrap().replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
    }
}

/// What the README tells a newcomer to type has to be there.
#[test]
fn readme_names_files_that_exist() {
    for file in ["test", "ARCHITECTURE.md", "CHANGELOG.md", "benches/README.md", "loadtest/README.md", "LICENSE-MIT"] {
        assert!(read("README.md").contains(file), "the README does not name {file}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file} is gone");
    }
}
