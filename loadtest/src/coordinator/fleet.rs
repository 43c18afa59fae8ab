//! A fleet: the worker processes of a run, and the lines to and from them.

use crate::config::Config;
use crate::exit::RunError;
use crate::worker::messages::{Event, Job, Request};
use crate::worker::share::Share;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Events that may wait. A worker that is ahead of the coordinator by this much waits for it.
const EVENTS_MAX: usize = 1024;

/// The subcommand of worker processes.
pub(crate) const WORKER: &str = "worker";

/// The workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    /// Events by worker; nothing marks the end of one.
    events: Receiver<(usize, Option<Event>)>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    /// Absent once it has ended.
    input: Option<ChildStdin>,
}

impl Fleet {
    /// Starts the workers and gives each its job.
    ///
    /// # Errors
    ///
    /// Fails when a process cannot be started.
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let (sender, events) = sync_channel(EVENTS_MAX);
        let mut fleet = Self { workers: Vec::new(), events };
        let program = std::env::current_exe().context("failed to find this program's own file")?;
        for index in 0..config.processes {
            let mut child = Command::new(&program)
                .arg(WORKER)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("failed to start a worker")?;
            let (input, output) = (child.stdin.take(), child.stdout.take().context("it was asked for")?);
            fleet.workers.push(Worker { child, input });
            let sender = sender.clone();
            std::thread::spawn(move || listen(index, output, &sender));
            let share = Share { index, of: config.processes };
            let api_key = config.api.as_ref().and_then(|api| api.key.clone());
            let job = Job { config: config.clone(), share, api_key };
            fleet.write(index, &serde_json::to_vec(&job)?);
        }
        Ok(fleet)
    }

    /// Returns the number of workers.
    pub(crate) const fn len(&self) -> usize {
        self.workers.len()
    }

    /// Returns the number of workers that have not ended.
    pub(crate) fn left(&self) -> usize {
        self.workers.iter().filter(|worker| worker.input.is_some()).count()
    }

    /// Sends a request to a worker.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be written as JSON, which never happens.
    pub(crate) fn send(&mut self, index: usize, request: &Request) -> Result<()> {
        self.write(index, &serde_json::to_vec(request)?);
        Ok(())
    }

    fn write(&mut self, index: usize, line: &[u8]) {
        if let Some(input) = &mut self.workers[index].input {
            // If the worker is gone, its events end, and that is handled there.
            drop(input.write_all(&[line, b"\n"].concat()));
        }
    }

    /// Waits for the next event of any worker.
    pub(crate) fn next(&mut self, timeout: Duration) -> Option<(usize, Event)> {
        let (index, event) = self.events.recv_timeout(timeout).ok()?;
        let event = event.unwrap_or_else(|| {
            self.workers[index].input = None;
            Event::Failed(RunError::Broken(format!(
                "worker {index} ended unexpectedly; its output, if any, stands above"
            )))
        });
        Some((index, event))
    }
}

/// Forwards a worker's events, and its end.
fn listen(index: usize, output: impl std::io::Read, sender: &SyncSender<(usize, Option<Event>)>) {
    for line in BufReader::new(output).lines() {
        let event = line.ok().and_then(|line| serde_json::from_str(&line).ok());
        let Some(event) = event else { break };
        if sender.send((index, Some(event))).is_err() {
            return;
        }
    }
    // At the end of a run the receiver is gone.
    drop(sender.send((index, None)));
}

impl Drop for Fleet {
    /// Ends the workers: each ends when its input does.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.input = None;
        }
        // Threads that wait for room in the channel end.
        self.events = sync_channel(0).1;
        for worker in &mut self.workers {
            // Waiting fails only for a process that is not a child.
            drop(worker.child.wait());
        }
    }
}
