//! A report among those of a page, with its name and its colour.

use super::change::Change;
use crate::report::Report;
use crate::report::escape::escape;
use crate::report::figures::Value;

/// A report among those of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedReport<'a> {
    pub(super) report: &'a Report,
    pub(super) name: &'a str,
    pub(super) colour: usize,
    /// Whether the load is that of the first report: only then a figure can be better or worse.
    pub(super) has_same_load: bool,
}

impl NamedReport<'_> {
    /// Returns how a figure compares with the same figure of the first report.
    pub(super) fn change(&self, first: Option<Value>, own: Option<Value>) -> Option<Change> {
        let change = Change::between(first, own)?;
        Some(if self.has_same_load { change } else { change.unjudged() })
    }

    /// Returns the name, with the colour of the run's lines.
    pub(super) fn label(&self) -> String {
        format!("<span class=\"run c{}\">{}</span>", self.colour, escape(self.name))
    }
}
