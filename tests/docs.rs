//! The documents as a test: what the README says about settings is what the binary does.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

use std::fs;
use std::path::Path;
use throng::config::{Config, doc};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

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

/// Commands that the README tells a new user to type must exist.
#[test]
fn readme_names_files_that_exist() {
    for file in [
        "test",
        "ARCHITECTURE.md",
        "CONFIGURATION.md",
        "CHANGELOG.md",
        "benches/README.md",
        "loadtest/README.md",
        "LICENSE-MIT",
    ] {
        assert!(read("README.md").contains(file), "the README does not name {file}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file} is gone");
    }
}
