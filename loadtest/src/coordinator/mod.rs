//! The coordinator: drives the workers through a scenario, watches the server beside them, and keeps the findings.
//!
//! It does nothing that is timed: publishing, reading and stamping are the workers'. So it may read `/proc` and draw
//! progress without showing up in a latency.

pub(crate) mod fleet;
mod measure;
mod progress;
mod timeline;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::{nanos, now_ns, seconds};
use crate::config::Config;
use crate::coordinator::fleet::Fleet;
use crate::coordinator::progress::Progress;
use crate::coordinator::timeline::Timeline;
use crate::observe::stalls::Stalls;
use crate::observe::watch::{Moment, Watch};
use crate::report::latency::{Bucket, Latency};
use crate::report::{Accounting, Connections, Findings, Refusal, Sample};
use crate::stop::Stop;
use crate::worker::closes::sum;
use crate::worker::order::{Books, Command, Event, Missing};

pub(crate) use crate::coordinator::measure::Window;

/// The longest wait for an event; Ctrl-C is looked at in between.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Seconds between two looks for ends of stalled connections.
const STALLS_EVERY: usize = 3;

/// Time that workers have for their books; after a failure they may have to leave a load first.
const BOOKS_PATIENCE: Duration = Duration::from_secs(5);

/// A run under way.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) config: Config,
    fleet: Fleet,
    /// Answers that came before anybody waited for them.
    early: VecDeque<(usize, Event)>,
    pub(crate) watch: Watch,
    pub(crate) stalls: Stalls,
    progress: Progress,
    timeline: Timeline,
    started_ns: u64,
    interrupted: Arc<AtomicBool>,
    is_interrupt_passed_on: bool,
    /// Somebody has to be connected since then.
    held_since_ns: Option<u64>,
    is_gone: bool,
    /// The books are closed once, at the latest when the run ends.
    is_closed: bool,
    /// Messages sent over the whole run, by publisher.
    sent: Vec<u32>,
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
    /// Fails when the server's process can not be read, or a worker can not be started.
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
            is_closed: false,
            sent: vec![0; config.publishers()],
            lost: 0,
            closed: 0,
            findings: Findings::default(),
            config,
        })
    }

    /// True once Ctrl-C was pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        // Nothing else is published with the flag.
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Names what is going on, and how long it is going to take.
    pub(crate) fn stage(&mut self, name: &str, length: Option<Duration>) {
        self.timeline.stage(name);
        self.progress.stage(name, length);
    }

    /// Leaves the terminal to the report, and hands over the findings.
    pub(crate) fn finish(mut self) -> Findings {
        self.progress.finish();
        self.findings.timeline = self.timeline.take();
        self.findings
    }

    /// The samples so far.
    pub(crate) fn samples(&self) -> &[Sample] {
        self.timeline.samples()
    }

    /// Asks all workers, and waits for all answers, which `pick` takes out of their events.
    ///
    /// # Errors
    ///
    /// Fails when a worker does.
    pub(crate) fn ask<T>(&mut self, command: &Command, pick: fn(Event) -> Option<T>) -> Result<Vec<T>> {
        self.order(command)?;
        self.answers(pick)
    }

    /// Gives all workers an order.
    fn order(&mut self, command: &Command) -> Result<()> {
        (0..self.fleet.len()).try_for_each(|index| self.fleet.order(index, command))
    }

    /// Waits for one answer of each worker.
    fn answers<T>(&mut self, pick: fn(Event) -> Option<T>) -> Result<Vec<T>> {
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

    /// Goes on until the clock says `until_ns`, or Ctrl-C.
    ///
    /// # Errors
    ///
    /// Fails when a worker does.
    pub(crate) fn run_until(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns && !self.is_interrupted() && !self.is_gone {
            // A worker's clock is the same, and it may be the first to look at it.
            let early = self.pump(until_ns)?;
            self.early.extend(early);
        }
        Ok(())
    }

    /// Goes on for a while.
    ///
    /// # Errors
    ///
    /// As [`Self::run_until`].
    pub(crate) fn rest(&mut self, length: Duration) -> Result<()> {
        self.run_until(now_ns() + nanos(length))
    }

    /// Goes on for a while in which somebody has to be connected.
    ///
    /// # Errors
    ///
    /// As [`Self::run_until`], and if the server closes everybody.
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
            self.order(&Command::Interrupt)?;
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
                // The others have nothing to go on for.
                self.order(&Command::Interrupt)?;
                return Err(stop.into());
            }
            answer => return Ok(answer),
        }
        Ok(None)
    }

    /// Does what is done once a second.
    fn second(&mut self) -> Result<()> {
        let sample = self.timeline.sample(&mut self.watch);
        // Reading the kernel's table takes some 6 ms of the core that the workers may have to share.
        if self.timeline.len().is_multiple_of(STALLS_EVERY) {
            self.stalls.look(now_ns());
        }
        self.progress.show(&sample, self.config.connections());
        // Everybody was closed: there is nobody left to send to, or to hold.
        if self.held_since_ns.is_some_and(|since| self.timeline.is_empty_since(since)) && !self.is_gone {
            self.is_gone = true;
            self.order(&Command::Interrupt)?;
        }
        Ok(())
    }

    /// Opens connections until there are `total`, and says how that went.
    ///
    /// # Errors
    ///
    /// Fails when the server can not be reached or refuses a handshake.
    pub(crate) fn connect_to(&mut self, total: usize) -> Result<Connections> {
        self.stage("connect", None);
        let (before, already, start) = (self.watch.moment(), self.findings.connections.opened, now_ns());
        let rate = self.config.connect_rate / self.fleet.len() as f64;
        let mut handshake = Latency::new();
        let mut opened = 0;
        for connected in self.ask(&Command::Connect { total, rate }, Event::connected)? {
            opened += connected.opened;
            handshake.merge(&connected.handshake);
        }
        if self.is_interrupted() {
            return Err(Stop::Interrupted.into());
        }
        let seconds = seconds(start, now_ns());
        let cpu = cpu_seconds(&before, &self.watch.moment());
        Ok(Connections {
            opened: already + opened,
            timed: opened,
            seconds,
            handshake: handshake.summary(),
            server_cpu_us_per_connection: cpu.map(|cpu| cpu * 1e6 / opened.max(1) as f64),
        })
    }

    /// Connects everybody.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_to`].
    pub(crate) fn connect_all(&mut self) -> Result<()> {
        self.findings.connections = self.connect_to(self.config.connections())?;
        Ok(())
    }

    /// Closes the books: where every delivery went. Called at the end, after a failure too.
    ///
    /// # Errors
    ///
    /// Fails when an order can not be written as JSON, which is never.
    pub(crate) fn close_books(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        let books = self.settle(&Command::Books, Event::books)?;
        let unaccepted = self.write_off(&books);
        let missing = self.settle(&Command::Missing { sent: self.sent.clone() }, Event::missing)?;
        let missing = missing.iter().fold(Missing::default(), |sum, part| Missing {
            open: sum.open + part.open,
            closed: sum.closed + part.closed,
        });
        self.findings.accounting = account(&books, missing, unaccepted);
        self.findings.closes = sum(books.iter().flat_map(|books| books.closes.clone()));
        let mut refusals = BTreeMap::new();
        for refusal in books.iter().flat_map(|books| &books.refusals) {
            *refusals.entry(refusal.why.clone()).or_default() += refusal.count;
        }
        self.findings.refusals = refusals.into_iter().map(|(why, count)| Refusal { why, count }).collect();
        Ok(())
    }

    /// Asks those workers that are left, whatever became of the others, and waits for their answers while patience
    /// lasts.
    fn settle<T>(&mut self, command: &Command, answer: fn(Event) -> Option<T>) -> Result<Vec<T>> {
        self.order(command)?;
        let until_ns = now_ns() + nanos(BOOKS_PATIENCE);
        let mut answers = BTreeMap::new();
        while answers.len() < self.fleet.left() && now_ns() < until_ns {
            // A worker may have an older question to answer first, or a failure to tell that is not the first.
            if let Some((worker, event)) = self.fleet.next(WAIT_MAX)
                && let Some(answer) = answer(event)
            {
                answers.insert(worker, answer);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Writes off what the server had not read from a publisher when it closed it: those messages reached nobody and
    /// are not lost deliveries. Returns how many there were.
    fn write_off(&mut self, books: &[Books]) -> u64 {
        let mut unaccepted = 0;
        for publisher in books.iter().flat_map(|books| &books.ended).copied() {
            let reached = books.iter().filter_map(|books| books.reached.get(publisher)).max().copied();
            let reached = reached.unwrap_or_default().min(self.sent[publisher]);
            unaccepted += u64::from(self.sent[publisher] - reached);
            self.sent[publisher] = reached;
        }
        unaccepted
    }

    /// Fails if the server has closed everybody while somebody had to be connected.
    fn check_gone(&self) -> Result<()> {
        if self.is_gone {
            let text = format!(
                "{} closed all connections {:.1} s into the run",
                self.config.url,
                seconds(self.started_ns, now_ns())
            );
            return Err(Stop::Gone(text).into());
        }
        Ok(())
    }
}

/// Adds the workers' books up.
fn account(books: &[Books], missing: Missing, unaccepted: u64) -> Accounting {
    let mut accounting = Accounting { unaccepted, undelivered_closed: missing.closed, ..Accounting::default() };
    let counts = &mut accounting.counts;
    for part in books {
        counts.add(&part.counts);
        accounting.validated += part.validated;
        if accounting.first_stranger.is_none() {
            accounting.first_stranger.clone_from(&part.first_stranger);
        }
    }
    counts.lost += missing.open;
    accounting.expected = counts.verified + counts.lost + missing.closed;
    accounting
}

/// CPU time that the server used between two moments.
pub(crate) fn cpu_seconds(before: &Moment, after: &Moment) -> Option<f64> {
    let (before, after) = before.server.zip(after.server)?;
    Some(seconds(before.total_ns, after.total_ns))
}

/// Merges what several workers counted.
pub(crate) fn merge<'a>(parts: impl IntoIterator<Item = &'a Vec<Bucket>>) -> Latency {
    let mut latency = Latency::new();
    parts.into_iter().for_each(|part| latency.merge(part));
    latency
}
