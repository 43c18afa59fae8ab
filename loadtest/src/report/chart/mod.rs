//! Charts: plain data in, SVG out.
//!
//! Everything is placed in shares of the plot, lines in an inner picture that is stretched to it, so that a chart fills
//! any width while its text keeps its size. Text that does not fit on a narrow screen has the class `roomy`.

mod axis;
mod draw;
mod model;
mod plot;
mod thin;

pub(crate) use axis::{Axis, Scale};
pub(crate) use draw::draw;
pub(crate) use model::{Band, COLOURS, Chart, Line, Mark, Series};
pub(crate) use thin::Point;
