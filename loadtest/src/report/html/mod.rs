//! A page: one run, or several next to each other, as one file that needs no other and sends no request.
//!
//! It reads from the top: the verdict, the question and the load, the figures that answer the question, doubts about
//! them, then charts, then everything in full. A figure that a run does not have is omitted, never shown empty.
//!
//! # Invariants
//!
//! - All text from a report passes [`escape`](super::escape::escape). Should something slip through, the policy in the
//!   head lets no other script run than ours, and nothing be fetched.
//! - The page is complete without its script and without colours.

// The page and its parts, from top to bottom.
mod page;

mod headline;

mod charts;

mod tables;

mod details;

mod setting;

// Shared by the parts.
mod change;
mod named_report;
mod plots;
mod words;

#[cfg(test)]
mod fixture;

pub(crate) use page::render;
