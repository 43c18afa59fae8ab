//! Drawing: a chart becomes a figure of HTML with its legend.

use super::model::{COLOURS, Chart, Mark};
use super::plot::plot;
use crate::report::escape::escape;

/// An entry of a legend.
struct Key<'a> {
    text: &'a str,
    class: String,
    has_dots: bool,
}

/// Draws the chart; nothing if it has no point.
pub(crate) fn draw(chart: &Chart) -> Option<String> {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let known = || points().filter_map(|(x, y)| Some((*x, y.filter(|y| y.is_finite())?)));
    let levels = chart.marks.iter().filter_map(|mark| match mark {
        Mark::Level { y, .. } => Some(*y),
        Mark::Place { .. } => None,
    });
    let ends = chart.bands.iter().map(|band| band.to);
    known().next()?;
    let x = chart.x.around(known().map(|(x, _)| x).chain(ends), false)?;
    let y = chart.y.around(known().map(|(_, y)| y).chain(levels), true)?;
    let mut html = format!("<figure class=\"chart\">\n<figcaption><h3>{}</h3>", escape(&chart.title));
    legend(chart, &mut html);
    html += "</figcaption>\n<div class=\"frame\">";
    plot(chart, &mut html, &x, &y);
    html += "</div>\n</figure>\n";
    Some(html)
}

/// Appends a legend; a single line is named by the title.
fn legend(chart: &Chart, html: &mut String) {
    let keys = keys(chart);
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

/// Returns the entries: groups by colour and names by line style, each once.
fn keys(chart: &Chart) -> Vec<Key<'_>> {
    let (mut groups, mut names): (Vec<Key<'_>>, Vec<Key<'_>>) = (Vec::new(), Vec::new());
    for series in chart.series.iter().filter(|series| series.points.iter().any(|(_, y)| y.is_some())) {
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
    // A single name is in the title already.
    if groups.is_empty() || names.len() > 1 {
        groups.append(&mut names);
    }
    groups
}

/// Adds an entry unless there is one with its text.
fn add<'a>(keys: &mut Vec<Key<'a>>, key: Key<'a>) {
    if !keys.iter().any(|known| known.text == key.text) {
        keys.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::axis::{Axis, Scale};
    use crate::report::chart::model::{Band, Line, Series};
    use crate::report::chart::thin::Point;
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
        assert_eq!(draw(&chart(Vec::new())), None);
        assert_eq!(draw(&chart(vec![(1.0, None), (2.0, None)])), None);
        assert_eq!(draw(&chart(vec![(1.0, Some(f64::NAN))])), None);
    }

    #[test]
    fn any_points_make_finite_coordinates() {
        for points in [
            vec![(0.0, Some(0.0))],
            vec![(1.0, Some(5.0)), (1.0, Some(5.0))],
            vec![(0.0, Some(f64::INFINITY)), (1.0, Some(7.0)), (2.0, Some(f64::NAN))],
            vec![(0.0, None), (1e9, Some(1e12))],
        ] {
            let svg = draw(&chart(points)).unwrap();
            assert!(!svg.contains("NaN%") && !svg.contains("inf%") && !lines(&svg).contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn line_breaks_where_data_is_absent() {
        let svg = draw(&chart(vec![(0.0, Some(1e3)), (1.0, Some(1e3)), (2.0, None), (3.0, Some(1e3)), (4.0, None)]));
        let svg = svg.unwrap();
        let moves: Vec<_> = lines(&svg).split('M').collect();
        assert_eq!(moves.len(), 2, "{moves:?}");
        assert!(moves[0].contains('L') && moves[1].ends_with("h0"), "{moves:?}");
    }

    #[test]
    fn text_is_escaped_and_the_chart_can_be_heard() {
        let svg = draw(&chart(vec![(0.0, Some(1e3)), (4.0, Some(4e3))])).unwrap();
        assert!(!svg.contains("<warm>") && svg.contains("&lt;warm&gt;"));
        assert!(svg.contains("aria-label=\"Latency. p99: 1.00 ms to 4.00 ms\""), "{svg}");
        assert!(svg.contains("c1\"><line"), "colours are used again");
        assert!(!svg.contains("<ul"), "a line that is alone needs no legend");
    }
}
