//! A summary: of several comparisons, the one figure that each names as its headline, side by side.

use super::rounds::Comparison;
use super::rows::{Row, rows};
use super::table::{Cells, median, width};

/// Renders the headlines; nothing for a single comparison, whose table is complete.
pub(super) fn render(comparisons: &[Comparison<'_>]) -> String {
    if comparisons.len() < 2 {
        return String::new();
    }
    let lines: Vec<_> = comparisons.iter().filter_map(line).collect();
    let longest = |cell: usize| lines.iter().map(|line| width(&line[cell])).max().unwrap_or_default();
    let (names, labels) = (longest(0), longest(1));
    let mut text = String::from("\nSUMMARY: medians, and ratios to the first server of each list\n\n");
    for [name, label, servers] in &lines {
        text += &format!("  {name:<names$}  {label:<labels$}  {servers}\n");
    }
    text
}

/// Returns the list's name, the figure's, and the value of each server.
fn line(comparison: &Comparison<'_>) -> Option<[String; 3]> {
    let plan = comparison.plan;
    let headline = plan.headline.as_deref()?;
    let row: Row = rows(comparison).into_iter().find(|row| row.key == headline)?;
    let servers = plan.server.iter().enumerate().map(|(index, server)| {
        let [value, ratio]: Cells = median(&row, index);
        format!("{} {value} {ratio}", server.name).trim_end().to_owned()
    });
    Some([plan.name.clone(), row.label.to_owned(), servers.collect::<Vec<_>>().join("  |  ")])
}
