//! The screen: what was seen last, and what the person in front of it has chosen.

use super::Look;
use ratatui::style::{Color, Style};

/// How connections can be sorted: the hub's words.
const SORTS: [&str; 3] = ["lag", "stalled", "age"];

/// What it is shown on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Medium {
    /// A terminal with colours.
    Coloured,
    /// A terminal without.
    Plain,
    /// Text, which nobody can press a key on.
    Printed,
}

/// What a person sees and has chosen.
#[derive(Debug)]
pub struct Screen {
    pub(super) url: String,
    pub(super) medium: Medium,
    pub(super) look: Option<Look>,
    pub(super) trouble: Option<String>,
    sort: usize,
    pub(super) scrolled: usize,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
}

impl Screen {
    /// Returns a screen that has nothing to show yet.
    pub fn new(url: String, medium: Medium) -> Self {
        let (sort, scrolled) = (0, 0);
        Self { url, medium, look: None, trouble: None, sort, scrolled, is_paused: false, is_helping: false }
    }

    /// Shows a look from here on.
    pub fn show(&mut self, look: Look) {
        (self.look, self.trouble) = (Some(look), None);
    }

    /// Says what is wrong; what was seen last stays.
    pub fn complain(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// Returns what connections are sorted by.
    pub fn sort(&self) -> &'static str {
        SORTS[self.sort]
    }

    /// Sorts by the next.
    pub fn sort_on(&mut self) {
        (self.sort, self.scrolled) = ((self.sort + 1) % SORTS.len(), 0);
    }

    /// Moves the list of connections.
    pub fn scroll(&mut self, lines: isize) {
        let most = self.look.as_ref().and_then(|look| look.slowest.as_ref().ok()).map_or(0, Vec::len);
        self.scrolled = self.scrolled.saturating_add_signed(lines).min(most.saturating_sub(1));
    }

    /// Stops, or goes on.
    pub fn pause(&mut self) {
        self.is_paused = !self.is_paused;
    }

    /// Returns whether what is shown stays.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Explains, or does not any more.
    pub fn help(&mut self) {
        self.is_helping = !self.is_helping;
    }

    fn colour(&self, colour: Color) -> Style {
        if self.medium == Medium::Coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// What wants to be looked at. Colours that a dark and a light ground both show, and bold for those without.
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
