//! The data of a chart: axes, series, bands and marks.

use super::axis::Axis;
use super::thin::Point;

/// Colours of the style sheet, distinguishable by colour-blind readers. With more series they are used again.
pub(crate) const COLOURS: usize = 6;

/// Something to look at.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) bands: Vec<Band>,
    pub(crate) marks: Vec<Mark>,
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// The run that the line belongs to, if several are compared; it has the colour.
    pub(crate) group: String,
    pub(crate) name: String,
    /// The number of a colour; there are [`COLOURS`].
    pub(crate) colour: usize,
    pub(crate) line: Line,
    /// Whether every point was a measurement of its own, to be pointed at.
    pub(crate) has_dots: bool,
    /// In the order of their `x`.
    pub(crate) points: Vec<Point>,
}

/// The style that distinguishes lines of one colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    Solid,
    Dashed,
    Dotted,
}

/// A stretch of the horizontal axis with a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) label: String,
    /// A measured phase is shaded, other stages are not.
    pub(crate) is_shaded: bool,
}

/// Something that is no measurement.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A value of the vertical axis, such as a limit.
    Level { y: f64, label: String },
    /// A value of the horizontal axis, such as a knee, in the colour of its series.
    Place { x: f64, label: String, colour: usize },
}

impl Chart {
    /// Returns the chart as text, for screen readers.
    pub(super) fn in_words(&self) -> String {
        let mut words = self.title.clone();
        for series in &self.series {
            let values = || series.points.iter().filter_map(|(_, y)| *y).filter(|value| value.is_finite());
            if values().next().is_some() {
                let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
                let (low, high) = (self.y.unit.write(low), self.y.unit.write(high));
                words += &format!(". {}: {low} to {high}", series.full_name());
            }
        }
        words
    }
}

impl Line {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

impl Series {
    pub(super) fn full_name(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{} {}", self.group, self.name) }
    }

    pub(super) fn class(&self) -> String {
        format!("c{} {}", self.colour % COLOURS, self.line.class())
    }
}
