//! A chart: plain data in, SVG out.
//!
//! Everything is placed in shares of the plot, lines in an inner picture that is stretched to it, so that a chart fills
//! any width while its text keeps its size. What does not fit on a narrow screen has the class `roomy`.

mod axis;
mod plot;
mod thin;

pub(crate) use self::axis::{Axis, Scale};
pub(crate) use self::thin::Point;

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
    /// What is compared, and has a colour; empty if nothing is.
    pub(crate) group: String,
    pub(crate) name: String,
    /// The number of a colour; there are [`COLOURS`].
    pub(crate) colour: usize,
    pub(crate) line: Line,
    /// True if every point was a measurement of its own, to be pointed at.
    pub(crate) has_dots: bool,
    /// In the order of their `x`.
    pub(crate) points: Vec<Point>,
}

/// What tells lines of one colour apart.
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
    /// A shaded one is what the chart is about, others lead there and away.
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

/// An entry of a legend.
struct Key<'a> {
    text: &'a str,
    class: String,
    has_dots: bool,
}

/// Colours of the style sheet, told apart by colour-blind eyes too. With more series they are used again.
pub(crate) const COLOURS: usize = 6;

impl Line {
    const fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

impl Chart {
    /// Draws the chart. Nothing comes of one without a point.
    pub(crate) fn draw(&self) -> Option<String> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let known = || points().filter_map(|(x, y)| Some((*x, y.filter(|y| y.is_finite())?)));
        let levels = self.marks.iter().filter_map(|mark| match mark {
            Mark::Level { y, .. } => Some(*y),
            Mark::Place { .. } => None,
        });
        let ends = self.bands.iter().map(|band| band.to);
        known().next()?;
        let x = self.x.around(known().map(|(x, _)| x).chain(ends), false)?;
        let y = self.y.around(known().map(|(_, y)| y).chain(levels), true)?;
        let mut html = format!("<figure class=\"chart\">\n<figcaption><h3>{}</h3>", escape(&self.title));
        self.legend(&mut html);
        html += "</figcaption>\n<div class=\"frame\">";
        self.plot(&mut html, &x, &y);
        html += "</div>\n</figure>\n";
        Some(html)
    }

    /// Says which line is which; a line that is alone is what the title says.
    fn legend(&self, html: &mut String) {
        let keys = self.keys();
        if keys.len() < 2 {
            return;
        }
        *html += "<ul class=\"legend\">";
        for Key { text, class, has_dots } in keys {
            let dot = if has_dots { "<circle cx=\"11\" cy=\"5\" r=\"3\"/>" } else { "" };
            *html += &format!(
                "<li><svg class=\"key {class}\" width=\"22\" height=\"10\" aria-hidden=\"true\">\
                 <path d=\"M1 5H21\"/>{dot}\
                 </svg>{}</li>",
                escape(text)
            );
        }
        *html += "</ul>";
    }

    /// Groups have the colours and names have the lines, so each is told once.
    fn keys(&self) -> Vec<Key<'_>> {
        let (mut groups, mut names): (Vec<Key<'_>>, Vec<Key<'_>>) = (Vec::new(), Vec::new());
        for series in self.series.iter().filter(|series| series.points.iter().any(|(_, y)| y.is_some())) {
            let has_dots = series.has_dots;
            if series.group.is_empty() {
                names.push(Key { text: &series.name, class: series.class(), has_dots });
            } else {
                let class = format!("c{}", series.colour % COLOURS);
                add(&mut groups, Key { text: &series.group, class, has_dots: false });
                let class = format!("any {}", series.line.class());
                add(&mut names, Key { text: &series.name, class, has_dots });
            }
        }
        // What all groups have is what the title says.
        if groups.is_empty() || names.len() > 1 {
            groups.append(&mut names);
        }
        groups
    }

    /// For those who hear the page.
    fn in_words(&self) -> String {
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

impl Series {
    fn full_name(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{} {}", self.group, self.name) }
    }

    fn class(&self) -> String {
        format!("c{} {}", self.colour % COLOURS, self.line.class())
    }
}

/// Adds what is not told yet.
fn add<'a>(keys: &mut Vec<Key<'a>>, key: Key<'a>) {
    if !keys.iter().any(|known| known.text == key.text) {
        keys.push(key);
    }
}

/// Makes text harmless: what a server or a command line said is shown, never obeyed.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            // A browser drops or repairs these on its own; a reader should know that something was there.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::Unit;

    fn chart(points: Vec<Point>) -> Chart {
        let series = |name: &str, points| Series {
            group: String::new(),
            name: name.to_owned(),
            colour: 0,
            line: Line::Solid,
            has_dots: true,
            points,
        };
        Chart {
            title: "Latency".to_owned(),
            x: Axis { title: "Time (s)", scale: Scale::Linear, unit: Unit::Each },
            y: Axis { title: "Latency", scale: Scale::Log, unit: Unit::Latency },
            series: vec![series("p99", points), series("<b>", Vec::new())],
            bands: vec![Band { from: 0.0, to: 4.0, label: "<warm>".to_owned(), is_shaded: true }],
            marks: vec![
                Mark::Level { y: 50e3, label: "limit".to_owned() },
                Mark::Place { x: 2.0, label: "knee".to_owned(), colour: 7 },
            ],
        }
    }

    fn lines(svg: &str) -> &str {
        svg.split_once(" d=\"M").and_then(|(_, rest)| rest.split_once('"')).unwrap_or_default().0
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(chart(Vec::new()).draw(), None);
        assert_eq!(chart(vec![(1.0, None), (2.0, None)]).draw(), None);
        assert_eq!(chart(vec![(1.0, Some(f64::NAN))]).draw(), None);
    }

    #[test]
    fn any_points_make_finite_coordinates() {
        for points in [
            vec![(0.0, Some(0.0))],
            vec![(1.0, Some(5.0)), (1.0, Some(5.0))],
            vec![(0.0, Some(f64::INFINITY)), (1.0, Some(7.0)), (2.0, Some(f64::NAN))],
            vec![(0.0, None), (1e9, Some(1e12))],
        ] {
            let svg = chart(points).draw().unwrap();
            assert!(!svg.contains("NaN%") && !svg.contains("inf%") && !lines(&svg).contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn line_breaks_where_data_is_absent() {
        let svg = chart(vec![(0.0, Some(1e3)), (1.0, Some(1e3)), (2.0, None), (3.0, Some(1e3)), (4.0, None)]).draw();
        let svg = svg.unwrap();
        let moves: Vec<_> = lines(&svg).split('M').collect();
        assert_eq!(moves.len(), 2, "{moves:?}");
        assert!(moves[0].contains('L') && moves[1].ends_with("h0"), "{moves:?}");
    }

    #[test]
    fn text_is_escaped_and_the_chart_can_be_heard() {
        let svg = chart(vec![(0.0, Some(1e3)), (4.0, Some(4e3))]).draw().unwrap();
        assert!(!svg.contains("<warm>") && svg.contains("&lt;warm&gt;"));
        assert!(svg.contains("aria-label=\"Latency. p99: 1.00 ms to 4.00 ms\""), "{svg}");
        assert!(svg.contains("c1\"><line"), "colours are used again");
        assert!(!svg.contains("<ul"), "a line that is alone needs no legend");
    }
}
