//! The plot of a chart: bands, grid, lines, dots and marks, placed in shares of it.

use super::axis::{Axis, Range, Tick, brief};
use super::model::{COLOURS, Chart, Mark};
use super::thin::{Point, thin};
use crate::report::escape::escape;

/// Lines with more points than this have several to a pixel.
const DENSE: usize = 1_000;

/// The pixels of a letter of a tick or a label, on average and rather too many.
const LETTER: f64 = 6.6;

/// The pixels of a plot on a narrow screen, and of the narrowest one that is shown everything.
const WIDTHS: [f64; 2] = [250.0, 400.0];

/// Appends the plot.
pub(super) fn plot(chart: &Chart, html: &mut String, x: &Range, y: &Range) {
    *html += &format!(
        "<svg class=\"plot\" role=\"img\" aria-label=\"{}\" data-x=\"{}\" data-y=\"{}\">",
        escape(&chart.in_words()),
        described(x),
        described(y)
    );
    bands(chart, html, x);
    grid(html, x, y);
    *html += "<svg class=\"lines\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" width=\"100%\" \
              height=\"100%\">";
    for series in &chart.series {
        let path = path(&series.points, x, y);
        // A line that goes up and down in every pixel covers a surface, so it is drawn thin. One that only grows is a
        // line.
        let is_dense = series.points.len() > DENSE && !series.points.is_sorted_by(|a, b| a.1 <= b.1);
        let dense = if is_dense { " dense" } else { "" };
        if !path.is_empty() {
            let name = escape(&series.full_name());
            *html += &format!(
                "<path class=\"{}{dense}\" d=\"{path}\" data-name=\"{name}\"><title>{name}</title></path>",
                series.class()
            );
        }
    }
    *html += "</svg>";
    dots(chart, html, x, y);
    marks(chart, html, x, y);
    *html += "</svg>";
}

fn bands(chart: &Chart, html: &mut String, x: &Range) {
    for band in &chart.bands {
        let (from, to) = (x.place(band.from), x.place(band.to));
        let class = if band.is_shaded { "band shaded" } else { "band" };
        let label = escape(&band.label);
        *html += &format!(
            "<g class=\"{class}\"><rect x=\"{}\" y=\"0\" width=\"{}\" height=\"100%\"><title>{label}</title>\
             </rect>",
            share(from),
            share(to - from)
        );
        if let Some(class) = fits(&band.label, to - from) {
            let middle = share(f64::midpoint(from, to));
            *html += &format!("<text class=\"{class}\" x=\"{middle}\" y=\"0\" dy=\"-6\">{label}</text>");
        }
        *html += "</g>";
    }
}

fn dots(chart: &Chart, html: &mut String, x: &Range, y: &Range) {
    for series in chart.series.iter().filter(|series| series.has_dots) {
        for (at, value) in series.points.iter().filter_map(|(at, value)| value.map(|value| (*at, value))) {
            *html += &format!(
                "<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"3.5\"><title>{}: {} at {}</title></circle>",
                series.class(),
                share(x.place(at)),
                share(1.0 - y.place(value)),
                escape(&series.full_name()),
                chart.y.unit.write(value),
                brief(&chart.x.unit.write(at))
            );
        }
    }
}

fn marks(chart: &Chart, html: &mut String, x: &Range, y: &Range) {
    // Places that are close together have their labels above each other.
    let mut height = -8;
    for mark in &chart.marks {
        match mark {
            Mark::Level { y: level, label } => {
                let at = share(1.0 - y.place(*level));
                *html += &format!(
                    "<g class=\"mark level\"><line x1=\"0\" x2=\"100%\" y1=\"{at}\" y2=\"{at}\"/>\
                     <text x=\"0\" y=\"{at}\" dx=\"6\" dy=\"-5\">{}</text></g>",
                    escape(label)
                );
            }
            Mark::Place { x: place, label, colour } => {
                let at = x.place(*place);
                // On the side where there is more room.
                let (side, dx) = if at > 0.5 { ("before", -6) } else { ("after", 6) };
                let (colour, at) = (colour % COLOURS, share(at));
                *html += &format!(
                    "<g class=\"mark place c{colour}\"><line x1=\"{at}\" x2=\"{at}\" y1=\"0\" y2=\"100%\"/>\
                     <text class=\"{side}\" x=\"{at}\" y=\"100%\" dx=\"{dx}\" dy=\"{height}\">{}</text></g>",
                    escape(label)
                );
                height -= 14;
            }
        }
    }
}

