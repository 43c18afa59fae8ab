//! The sample file: every setting at its default, commented out.

use super::{applies, by_name, default_words, toml_default, wrap};
use crate::config::root::Config;
use std::fmt::Write;

/// Characters of a line of comment, after its `# `.
const WIDTH: usize = 98;

const PREFACE: &str = "\
# throng: every setting, at its default. Remove the '#' from what you change.
# A variable THRONG_KEY overrides this file, and a flag --key overrides both.
# `throng check-config FILE` checks it; CONFIGURATION.md is the reference.
";

/// Returns a file with every setting at its default, commented out. A setting that stays commented out follows the
/// default of the program.
pub fn default_file() -> String {
    let mut file = String::from(PREFACE);
    for sections in by_name(Config::SCHEMA) {
        // Writing to a string does not fail, here and below.
        if let Some(section) = sections.first().filter(|section| !section.name.is_empty()) {
            let _ = write!(file, "\n{}\n", section.heading());
        }
        for setting in sections.iter().flat_map(|section| section.settings) {
            file.push('\n');
            for line in setting.paragraphs().iter().flat_map(|text| wrap(text, WIDTH)) {
                let _ = writeln!(file, "# {line}");
            }
            let kind = setting.kind;
            let facts = [kind.name(), kind.show_range()].into_iter().filter(|fact| !fact.is_empty());
            let facts = facts.collect::<Vec<_>>().join(", ");
            let default = default_words(setting).map_or_else(String::new, |words| format!(" Default: {words}."));
            let _ = writeln!(file, "# Type: {facts}.{default} A change applies {}.", applies(setting));
            let value = toml_default(setting);
            let _ = writeln!(file, "# {} = {}", setting.key, if value.is_empty() { "N" } else { &value });
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;
    use crate::config::root::default_texts;
    use crate::config::section::single_settings;
    use crate::config::setting::Setting;
    use std::path::Path;

    fn settings() -> impl Iterator<Item = &'static Setting> {
        single_settings(Config::SCHEMA).map(|(_, setting)| setting)
    }

    /// Operators begin with this file: every line that they uncomment has to be valid.
    #[test]
    fn default_file_names_every_setting_and_is_valid_with_and_without_its_comments() {
        let text = default_file();
        assert!(file::parse(Config::SCHEMA, Path::new("x"), &text).unwrap().is_empty(), "it sets nothing as it is");
        let is_setting = |line: &&str| {
            line.split_once(" = ").is_some_and(|(key, _)| key.starts_with("# ") && !key[2..].contains(' '))
        };
        let has_default = |line: &&str| !line.ends_with(" = N") && !line.ends_with(" = \"\"");
        assert_eq!(text.lines().filter(is_setting).count(), settings().count());
        let lines = text.lines().map(|line| if is_setting(&line) && has_default(&line) { &line[2..] } else { line });
        let uncommented = lines.collect::<Vec<_>>().join("\n");
        let entries = file::parse(Config::SCHEMA, Path::new("x"), &uncommented);
        for entry in entries.unwrap_or_else(|problems| panic!("{problems:?}")) {
            let setting = settings().find(|setting| setting.key == entry.key).unwrap();
            assert_eq!(entry.values, default_texts(setting), "{}", entry.key);
        }
    }
}
