//! The view of a cluster: a table of all hubs, and a line about what needs attention.

use super::cluster::{Cluster, HubRow};
use super::columns::{Column, columns_that_fit, header, right, shown, titled};
use super::screen::Screen;
use super::units;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table, Widget};

/// Most hubs that are shown; a screen is small.
const HUBS_SHOWN: usize = 8;

/// Returns the lines that a cluster takes on a screen of so many lines; a quarter at most, since connections need the
/// space more.
pub(super) fn lines(cluster: &Cluster, height: u16) -> u16 {
    let rows = u16::try_from(cluster.hubs.len().min(HUBS_SHOWN)).unwrap_or(1);
    rows.min((height / 4).max(1)) + 2
}

/// Draws the table.
pub(super) fn draw(buffer: &mut Buffer, screen: &Screen, cluster: &Cluster, area: Rect) {
    // The name of a hub is what an operator looks for, and its load; the rest as there is room.
    let columns: [Column; 8] = [
        ("hub", 16, 0),
        ("state", 9, 1),
        ("connections", 11, 2),
        ("of", 7, 3),
        ("channels", 8, 5),
        ("up", 7, 6),
        ("heard", 6, 4),
        ("version", 9, 7),
    ];
    let is_shown = columns_that_fit(&columns, area.width);
    let taken: u16 = shown(columns.map(|(_, width, _)| width + 1), &is_shown).into_iter().sum();
    // Addresses fill what is left, if that is enough for one.
    let has_addresses = area.width >= taken + 20;
    let mut widths = shown(columns.map(|(_, width, _)| Constraint::Length(width)), &is_shown);
    widths[0] = Constraint::Length(16);
    let mut names = vec![Line::from("hub")];
    names.extend(shown(columns.map(|(name, ..)| right(name)), &is_shown).into_iter().skip(1));
    if has_addresses {
        widths.push(Constraint::Fill(1));
        names.push(Line::from("addresses"));
    }
    // Those that need attention come before others, if not all fit.
    let mut hubs: Vec<_> = cluster.hubs.iter().collect();
    hubs.sort_by_key(|hub| (!hub.is_this, hub.state == "serving" && !hub.is_late));
    let shown_rows = usize::from(area.height.saturating_sub(2)).min(HUBS_SHOWN);
    let rows = hubs.iter().take(shown_rows).map(|hub| row(screen, hub, &is_shown, has_addresses));
    let hidden = hubs.len().saturating_sub(shown_rows);
    let table = Table::new(rows, widths).header(header(names)).column_spacing(1);
    Widget::render(table.block(titled(title(screen, cluster, hidden))), area, buffer);
}

/// Returns the title: how many hubs there are, and what needs attention.
fn title(screen: &Screen, cluster: &Cluster, hidden: usize) -> Line<'static> {
    let mut spans = vec![Span::styled(format!("hubs {} ", cluster.hubs.len()), Style::new().bold())];
    if hidden > 0 {
        spans.push(Span::from(format!(" {hidden} more not shown ")));
    }
    if !cluster.missing.is_empty() {
        spans.push(Span::styled(format!(" missing: {} ", cluster.missing.join(", ")), screen.bad()));
    }
    if cluster.versions > 1 {
        spans.push(Span::styled(format!(" {} versions ", cluster.versions), screen.warning()));
    }
    if let Some(command) = &cluster.rebalance {
        spans.push(Span::styled(format!(" uneven: {command} "), screen.warning()));
    }
    Line::from(spans)
}

fn row(screen: &Screen, hub: &HubRow, is_shown: &[bool], has_addresses: bool) -> Row<'static> {
    let share = hub.connections / hub.connections_max.max(1.0);
    let style = match (hub.is_late, hub.state.as_str()) {
        (true, _) => screen.bad(),
        (false, "serving") if share < 0.9 => Style::new(),
        (false, _) => screen.warning(),
    };
    let mark = if hub.is_this { "*" } else { "" };
    let cells = [
        Line::from(format!("{}{mark}", hub.name)),
        right(hub.state.clone()),
        right(units::count(hub.connections)),
        right(units::count(hub.connections_max)),
        right(units::count(hub.channels)),
        right(units::age(hub.uptime)),
        right(format!("{:.1}s", hub.heard)),
        right(hub.version.clone()),
    ];
    let mut cells = shown(cells, is_shown);
    if has_addresses {
        cells.push(Line::from(hub.addresses.clone()));
    }
    Row::new(cells).style(style)
}
