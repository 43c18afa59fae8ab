//! The screen: the last snapshot, and what the user has chosen.

use super::Snapshot;
use ratatui::style::{Color, Style};
use std::time::{Duration, Instant};

/// Orders of connections, as the hub names them.
const SORTS: [&str; 3] = ["lag", "stalled", "age"];

/// Orders of channels, as the hub names them, and in words.
const CHANNEL_SORTS: [(&str, &str); 3] =
    [("rate", "publications per second"), ("subscribers", "subscribers"), ("publications", "publications")];

/// The orders that the user has chosen, as the hub names them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sorts {
    pub(super) connections: &'static str,
    pub(super) channels: &'static str,
}

/// The output that a screen is drawn on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Medium {
    /// A terminal with colours.
    Coloured,
    /// A terminal without colours.
    Plain,
    /// Text, without the line of keys and without empty lines.
    Printed,
}

/// The state of the live view.
#[derive(Debug)]
pub struct Screen {
    pub(super) url: String,
    pub(super) medium: Medium,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) error: Option<String>,
    /// When the last snapshot came.
    updated: Instant,
    sort: usize,
    channel_sort: usize,
    pub(super) scrolled: usize,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
}

impl Screen {
    /// Returns a screen without a snapshot.
    pub fn new(url: String, medium: Medium) -> Self {
        Self {
            url,
            medium,
            snapshot: None,
            error: None,
            updated: Instant::now(),
            sort: 0,
            channel_sort: 0,
            scrolled: 0,
            is_paused: false,
            is_helping: false,
        }
    }

    /// Replaces the snapshot, and removes the error.
    pub fn show(&mut self, snapshot: Snapshot) {
        (self.snapshot, self.error, self.updated) = (Some(snapshot), None, Instant::now());
    }

    /// Shows an error, next to the last snapshot.
    pub fn show_error(&mut self, error: String) {
        self.error = Some(error);
    }

    /// Returns the order of connections.
    pub fn sort(&self) -> &'static str {
        SORTS[self.sort]
    }

    /// Returns the orders of connections and channels.
    pub(super) fn sorts(&self) -> Sorts {
        Sorts { connections: self.sort(), channels: CHANNEL_SORTS[self.channel_sort].0 }
    }

    /// Returns the order of channels in words.
    pub(super) fn channel_sort(&self) -> &'static str {
        CHANNEL_SORTS[self.channel_sort].1
    }

    /// Switches to the next order of channels.
    pub fn next_channel_sort(&mut self) {
        self.channel_sort = (self.channel_sort + 1) % CHANNEL_SORTS.len();
    }

    /// Returns the time since the last snapshot if the hub does not answer.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.error.as_ref().map(|_| self.updated.elapsed())
    }

    /// Switches to the next order of connections.
    pub fn next_sort(&mut self) {
        (self.sort, self.scrolled) = ((self.sort + 1) % SORTS.len(), 0);
    }

    /// Scrolls the list of connections.
    pub fn scroll(&mut self, lines: isize) {
        let count = self.snapshot.as_ref().and_then(|snapshot| snapshot.connections.as_ref().ok()).map_or(0, Vec::len);
        self.scrolled = self.scrolled.saturating_add_signed(lines).min(count.saturating_sub(1));
    }

    /// Pauses, or continues.
    pub fn toggle_pause(&mut self) {
        self.is_paused = !self.is_paused;
    }

    /// Returns whether the snapshot has to stay.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Shows the help, or hides it.
    pub fn toggle_help(&mut self) {
        self.is_helping = !self.is_helping;
    }

    fn colour(&self, colour: Color) -> Style {
        if self.medium == Medium::Coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// The style of what needs attention. The colours are visible on dark and light backgrounds; without colours it is
    /// bold.
    pub(super) fn warning(&self) -> Style {
        self.colour(Color::Yellow).bold()
    }

    pub(super) fn bad(&self) -> Style {
        self.colour(Color::Red).bold()
    }

    pub(super) fn good(&self) -> Style {
        self.colour(Color::Green)
    }
}
