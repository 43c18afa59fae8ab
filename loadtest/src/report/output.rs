//! The outputs of a run: files, which are opened before the load, and the terminal.
//!
//! A measurement may take hours. So a file that cannot be written is found before it begins, and text that stdout does
//! not take goes to stderr.

use crate::exit::RunError;
use anyhow::{Context, Result};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that will be written at the end of a run. Its old content stays until then.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: File,
    /// Whether the file did not exist before; it is removed if nothing is written.
    is_new: bool,
}

impl OutputFile {
    /// Opens a file for writing, and keeps its content.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("failed to open {} for writing", path.display()))?;
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    /// Replaces the content of the file.
    ///
    /// # Errors
    ///
    /// Fails when not all of it can be written.
    pub(crate) fn write(mut self, content: &[u8]) -> Result<()> {
        self.is_new = false;
        self.replace(content).with_context(|| format!("failed to write {}", self.path.display()))
    }

    fn replace(&mut self, content: &[u8]) -> std::io::Result<()> {
        let opened = self.file.metadata()?;
        // Removed or renamed during the run: what is written to the open file would be lost.
        if opened.is_file() && !self.path.metadata().is_ok_and(|found| is_same(&found, &opened)) {
            self.file = File::create(&self.path)?;
        }
        if opened.is_file() {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        self.file.write_all(content)?;
        // Some file systems report a full disk only now. Pipes and devices cannot be synchronised.
        if opened.is_file() { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether two paths lead to one file on a disk.
    fn is_same_as(&self, other: &Self) -> bool {
        let both = self.file.metadata().ok().zip(other.file.metadata().ok());
        both.is_some_and(|(own, other)| own.is_file() && is_same(&own, &other))
    }
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.is_new {
            // An empty file would look like a report.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// The files of a run.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) json: Option<OutputFile>,
    pub(crate) html: Option<OutputFile>,
}

impl Outputs {
    /// Opens the files of `--json` and `--html`.
    ///
    /// # Errors
    ///
    /// Fails when one cannot be written, or both are the same file.
    pub(crate) fn open(json: Option<&Path>, html: Option<&Path>) -> Result<Self> {
        let open = |path: Option<&Path>| path.map(OutputFile::open).transpose();
        let outputs = Self { json: open(json)?, html: open(html)? };
        if let (Some(json), Some(html)) = (&outputs.json, &outputs.html)
            && json.is_same_as(html)
        {
            let text = format!("--json and --html name the same file, {}: choose two", json.path.display());
            return Err(RunError::Usage(text).into());
        }
        Ok(outputs)
    }
}

/// Prints to stdout, or to stderr what stdout does not take.
///
/// # Errors
///
/// Fails when stdout cannot be written, unless it is a pipe whose reader has ended.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) else { return Ok(()) };
    // If stderr fails as well, the files and the exit code have to do.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error).context("failed to write to stdout") }
}
