//! A process group: a child and its descendants, which end with the value that owns them.
//!
//! # Invariants
//!
//! - The child is reaped last, so its number is not reused while its group is being ended.

use super::interrupt::Interrupt;
use crate::exit::RunError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a child may take to end when it is asked to, before it is made to.
const GRACE: Duration = Duration::from_secs(5);

/// A signal cuts a wait short; one that came just before the wait is noticed after this long.
const GLANCE: Duration = Duration::from_millis(200);

/// A child in a process group of its own.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    /// Readable once the child has ended.
    exit: OwnedFd,
    /// Present once the child is reaped.
    status: Option<ExitStatus>,
}

impl Group {
    /// Starts a child without an input.
    ///
    /// # Errors
    ///
    /// Fails when the program cannot be started.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).stdin(Stdio::null()).spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(exit) => Ok(Self { child, exit, status: None }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    /// Returns the process number of the child.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits so long at most, less if a signal comes; true if the child has ended.
    pub(super) fn ends_within(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        poll(&mut [PollFd::new(&self.exit, PollFlags::IN)], timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the child has ended.
    ///
    /// # Errors
    ///
    /// Fails when the program is asked to end before that.
    pub(super) fn wait(&self, interrupt: &Interrupt) -> Result<(), RunError> {
        while !self.ends_within(GLANCE) {
            interrupt.check()?;
        }
        // A terminal's Ctrl-C may have reached a child that left its group.
        interrupt.check()
    }

    /// Ends the group and returns how the child ended.
    ///
    /// Descendants get [`GRACE`] as long as the child itself exists, and no longer.
    ///
    /// # Errors
    ///
    /// Fails when the child cannot be waited for.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        self.end_after(GRACE)
    }

    fn end_after(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let group = Pid::from_child(&self.child);
        // It fails for a group that is gone already, which is fine.
        // A hub that leaves a balancer gracefully takes its time after SIGTERM; a person at a terminal gets an end.
        kill_process_group(group, Signal::INT).ok();
        self.ends_within(grace);
        kill_process_group(group, Signal::KILL).ok();
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An error could not be reported to anyone.
        drop(self.end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;

    /// A server behind a shell, or one that ignores SIGINT, must not outlive its run.
    #[test]
    fn whole_group_ends_even_if_it_does_not_want_to() {
        let script = "trap '' INT; sleep 600 & echo $!; wait";
        let mut group = Group::spawn(Command::new("sh").args(["-c", script]).stdout(Stdio::piped())).unwrap();
        let mut output = group.child.stdout.take().unwrap();
        let mut grandchild = [0; 16];
        let len = output.read(&mut grandchild).unwrap();
        let grandchild = std::str::from_utf8(&grandchild[..len]).unwrap().trim();
        assert!(std::path::Path::new(&format!("/proc/{grandchild}")).exists());
        let status = group.end_after(Duration::from_millis(100)).unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        // The pipe ends when its last writer does.
        assert_eq!(output.read(&mut [0; 16]).unwrap(), 0);
    }

    #[test]
    fn exit_is_noticed_and_kept() {
        let mut group = Group::spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        group.wait(&Interrupt::default()).unwrap();
        assert_eq!(group.end().unwrap().code(), Some(7));
        assert_eq!(group.end().unwrap().code(), Some(7));
    }
}
