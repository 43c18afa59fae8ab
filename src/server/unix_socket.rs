//! A Unix socket that listens: made with its mode and owner, and removed by the process that made it.
//!
//! No file is ever removed but a socket that nothing listens on, or the socket of this very process.

use crate::config::{FileMode, FileOwner};
use socket2::{Domain, SockAddr, Type};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A Unix socket that listens.
#[derive(Debug)]
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket that this process made. Dropping it removes the file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from a later one with the same path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Identity {
    device: u64,
    inode: u64,
    /// A new file may get the inode of a removed one.
    modified: (i64, i64),
}

impl UnixSocket {
    /// Listens on a path. Replaces the socket of a process that was killed, which still exists but refuses connections.
    ///
    /// # Errors
    ///
    /// The path is taken by another process, or by a file that is no socket, or the system refuses the socket, its mode
    /// or its owner.
    pub(super) fn bind(
        path: &Path,
        mode: Option<FileMode>,
        owner: Option<FileOwner>,
        backlog: u32,
    ) -> io::Result<Self> {
        // Two hubs that start at once must not take each other's fresh socket for one that was left over. Where the
        // folder cannot be opened, nothing can be removed from it by mistake either.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let lock = File::open(folder).and_then(|folder| folder.lock().map(|()| folder)).ok();
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                check_left_over(path)?;
                fs::remove_file(path)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        let file = SocketFile { path: path.to_owned(), identity: Identity::of(&fs::symlink_metadata(path)?) };
        // Before it listens, so that no connection is made with other permissions.
        if let Some(FileOwner { user, group }) = owner {
            lchown(path, user, group).map_err(|error| explain("owner", &error))?;
        }
        if let Some(mode) = mode {
            fs::set_permissions(path, Permissions::from_mode(mode.bits())).map_err(|error| explain("mode", &error))?;
        }
        socket.listen(backlog.cast_signed())?;
        drop(lock);
        Ok(Self { listener: UnixListener::from_std(socket.into())?, file })
    }

    /// Returns the path of the socket.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

fn explain(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot set the {what} of the socket: {error} (--unix-{what})"))
}

/// Checks that a path is a socket that nothing listens on.
fn check_left_over(path: &Path) -> io::Result<()> {
    let taken = |text: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, text.to_owned()));
    // Of a link itself, not of what it leads to.
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return taken("the path is taken by a file that is no socket; it is left as it is");
    }
    match UnixStream::connect(path).err() {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // A full queue has an owner too.
        None => taken("another process listens there"),
        Some(error) if error.kind() == io::ErrorKind::WouldBlock => taken("another process listens there"),
        Some(error) => taken(&format!("the path is taken by a socket that does not answer: {error}")),
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), modified }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path).is_ok_and(|metadata| Identity::of(&metadata) == self.identity);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    /// A typing error in a path must not cost a file.
    #[tokio::test]
    async fn file_that_is_no_left_over_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "precious").unwrap();
        fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("left-over")).unwrap());
        std::os::unix::fs::symlink(path("left-over"), path("link-to-socket")).unwrap();
        let _other = UnixDatagram::bind(path("datagram")).unwrap();
        for name in ["file", "folder", "link", "dangling", "link-to-socket", "datagram"] {
            let before = Identity::of(&fs::symlink_metadata(path(name)).unwrap());
            let error = UnixSocket::bind(&path(name), None, None, 16).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{name}: {error}");
            assert!(error.to_string().contains("the path is taken by a "), "{name}: {error}");
            assert_eq!(Identity::of(&fs::symlink_metadata(path(name)).unwrap()), before, "{name}");
        }
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "precious");
        assert!(fs::symlink_metadata(path("left-over")).unwrap().file_type().is_socket());
    }

    /// What a killed hub left behind does not keep the next one from starting, and a hub that runs does.
    #[tokio::test]
    async fn left_over_socket_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = UnixSocket::bind(&path, None, None, 16).unwrap();
        let error = UnixSocket::bind(&path, None, None, 16).unwrap_err();
        assert_eq!(error.to_string(), "another process listens there");
        let _client = UnixStream::connect(&path).unwrap();
        within_accept(&first).await;
        drop(first);
        assert!(!path.exists(), "removed by who made it");
    }

    async fn within_accept(socket: &UnixSocket) {
        socket.listener.accept().await.unwrap();
    }

    /// The path may be another process's by the time at which this one ends.
    #[tokio::test]
    async fn socket_of_another_process_stays_when_this_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let first = UnixSocket::bind(&path, None, None, 16).unwrap();
        fs::remove_file(&path).unwrap();
        let second = UnixSocket::bind(&path, None, None, 16).unwrap();
        drop(first);
        assert!(path.exists() && UnixStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn mode_and_owner_are_those_of_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let own = fs::metadata(folder.path()).unwrap();
        for text in ["600", "660", "666"] {
            let owner = FileOwner { user: Some(own.uid()), group: Some(own.gid()) };
            let socket = UnixSocket::bind(&path, Some(text.parse().unwrap()), Some(owner), 16).unwrap();
            assert_eq!(format!("{:o}", mode_of(socket.path())), text);
        }
        assert!(!path.exists());
    }
}
