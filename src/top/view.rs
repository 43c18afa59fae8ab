//! The view: a look as tables on a screen of any size, in the terminal's own colours.

use super::look::{ChannelRow, ConnectionRow, Look, ShardRow};
use super::screen::{Medium, Screen};
use super::units;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row, Table};

/// Shards that are shown one by one; a screen is small.
const SHARDS_SHOWN: usize = 16;

/// Channels that are shown when connections want the rest of the screen.
const CHANNELS_SHOWN: u16 = 10;

/// Columns from which on a connection is named and its state is told.
const WIDE: u16 = 110;

const KEYS: &str = "q end  s sort  p pause  \u{2191}\u{2193} scroll  ? help";

const HELP: [&str; 13] = [
    "q, Esc, Ctrl-C   end",
    "s                sort connections by lag, stall, age",
    "p, space         pause; what is shown stays",
    "\u{2191} \u{2193}, j k         scroll connections",
    "",
    "joined    messages that leave in one write",
    "p99       from arrival to the last write, at most",
    "parked    sockets that are full",
    "lag       the longest log that somebody waits for",
    "inbox     commands that wait for the shard",
    "queued    bytes that wait in the hub for a client",
    "unsent    bytes that wait in the kernel",
    "resent    segments that the network lost",
];

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let area = frame.area();
    let Some(look) = &screen.look else {
        let text = screen.trouble.as_ref().map_or_else(|| format!("asking {} ...", screen.url), |text| text.clone());
        let [body, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        frame.render_widget(Paragraph::new(text).style(screen.warning()), body);
        frame.render_widget(foot_line(screen), foot);
        return;
    };
    let shards = u16::try_from(look.shards.len().min(SHARDS_SHOWN)).unwrap_or(1);
    let listed = look.busiest.as_ref().map_or(1, |rows| u16::try_from(rows.len()).unwrap_or(CHANNELS_SHOWN));
    let channels = listed.clamp(1, (area.height / 4).clamp(1, CHANNELS_SHOWN));
    let parts = [
        Constraint::Length(3),
        Constraint::Length(shards + 2),
        Constraint::Fill(1),
        Constraint::Length(channels + 2),
        Constraint::Length(1),
    ];
    let [head, shards, connections, channels, foot] = Layout::vertical(parts).areas(area);
    frame
        .render_widget(Paragraph::new(vec![head_line(screen, look), load_line(look), health_line(screen, look)]), head);
    frame.render_widget(shard_table(screen, look), shards);
    draw_connections(frame, screen, look, connections);
    draw_channels(frame, look, channels);
    frame.render_widget(foot_line(screen), foot);
    if screen.is_helping {
        draw_help(frame, area);
    }
}

fn head_line<'a>(screen: &'a Screen, look: &'a Look) -> Line<'a> {
    let state = match look.is_draining {
        true => Span::styled("draining", screen.bad()),
        false => Span::styled("serving", screen.good()),
    };
    let share = format!("{} of {}", units::count(look.connections), units::count(look.connections_max));
    let mut spans =
        vec![Span::from(format!("throng {}", look.version)).bold(), format!("  {}  ", screen.url).into(), state];
    if let Some(uptime) = look.uptime {
        spans.push(format!("  up {}", units::age(uptime)).into());
    }
    spans.extend(["   connections ".dim(), share.bold()]);
    Line::from(spans)
}

fn load_line(look: &Look) -> Line<'static> {
    let Some(rates) = &look.rates else { return Line::from("counting ...".dim()) };
    let or_none = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    named([
        ("deliveries ", units::count(rates.deliveries) + "/s", Style::new()),
        ("bytes ", units::bytes(rates.bytes) + "/s", Style::new()),
        ("joined ", or_none(rates.coalescing().map(|joined| format!("{joined:.1}"))), Style::new()),
        ("p50 ", or_none(rates.p50.map(latency)), Style::new()),
        ("p99 ", or_none(rates.p99.map(latency)), Style::new()),
    ])
}

fn health_line(screen: &Screen, look: &Look) -> Line<'static> {
    let rate = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |rate| units::count(rate) + "/s");
    let rates = look.rates.as_ref();
    let refusals = rates.map(|rates| rates.refusals);
    let refused = if refusals.is_some_and(|rate| rate > 0.0) { screen.warning() } else { Style::new() };
    named([
        ("cores ", rates.map_or_else(|| "-".to_owned(), |rates| format!("{:.2}", rates.cores)), Style::new()),
        ("memory ", units::bytes(look.resident_bytes), Style::new()),
        ("refused ", rate(refusals), refused),
        ("closed ", rate(rates.map(|rates| rates.closes)), Style::new()),
    ])
}

