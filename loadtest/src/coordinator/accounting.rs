//! Accounting: where every delivery went, at the end of a run.

use super::run::{Coordinator, WAIT_MAX};
use crate::clock::{nanos, now_ns};
use crate::measure::{CloseCount, Refusal};
use crate::results::Accounting;
use crate::worker::messages::{Event, Missing, Received, Request};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that workers have to answer; after a failure they may have to end a load first.
const ACCOUNTING_TIMEOUT: Duration = Duration::from_secs(5);

impl Coordinator {
    /// Accounts for every delivery. Called at the end, after a failure too.
    ///
    /// # Errors
    ///
    /// Fails when a worker does not answer; the others are accounted for.
    pub(crate) fn account(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_accounted, true) {
            return Ok(());
        }
        let received = self.ask_remaining(&Request::Received, Event::received)?;
        let refused: u64 = received.iter().map(|part| part.unaccepted).sum();
        let unaccepted = self.exclude_unaccepted(&received);
        let missing = self.ask_remaining(&Request::Missing { sent: self.sent.clone() }, Event::missing)?;
        let missing = missing.iter().fold(Missing::default(), |sum, part| Missing {
            open: sum.open + part.open,
            closed: sum.closed + part.closed,
        });
        self.findings.accounting = totals(&received, missing, unaccepted);
        self.findings.accounting.unaccepted_by_api = refused;
        self.findings.closes = CloseCount::sum(received.iter().flat_map(|part| part.closes.clone()));
        let mut refusals = BTreeMap::new();
        for refusal in received.iter().flat_map(|part| &part.refusals) {
            *refusals.entry(refusal.why.clone()).or_default() += refusal.count;
        }
        self.findings.refusals = refusals.into_iter().map(|(why, count)| Refusal { why, count }).collect();
        let (answered, left) = (received.len(), self.fleet.left());
        ensure!(answered >= left, "{} of {left} workers did not report what they received", left - answered);
        Ok(())
    }

    /// Asks the workers that have not ended, and waits for their answers, at most for [`ACCOUNTING_TIMEOUT`].
    fn ask_remaining<T>(&mut self, request: &Request, answer: fn(Event) -> Option<T>) -> Result<Vec<T>> {
        self.send(request)?;
        let until_ns = now_ns() + nanos(ACCOUNTING_TIMEOUT);
        let mut answers = BTreeMap::new();
        while answers.len() < self.fleet.left() && now_ns() < until_ns {
            // A worker may have an older request to answer first, or a failure to report that is not the first.
            if let Some((worker, event)) = self.fleet.next(WAIT_MAX)
                && let Some(answer) = answer(event)
            {
                answers.insert(worker, answer);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Removes from `sent` what the server had not read from a publisher when it closed it: those messages reached no
    /// client and are not lost deliveries. Returns how many there were.
    fn exclude_unaccepted(&mut self, received: &[Received]) -> u64 {
        let mut unaccepted = 0;
        for publisher in received.iter().flat_map(|part| &part.ended).copied() {
            let reached = received.iter().filter_map(|part| part.reached.get(publisher)).max().copied();
            let reached = reached.unwrap_or_default().min(self.sent[publisher]);
            unaccepted += u64::from(self.sent[publisher] - reached);
            self.sent[publisher] = reached;
        }
        unaccepted
    }
}

/// Adds up what the workers received.
fn totals(received: &[Received], missing: Missing, unaccepted: u64) -> Accounting {
    let mut accounting = Accounting { unaccepted, undelivered_closed: missing.closed, ..Accounting::default() };
    let counts = &mut accounting.counts;
    for part in received {
        counts.add(&part.counts);
        accounting.validated += part.validated;
        if accounting.first_unexpected.is_none() {
            accounting.first_unexpected.clone_from(&part.first_unexpected);
        }
    }
    counts.lost += missing.open;
    accounting.expected = counts.verified + counts.lost + missing.closed;
    accounting
}
