//! What tests of the documents share: the Markdown files of the repository, with their lines, headings and links.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders without documents of ours.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

/// One line of a document.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    /// Between the fences of a code block, the fences included.
    pub(crate) is_code: bool,
}

/// A Markdown file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Path from the root of the repository.
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns every file below the root whose name ends with `.` and one of `extensions`, by its path from the root.
pub(crate) fn files(extensions: &[&str]) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !SKIPPED.contains(&name) {
                left.push(path);
            } else if path.is_file() && extensions.iter().any(|extension| name.ends_with(&format!(".{extension}"))) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns every Markdown file.
pub(crate) fn documents() -> Vec<Document> {
    files(&["md"]).into_iter().map(|name| Document::parse(&name, &read(&name))).collect()
}

impl Document {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut is_code = false;
        let lines = text.lines().enumerate().map(|(index, text)| {
            let is_fence = text.trim_start().starts_with("```");
            let line = Line { number: index + 1, text: text.to_owned(), is_code: is_code || is_fence };
            is_code ^= is_fence;
            line
        });
        Self { name: name.to_owned(), lines: lines.collect() }
    }

    pub(crate) fn prose(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_code)
    }

    /// Returns the anchors of its headings, made as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let headings = self.prose().filter_map(|line| line.text.strip_prefix('#'));
        headings
            .map(|heading| {
                let anchor = anchor(heading.trim_start_matches('#').trim());
                let count = seen.entry(anchor.clone()).or_default();
                *count += 1;
                if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
            })
            .collect()
    }

    /// Returns the targets of its links and pictures, with their lines.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for line in self.prose() {
            let text = without_code(&line.text);
            for part in text.split("](").skip(1) {
                let target = part.split([')', ' ']).next().unwrap_or_default();
                links.push((line.number, target.to_owned()));
            }
        }
        links
    }

    /// Returns what stands between backticks, and the words of code blocks, with their lines.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        let mut code = Vec::new();
        for line in &self.lines {
            if line.is_code {
                code.push((line.number, line.text.clone()));
            } else {
                code.extend(line.text.split('`').skip(1).step_by(2).map(|span| (line.number, span.to_owned())));
            }
        }
        code
    }

    /// Returns the file that a relative link leads to, from the root, and the anchor in it.
    pub(crate) fn target<'a>(&self, link: &'a str) -> (PathBuf, Option<&'a str>) {
        let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
        if path.is_empty() {
            return (PathBuf::from(&self.name), anchor);
        }
        let mut target = PathBuf::from(&self.name);
        target.pop();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => assert!(target.pop(), "{}: {link} leads out of the repository", self.name),
                part => target.push(part),
            }
        }
        (target, anchor)
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}
