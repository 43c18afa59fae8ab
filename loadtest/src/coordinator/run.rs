//! A run in progress: its workers, what is known of it so far, and the loop that waits for the workers' events.

use super::fleet::Fleet;
use super::progress::Progress;
use super::timeline::Timeline;
use crate::clock::{nanos, now_ns, seconds};
use crate::config::Config;
use crate::exit::RunError;
use crate::observe::stalls::Stalls;
use crate::observe::watch::Watch;
use crate::results::{Findings, Sample};
use crate::worker::messages::{Event, Request};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest wait for an event; Ctrl-C is checked between waits.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(100);

/// Seconds between two searches for ends of stalled connections.
const STALLS_EVERY: usize = 3;

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) config: Config,
    pub(super) fleet: Fleet,
    /// Answers that came before they were waited for.
    early: VecDeque<(usize, Event)>,
    pub(crate) watch: Watch,
    pub(crate) stalls: Stalls,
    progress: Progress,
    timeline: Timeline,
    started_ns: u64,
    interrupted: Arc<AtomicBool>,
    is_interrupt_passed_on: bool,
    /// Since then at least one client has to be connected.
    pub(super) held_since_ns: Option<u64>,
    pub(super) is_gone: bool,
    /// Whether deliveries are accounted for: once, at the latest when the run ends.
    pub(super) is_accounted: bool,
    /// Messages sent over the whole run, by publisher.
    pub(super) sent: Vec<u32>,
    /// Deliveries lost and connections closed over the whole run, as of the last drain.
    pub(crate) lost: u64,
    pub(crate) closed: usize,
    pub(crate) findings: Findings,
}

impl Coordinator {
    /// Starts the workers of a run.
    ///
    /// # Errors
    ///
    /// Fails when the server's process cannot be read, or a worker cannot be started.
    pub(crate) fn start(config: Config, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let watch = Watch::new(config.server_pid)?;
        let started_ns = now_ns();
        Ok(Self {
            fleet: Fleet::start(&config)?,
            early: VecDeque::new(),
            watch,
            stalls: Stalls::default(),
            progress: Progress::new(config.quiet),
            timeline: Timeline::new(started_ns, config.processes),
            started_ns,
            interrupted,
            is_interrupt_passed_on: false,
            held_since_ns: None,
            is_gone: false,
            is_accounted: false,
            sent: vec![0; config.publishers()],
            lost: 0,
            closed: 0,
            findings: Findings::default(),
            config,
        })
    }

    /// Whether Ctrl-C has been pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        // Nothing else is published with the flag.
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Begins a stage with a name and, if it is known, a length.
    pub(crate) fn stage(&mut self, name: &str, length: Option<Duration>) {
        self.timeline.stage(name);
        self.progress.stage(name, length);
    }

    /// Ends the progress line and returns the findings.
    pub(crate) fn finish(mut self) -> Findings {
        self.progress.finish();
        self.findings.timeline = self.timeline.take();
        self.findings
    }

    /// Returns the samples so far.
    pub(crate) fn samples(&self) -> &[Sample] {
        self.timeline.samples()
    }

    /// Sends a request to all workers and returns their answers, which `pick` takes from their events.
    ///
    /// # Errors
    ///
    /// Fails when a worker does.
    pub(crate) fn ask<T>(&mut self, request: &Request, pick: fn(Event) -> Option<T>) -> Result<Vec<T>> {
        self.send(request)?;
        self.answers(pick)
    }

    /// Sends a request to all workers.
    pub(super) fn send(&mut self, request: &Request) -> Result<()> {
        (0..self.fleet.len()).try_for_each(|index| self.fleet.send(index, request))
    }

    /// Waits for one answer of each worker.
    pub(super) fn answers<T>(&mut self, pick: fn(Event) -> Option<T>) -> Result<Vec<T>> {
        let mut answers = BTreeMap::new();
        while answers.len() < self.fleet.len() {
            let early = self.early.pop_front();
            let answer = if early.is_some() { early } else { self.pump(u64::MAX)? };
            if let Some((worker, event)) = answer {
                let answer = pick(event).with_context(|| format!("worker {worker} answered another question"))?;
                answers.insert(worker, answer);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Handles events until the clock reads `until_ns`, or Ctrl-C.
    ///
    /// # Errors
    ///
    /// Fails when a worker does.
    pub(crate) fn run_until(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns && !self.is_interrupted() && !self.is_gone {
            // A worker may read the clock first and answer early: the answer is kept for `answers`.
            let early = self.pump(until_ns)?;
            self.early.extend(early);
        }
        Ok(())
    }

    /// Handles events for a while.
    ///
    /// # Errors
    ///
    /// As [`Self::run_until`].
    pub(crate) fn rest(&mut self, length: Duration) -> Result<()> {
        self.run_until(now_ns() + nanos(length))
    }

    /// As [`Self::rest`], with at least one client connected.
    ///
    /// # Errors
    ///
    /// As [`Self::run_until`], and if the server closes all connections.
    pub(crate) fn hold(&mut self, length: Duration) -> Result<()> {
        self.held_since_ns = Some(now_ns());
        self.rest(length)?;
        self.held_since_ns = None;
        self.check_gone()
    }

    /// Waits for an event, at most until `until_ns`; returns it if it is an answer.
    fn pump(&mut self, until_ns: u64) -> Result<Option<(usize, Event)>> {
        if self.is_interrupted() && !self.is_interrupt_passed_on {
            self.is_interrupt_passed_on = true;
            self.send(&Request::Interrupt)?;
        }
        let now = now_ns();
        let wait = until_ns.min(self.timeline.due_ns()).saturating_sub(now);
        let event = self.fleet.next(Duration::from_nanos(wait).min(WAIT_MAX));
        if now_ns() >= self.timeline.due_ns() {
            self.second()?;
        }
        match event {
            Some((worker, Event::Tick(tick))) => self.timeline.hear(worker, tick),
            Some((_, Event::Failed(stop))) => {
                // A run without one of its workers is over.
                self.send(&Request::Interrupt)?;
                return Err(stop.into());
            }
            answer => return Ok(answer),
        }
        Ok(None)
    }

    /// Takes a sample, once a second.
    fn second(&mut self) -> Result<()> {
        let sample = self.timeline.sample(&mut self.watch);
        // Reading the kernel's table takes some 6 ms of the core that the workers may have to share.
        if self.timeline.len().is_multiple_of(STALLS_EVERY) {
            self.stalls.look(now_ns());
        }
        self.progress.show(&sample, self.config.connections());
        // All connections were closed: there is none left to send to, or to hold.
        if self.held_since_ns.is_some_and(|since| self.timeline.is_empty_since(since)) && !self.is_gone {
            self.is_gone = true;
            self.send(&Request::Interrupt)?;
        }
        Ok(())
    }

    /// Fails if the server has closed all connections while one had to be open.
    pub(super) fn check_gone(&self) -> Result<()> {
        if self.is_gone {
            let text = format!(
                "{} closed all connections {:.1} s into the run",
                self.config.url,
                seconds(self.started_ns, now_ns())
            );
            return Err(RunError::Gone(text).into());
        }
        Ok(())
    }
}
