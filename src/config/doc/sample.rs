//! The sample file: every setting at its default, commented out.

use super::{applies, by_name, default_words, inherited_from, toml_default, wrap};
use crate::config::root::Config;
use crate::config::section::Occurs;
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
            // An empty table of a list would be one.
            let comment = if section.occurs == Occurs::Repeated { "# " } else { "" };
            let _ = write!(file, "\n{comment}{}\n", section.heading());
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
        for heading in sections.iter().filter_map(inherited_from) {
            let _ = write!(file, "\n# Every setting of {heading} may stand here too.\n");
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;
    use crate::config::setting::Setting;
    use crate::config::tables::default_texts;
    use std::path::Path;

    fn settings() -> impl Iterator<Item = &'static Setting> {
        Config::SCHEMA.iter().flat_map(|section| section.settings)
    }

    /// Operators begin with this file: every line that they uncomment has to be valid.
    #[test]
    fn default_file_names_every_setting_and_is_valid_with_and_without_its_comments() {
        let text = default_file();
        let contents = file::parse(Config::SCHEMA, Path::new("x"), &text).unwrap();
        assert!(contents.entries.is_empty() && contents.tables.is_empty(), "it sets nothing as it is");
        let is_setting = |line: &&str| {
            line.split_once(" = ").is_some_and(|(key, _)| key.starts_with("# ") && !key[2..].contains(' '))
        };
        let has_default = |line: &&str| !line.ends_with(" = N") && !line.ends_with(" = \"\"");
        let is_heading = |line: &&str| line.starts_with("# [[");
        assert_eq!(text.lines().filter(is_setting).count(), settings().count());
        let is_valid = |line: &&str| is_heading(line) || is_setting(line) && has_default(line);
        let lines = text.lines().map(|line| if is_valid(&line) { &line[2..] } else { line });
        let uncommented = lines.collect::<Vec<_>>().join("\n");
        let contents = file::parse(Config::SCHEMA, Path::new("x"), &uncommented);
        let contents = contents.unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(contents.tables.len(), text.lines().filter(is_heading).count());
        for entry in contents.entries.iter().chain(contents.tables.iter().flat_map(|table| &table.entries)) {
            assert_eq!(entry.values, default_texts(entry.setting), "{}", entry.setting.key);
        }
    }
}