/// Draws the lines at the ticks, the ticks, and the titles of the axes.
fn grid(html: &mut String, x: &Range, y: &Range) {
    *html += "<g class=\"grid\">";
    for Tick { at, .. } in y.ticks() {
        let at = share(1.0 - at);
        *html += &format!("<line x1=\"0\" x2=\"100%\" y1=\"{at}\" y2=\"{at}\"/>");
    }
    for Tick { at, .. } in x.ticks() {
        let at = share(at);
        *html += &format!("<line x1=\"{at}\" x2=\"{at}\" y1=\"0\" y2=\"100%\"/>");
    }
    *html += "</g><g class=\"ticks-y\">";
    for Tick { at, text } in y.ticks() {
        *html += &format!("<text x=\"0\" y=\"{}\" dx=\"-8\" dy=\".32em\">{text}</text>", share(1.0 - at));
    }
    *html += "</g><g class=\"ticks-x\">";
    let mut ends = WIDTHS.map(|_| f64::NEG_INFINITY);
    for Tick { at, text } in x.ticks() {
        let Some(class) = room(&mut ends, at, &text) else { continue };
        // A long one in the corner would stick out.
        let end = if at > 0.98 && text.chars().count() > 4 { " end" } else { "" };
        *html += &format!("<text class=\"{class}{end}\" x=\"{}\" y=\"100%\" dy=\"17\">{text}</text>", share(at));
    }
    *html += &format!(
        "</g><text class=\"title-y\" x=\"0\" y=\"0\" dx=\"-62\" dy=\"-22\">{}</text>\
         <text class=\"title-x\" x=\"100%\" y=\"100%\" dy=\"34\">{}</text>",
        escape(y.axis.title),
        escape(x.axis.title)
    );
}

/// Keeps ticks apart: `ends` is, for each of the [`WIDTHS`], the end of the last one that is shown, in pixels.
/// Returns a class, or nothing if there is no room even on a wide screen.
fn room(ends: &mut [f64; 2], at: f64, text: &str) -> Option<&'static str> {
    let half = text.chars().count() as f64 * LETTER / 2.0;
    let mut is_free = [false; 2];
    for ((end, width), is_free) in ends.iter_mut().zip(WIDTHS).zip(&mut is_free) {
        *is_free = at * width - half > *end;
        if *is_free {
            *end = at * width + half + LETTER;
        }
    }
    match is_free {
        [true, true] => Some("tick"),
        [false, true] => Some("tick roomy"),
        // A narrow screen must not show more than a wide one.
        [_, false] => None,
    }
}

/// Returns the class of a text that is centred in a share of the plot, or nothing if it is too long for it.
fn fits(text: &str, share: f64) -> Option<&'static str> {
    let needed = (text.chars().count() + 1) as f64 * LETTER;
    let [narrow, wide] = WIDTHS.map(|width| needed <= share * width);
    if narrow { Some("label") } else { wide.then_some("label roomy") }
}

/// Returns what the page's script needs to compute a value from a place.
fn described(range: &Range) -> String {
    let Axis { scale, unit, .. } = range.axis;
    format!("{scale:?},{},{},{unit:?}", range.low, range.high)
}

/// Lines through the points that follow one another; a point between gaps becomes a dot.
fn path(points: &[Point], x: &Range, y: &Range) -> String {
    let place =
        |(at, value): &Point| (x.place(*at), value.filter(|value| value.is_finite()).map(|value| y.place(value)));
    let mut path = String::new();
    for run in thin(points.iter().map(place).collect()).chunk_by(|a, b| a.1.is_some() == b.1.is_some()) {
        for (number, (x, y)) in run.iter().filter_map(|(x, y)| y.map(|y| (x, y))).enumerate() {
            let letter = if number == 0 { 'M' } else { 'L' };
            path += &format!("{letter}{} {}", unit(*x), unit(1.0 - y));
        }
        if matches!(run, [(_, Some(_))]) {
            path += "h0";
        }
    }
    path
}

/// Returns a coordinate of the inner picture, to a tenth of a thousandth.
fn unit(share: f64) -> String {
    brief(&format!("{:.1}", share * 1000.0))
}

/// Returns a coordinate of the plot.
fn share(share: f64) -> String {
    format!("{}%", brief(&format!("{:.2}", share * 100.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_without_room_are_left_out() {
        let mut ends = WIDTHS.map(|_| f64::NEG_INFINITY);
        let classes: Vec<_> = [0.0, 0.1, 0.2, 0.21].map(|at| room(&mut ends, at, "1,000")).into();
        assert_eq!(classes, [Some("tick"), Some("tick roomy"), Some("tick"), None]);
    }
}
