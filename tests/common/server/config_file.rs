//! A configuration file of a test.

/// A file that is deleted with the test.
pub(crate) struct ConfigFile {
    folder: tempfile::TempDir,
}

impl ConfigFile {
    pub(crate) fn new(text: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().expect("there is a place for it") };
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.folder.path().join("hub.toml"), text).expect("it is ours");
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path().join("hub.toml").to_str().expect("it is text").to_owned()
    }
}
