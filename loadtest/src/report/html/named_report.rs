//! A report among those of a page, with its name and its colour.

use crate::report::Report;
use crate::report::escape::escape;

/// A report among those of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedReport<'a> {
    pub(super) report: &'a Report,
    pub(super) name: &'a str,
    pub(super) colour: usize,
}

impl NamedReport<'_> {
    /// Returns the name, with the colour of the run's lines.
    pub(super) fn label(&self) -> String {
        format!("<span class=\"run c{}\">{}</span>", self.colour, escape(self.name))
    }
}
