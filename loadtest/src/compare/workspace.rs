//! A workspace: a temporary folder for the output of children, removed with the value, and the last lines of that
//! output.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of a child's output that are shown when it fails: enough for a panic or the end of a compiler's complaint.
const LAST_LINES: usize = 12;

/// Bytes that are read for them, so that the log of a server may have any length.
const LAST_BYTES: u64 = 8192;

/// A folder of this process alone.
#[derive(Debug)]
pub(super) struct Workspace(PathBuf);

impl Workspace {
    /// Creates the folder.
    ///
    /// # Errors
    ///
    /// Fails when the system's folder for temporary files cannot be written to.
    pub(super) fn new() -> io::Result<Self> {
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos());
        let path = std::env::temp_dir().join(format!("loadtest-{}-{nanos}", std::process::id()));
        // No other process can have put a link there: the call fails if anything has this name.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Files that cannot be removed are in a folder for temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Redirects stdout and stderr of a command to a file.
///
/// # Errors
///
/// Fails when the file cannot be created.
pub(super) fn log_to(command: &mut Command, log: &Path) -> io::Result<()> {
    let file = File::create(log)?;
    command.stderr(Stdio::from(file.try_clone()?)).stdout(Stdio::from(file));
    Ok(())
}

/// Returns the last lines of a child's output, indented, each on a line of its own, or a note that there are none.
pub(super) fn last_words(log: &Path) -> String {
    let text = tail(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "\n    (it wrote nothing)".to_owned();
    }
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("\n    {line}")).collect()
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_few_and_the_folder_goes() {
        let workspace = Workspace::new().unwrap();
        let log = workspace.path().join("log");
        let lines: String = (0..10_000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&log, lines).unwrap();
        let words = last_words(&log);
        assert_eq!(words.lines().filter(|line| !line.is_empty()).count(), LAST_LINES);
        assert!(words.ends_with("\n    line 9999"), "{words}");
        let path = workspace.path().to_owned();
        drop(workspace);
        assert!(!path.exists());
        assert_eq!(last_words(&log), "\n    (it wrote nothing)");
    }
}
