//! A report: the verdict on a run's findings, and the ways to show it.

// The verdict.
pub(crate) mod asserts;
pub(crate) mod figures;
pub(crate) mod verdict;

// The ways to show it.
pub(crate) mod html;
pub(crate) mod output;
pub(crate) mod table;

mod chart;
mod document;
mod escape;
mod headline;

pub(crate) use document::Report;
