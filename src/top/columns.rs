//! Columns: which of a table fit, and how its title and its names look.

use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Row};

/// Returns the frame of a table: a line with a title.
pub(super) fn titled<'a>(title: impl Into<Line<'a>>) -> Block<'a> {
    Block::new().borders(Borders::TOP).border_style(Style::new().dim()).title(title.into().bold())
}

/// Returns the row of names.
pub(super) fn header(names: Vec<Line<'static>>) -> Row<'static> {
    Row::new(names).style(Style::new().dim())
}

/// Returns a text at the right edge of its column.
pub(super) fn right(text: impl Into<String>) -> Line<'static> {
    Line::from(text.into()).right_aligned()
}

/// A column of a table: its name, its width, and its rank; the columns with the highest ranks are left out first.
pub(super) type Column = (&'static str, u16, u8);

/// Returns which columns fit, because half a column says nothing.
pub(super) fn columns_that_fit(columns: &[Column], width: u16) -> Vec<bool> {
    let mut is_shown = vec![true; columns.len()];
    loop {
        let shown = || columns.iter().zip(&is_shown).enumerate().filter(|(_, (_, is_shown))| **is_shown);
        let needed = shown().map(|(_, ((_, width, _), _))| width + 1).sum::<u16>().saturating_sub(1);
        let last = shown().max_by_key(|(_, ((_, _, rank), _))| *rank).map(|(index, _)| index);
        match last {
            Some(index) if needed > width && shown().count() > 1 => is_shown[index] = false,
            _ => return is_shown,
        }
    }
}

/// Returns those of the items whose column is shown.
pub(super) fn shown<T>(items: impl IntoIterator<Item = T>, is_shown: &[bool]) -> Vec<T> {
    items.into_iter().zip(is_shown).filter_map(|(item, is_shown)| is_shown.then_some(item)).collect()
}