/// Returns values behind their names.
fn named<const N: usize>(values: [(&'static str, String, Style); N]) -> Line<'static> {
    let spans = values
        .into_iter()
        .flat_map(|(name, value, style)| [name.dim(), Span::styled(value, style).bold(), "   ".into()]);
    Line::from(spans.collect::<Vec<_>>())
}

/// Returns the upper bound of a latency; the last bucket has none.
fn latency(seconds: f64) -> String {
    if seconds.is_finite() { units::wait(seconds) } else { ">10s".to_owned() }
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(Style::new().dim()).title(Span::from(title).bold())
}

fn header(names: &[&'static str]) -> Row<'static> {
    Row::new(names.iter().map(|name| Line::from(*name).right_aligned())).style(Style::new().dim())
}

fn right(text: impl Into<String>) -> Line<'static> {
    Line::from(text.into()).right_aligned()
}

fn shard_table(screen: &Screen, look: &Look) -> Table<'static> {
    let row = |shard: &ShardRow| {
        let or_none = |number: Option<String>| right(number.unwrap_or_else(|| "-".to_owned()));
        let marked = |line: Line<'static>, is_marked| if is_marked { line.style(screen.warning()) } else { line };
        Row::new([
            right(shard.name.clone()),
            right(units::count(shard.connections)),
            right(units::count(shard.channels)),
            or_none(shard.deliveries.map(units::count)),
            or_none(shard.coalescing.map(|joined| format!("{joined:.1}"))),
            or_none(shard.p99.map(latency)),
            marked(right(units::count(shard.parked)), shard.parked > 0.0),
            marked(right(units::bytes(shard.lag_bytes)), shard.lag_bytes > 0.0),
            right(units::count(shard.inbox)),
        ])
    };
    let names = ["shard", "connections", "channels", "deliver/s", "joined", "p99", "parked", "lag", "inbox"];
    let widths = [5, 11, 8, 9, 6, 6, 6, 8, 6].map(Constraint::Length);
    let rows = look.shards.iter().take(SHARDS_SHOWN).map(row);
    let hidden = look.shards.len().saturating_sub(SHARDS_SHOWN);
    let title = if hidden > 0 { format!("shards, {hidden} more not shown ") } else { "shards ".to_owned() };
    Table::new(rows, widths).header(header(&names)).column_spacing(1).block(titled(title))
}

fn draw_connections(frame: &mut Frame<'_>, screen: &Screen, look: &Look, area: Rect) {
    let sort = screen.sort();
    let rows = match &look.slowest {
        Ok(rows) => rows,
        Err(why) => {
            return frame.render_widget(Paragraph::new(why.as_str()).block(titled("connections ".into())), area);
        }
    };
    let is_wide = area.width >= WIDE;
    let mut names = vec!["queued", "stalled", "age", "rtt", "unsent", "resent"];
    let mut widths: Vec<_> = [9, 7, 7, 7, 9, 6].map(Constraint::Length).to_vec();
    if is_wide {
        names.extend(["state", "id"]);
        widths.extend([8, 12].map(Constraint::Length));
    }
    widths.extend([Constraint::Length(if is_wide { 25 } else { 15 }), Constraint::Fill(1)]);
    let lines = rows.iter().skip(screen.scrolled).map(|row| connection_row(screen, row, is_wide));
    let mut head: Vec<_> = names.into_iter().map(|name| Line::from(name).right_aligned()).collect();
    head.extend([Line::from("client"), Line::from("channels")]);
    let from = if screen.scrolled > 0 { format!(", from {} on", screen.scrolled + 1) } else { String::new() };
    let title = format!("connections by {sort}{from} ");
    let table = Table::new(lines, widths).header(Row::new(head).style(Style::new().dim())).column_spacing(1);
    frame.render_widget(table.block(titled(title)), area);
}

fn connection_row<'a>(screen: &Screen, row: &'a ConnectionRow, is_wide: bool) -> Row<'a> {
    let or_none = |number: Option<f64>, unit: fn(f64) -> String| right(number.map_or_else(|| "-".to_owned(), unit));
    let mut cells = vec![
        right(units::bytes(row.queued_bytes)),
        or_none(row.stalled, units::wait),
        right(units::age(row.age)),
        or_none(row.round_trip, units::wait),
        or_none(row.unsent_bytes, units::bytes),
        or_none(row.retransmitted, units::count),
    ];
    if is_wide {
        cells.extend([right(row.state.as_str()), right(row.id.as_str())]);
    }
    cells.extend([Line::from(row.client.as_str()), Line::from(row.channels.as_str())]);
    let is_slow = row.stalled.is_some() || row.queued_bytes > 0.0;
    Row::new(cells).style(if is_slow { screen.warning() } else { Style::new() })
}

fn draw_channels(frame: &mut Frame<'_>, look: &Look, area: Rect) {
    let rows = match &look.busiest {
        Ok(rows) => rows,
        Err(why) => return frame.render_widget(Paragraph::new(why.as_str()).block(titled("channels ".into())), area),
    };
    let row = |row: &ChannelRow| {
        Row::new([
            right(row.rate.map_or_else(|| "-".to_owned(), units::count)),
            right(units::count(row.publications)),
            right(units::count(row.subscribers)),
            Line::from(row.name.clone()),
        ])
    };
    let widths = [Constraint::Length(9), Constraint::Length(9), Constraint::Length(11), Constraint::Fill(1)];
    let mut head: Vec<_> = ["publish/s", "published", "subscribers"].map(right).to_vec();
    head.push(Line::from("channel"));
    let table = Table::new(rows.iter().map(row), widths).header(Row::new(head).style(Style::new().dim()));
    frame.render_widget(table.column_spacing(1).block(titled("channels by publications per second ".into())), area);
}

fn foot_line(screen: &Screen) -> Line<'static> {
    let mut spans = vec![if screen.medium == Medium::Printed { "".into() } else { KEYS.dim() }];
    if screen.is_paused {
        spans.extend(["   ".into(), Span::styled("paused", screen.warning())]);
    }
    if let Some(trouble) = screen.trouble.clone().filter(|_| screen.look.is_some()) {
        spans = vec![Span::styled(trouble, screen.bad()), "; trying again".into()];
    }
    Line::from(spans)
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines = u16::try_from(HELP.len()).unwrap_or(u16::MAX);
    let (width, height) = (58.min(area.width), (lines + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let lines: Vec<_> = HELP.iter().map(|line| Line::from(*line)).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help ")), place);
}
