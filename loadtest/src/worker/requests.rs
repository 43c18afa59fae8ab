//! Requests: those of the coordinator that wait to be carried out.

use super::link::CoordinatorLink;
use super::messages::{Event, Request};
use anyhow::Result;
use std::collections::VecDeque;

/// The queue of requests, and the way for their answers.
#[derive(Debug)]
pub(super) struct Requests {
    link: CoordinatorLink,
    /// Requests that came while another was carried out.
    waiting: VecDeque<Request>,
    is_interrupted: bool,
}

impl Requests {
    pub(super) const fn new(link: CoordinatorLink) -> Self {
        Self { link, waiting: VecDeque::new(), is_interrupted: false }
    }

    /// Whether the coordinator has asked to end what is going on.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Queues the requests that have come. An interrupt takes effect at once.
    ///
    /// # Errors
    ///
    /// Fails when the coordinator is gone.
    pub(super) fn take(&mut self) -> Result<()> {
        while let Some(request) = self.link.receive()? {
            match request {
                Request::Interrupt => self.is_interrupted = true,
                request => self.waiting.push_back(request),
            }
        }
        Ok(())
    }

    /// Whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the next request in line.
    pub(super) fn pop(&mut self) -> Option<Request> {
        self.waiting.pop_front()
    }

    /// Sends an event to the coordinator.
    ///
    /// # Errors
    ///
    /// Fails when the coordinator is gone.
    pub(super) fn answer(&self, event: &Event) -> Result<()> {
        self.link.send(event)
    }
}
