//! The view: draws a snapshot as tables, on a screen of any size and in the colours of the terminal.

use super::cluster_view;
use super::columns::{Column, columns_that_fit, header, right, shown, titled};
use super::screen::{Medium, Screen};
use super::snapshot::{ChannelRow, ConnectionRow, Rates, ShardRow, Snapshot};
use super::units;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect, Size};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, Widget};

/// Most shards that are shown; a screen is small.
const SHARDS_SHOWN: usize = 16;

/// Most channels that are shown; connections get the rest of the screen.
const CHANNELS_SHOWN: u16 = 10;

/// Columns from which on the id and the state of a connection are shown.
const WIDE: u16 = 110;

/// Columns from which on state and id would fit; they are shown on a wide screen only.
const WIDE_COLUMNS_FROM: u16 = 58;

const KEYS: &str = "q quit  s c sort  p pause  \u{2191}\u{2193} scroll  ? help";

const HELP: [&str; 20] = [
    "q, Esc, Ctrl-C   quit",
    "s                sort connections by lag, stall, age",
    "c                sort channels by rate, subscribers, publications",
    "p, space         pause or continue",
    "\u{2191} \u{2193}, j k         scroll connections",
    "",
    "per write  messages that one write delivers on average",
    "p50, p99   from arrival to the last write, at most: the upper",
    "           bound of the bucket that they fall into",
    "api        answers to backends; those that are errors",
    "history    bytes of all histories; coloured while lines go early",
    "recovered  clients that got all they missed; gaps: that did not",
    "hooks      questions to the application; those that it did not",
    "           answer as documented; and events that were lost",
    "parked     connections whose socket is full",
    "lag        bytes that the slowest client has not got yet",
    "inbox      commands that wait for the shard",
    "queued     bytes that wait in the hub for a client",
    "unsent     bytes that wait in the kernel for a client",
    "resent     TCP segments that were sent again",
];

/// Returns a screen of the given size as text, without colours. Printed text has no empty lines: it needs no size.
pub fn printed(screen: &Screen, size: impl Into<Size>) -> String {
    let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, size.into())));
    draw(&mut buffer, screen);
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        let line = line.trim_end();
        if screen.medium != Medium::Printed || !line.is_empty() {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.trim_end().to_owned() + "\n"
}

/// Draws the screen over the whole buffer.
pub(super) fn draw(buffer: &mut Buffer, screen: &Screen) {
    let area = buffer.area;
    let Some(snapshot) = &screen.snapshot else {
        let text = screen.error.clone().unwrap_or_else(|| format!("asking {} ...", screen.url));
        let [body, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        Paragraph::new(text).style(screen.warning()).render(body, buffer);
        foot_line(screen).render(foot, buffer);
        return;
    };
    let shards = u16::try_from(snapshot.shards.len().min(SHARDS_SHOWN)).unwrap_or(1);
    let listed = snapshot.channels.as_ref().map_or(1, |rows| u16::try_from(rows.len()).unwrap_or(CHANNELS_SHOWN));
    // A quarter of the screen at most: connections need the space more.
    let channels = listed.clamp(1, (area.height / 4).clamp(1, CHANNELS_SHOWN));
    let hubs = snapshot.cluster.as_ref().map_or(0, |cluster| cluster_view::lines(cluster, area.height));
    let parts = [
        Constraint::Length(if snapshot.has_application { 5 } else { 4 }),
        Constraint::Length(hubs),
        Constraint::Length(shards + 2),
        Constraint::Fill(1),
        Constraint::Length(channels + 2),
        Constraint::Length(1),
    ];
    let [head, hubs, shards, connections, channels, foot] = Layout::vertical(parts).areas(area);
    let (load, health) = (load_line(snapshot), health_line(screen, snapshot));
    let mut lines = vec![head_line(screen, snapshot), load, health, backend_line(screen, snapshot)];
    lines.extend(snapshot.has_application.then(|| application_line(screen, snapshot)));
    Paragraph::new(lines).render(head, buffer);
    if let Some(cluster) = &snapshot.cluster {
        cluster_view::draw(buffer, screen, cluster, hubs);
    }
    Widget::render(shard_table(screen, snapshot, shards.width), shards, buffer);
    draw_connections(buffer, screen, snapshot, connections);
    draw_channels(buffer, screen, snapshot, channels);
    foot_line(screen).render(foot, buffer);
    if screen.is_helping {
        draw_help(buffer, area);
    }
}

fn head_line<'a>(screen: &'a Screen, snapshot: &'a Snapshot) -> Line<'a> {
    // Old figures must not look like those of a hub that serves.
    let state = match (screen.silence(), screen.is_paused, snapshot.is_draining) {
        (Some(silence), ..) => Span::styled(format!("no answer for {} s", silence.as_secs()), screen.bad()),
        (None, true, _) => Span::styled("paused", screen.warning()),
        (None, false, true) => Span::styled("draining", screen.bad()),
        (None, false, false) => Span::styled("serving", screen.good()),
    };
    let share = format!("{} of {}", units::count(snapshot.connections_open), units::count(snapshot.connections_max));
    let mut spans = vec![
        Span::from(format!("throng {}", snapshot.version)).bold(),
        "  ".into(),
        state,
        format!("  {}", screen.url).into(),
    ];
    if let Some(uptime) = snapshot.uptime {
        spans.push(format!("  up {}", units::age(uptime)).into());
    }
    spans.extend(["   connections ".dim(), share.bold()]);
    Line::from(spans)
}

fn load_line(snapshot: &Snapshot) -> Line<'static> {
    let Some(rates) = &snapshot.rates else { return Line::from("counting ...".dim()) };
    let or_none = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    named_values([
        ("deliveries ", units::count(rates.deliveries) + "/s", Style::new()),
        ("bytes ", units::bytes(rates.bytes) + "/s", Style::new()),
        ("per write ", or_none(rates.per_write().map(|number| format!("{number:.1}"))), Style::new()),
        ("p50 ", or_none(rates.p50.map(latency)), Style::new()),
        ("p99 ", or_none(rates.p99.map(latency)), Style::new()),
    ])
}

fn health_line(screen: &Screen, snapshot: &Snapshot) -> Line<'static> {
    let rate = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |rate| units::count(rate) + "/s");
    let rates = snapshot.rates.as_ref();
    let refusals = rates.map(|rates| rates.refusals);
    let refused = if refusals.is_some_and(|rate| rate > 0.0) { screen.warning() } else { Style::new() };
    named_values([
        ("cores ", rates.map_or_else(|| "-".to_owned(), |rates| format!("{:.2}", rates.cores)), Style::new()),
        ("memory ", units::bytes(snapshot.resident_bytes), Style::new()),
        ("refused ", rate(refusals), refused),
        ("closed ", rate(rates.map(|rates| rates.closes)), Style::new()),
    ])
}

/// Returns what backends do, and what histories hold and give.
fn backend_line(screen: &Screen, snapshot: &Snapshot) -> Line<'static> {
    let rates = snapshot.rates.as_ref();
    let rate = |read: fn(&Rates) -> f64| {
        let rate = rates.map(read);
        let is_bad = rate.is_some_and(|rate| rate > 0.0);
        (rate.map_or_else(|| "-".to_owned(), |rate| units::count(rate) + "/s"), is_bad)
    };
    let warned = |(text, is_bad): (String, bool)| (text, if is_bad { screen.warning() } else { Style::new() });
    let (errors, error_style) = warned(rate(|rates| rates.api_errors));
    let (incomplete, incomplete_style) = warned(rate(|rates| rates.incomplete));
    // Evictions say more about a full history than its size, which stays at the limit.
    let is_evicting = rates.is_some_and(|rates| rates.evicted > 0.0);
    let used = format!("{} of {}", units::bytes(snapshot.history_bytes), units::bytes(snapshot.history_bytes_max));
    named_values([
        ("api ", rate(|rates| rates.api).0, Style::new()),
        ("errors ", errors, error_style),
        ("history ", used, if is_evicting { screen.warning() } else { Style::new() }),
        ("recovered ", rate(|rates| rates.recoveries).0, Style::new()),
        ("gaps ", incomplete, incomplete_style),
    ])
}

/// Returns what the application is asked and told.
fn application_line(screen: &Screen, snapshot: &Snapshot) -> Line<'static> {
    let rates = snapshot.rates.as_ref();
    let rate = |read: fn(&Rates) -> f64| rates.map_or_else(|| "-".to_owned(), |rates| units::count(read(rates)) + "/s");
    let warned = |is_bad: fn(&Rates) -> bool| if rates.is_some_and(is_bad) { screen.warning() } else { Style::new() };
    let p99 = rates.and_then(|rates| rates.hook_p99).map_or_else(|| "-".to_owned(), latency);
    named_values([
        ("hooks ", rate(|rates| rates.hooks), Style::new()),
        ("failed ", rate(|rates| rates.hook_failures), warned(|rates| rates.hook_failures > 0.0)),
        ("p99 ", p99, Style::new()),
        ("events ", rate(|rates| rates.events), Style::new()),
        ("lost ", rate(|rates| rates.events_lost), warned(|rates| rates.events_lost > 0.0)),
    ])
}

/// Returns a line of names and values.
fn named_values<const N: usize>(values: [(&'static str, String, Style); N]) -> Line<'static> {
    let spans = values
        .into_iter()
        .flat_map(|(name, value, style)| [name.dim(), Span::styled(value, style).bold(), "  ".into()]);
    Line::from(spans.collect::<Vec<_>>())
}

/// Returns the upper bound of a latency; the last bucket has none.
fn latency(seconds: f64) -> String {
    if seconds.is_finite() { units::latency(seconds) } else { ">10s".to_owned() }
}

fn shard_table(screen: &Screen, snapshot: &Snapshot, width: u16) -> Table<'static> {
    let columns: [Column; 9] = [
        ("shard", 5, 0),
        ("connections", 11, 1),
        ("channels", 8, 7),
        ("deliver/s", 9, 2),
        ("per write", 9, 8),
        ("p99", 6, 3),
        ("parked", 6, 5),
        ("lag", 8, 4),
        ("inbox", 6, 6),
    ];
    let is_shown = columns_that_fit(&columns, width);
    let row = |shard: &ShardRow| {
        let or_none = |number: Option<String>| right(number.unwrap_or_else(|| "-".to_owned()));
        let marked = |line: Line<'static>, is_marked| if is_marked { line.style(screen.warning()) } else { line };
        let cells = [
            right(shard.name.clone()),
            right(units::count(shard.connections)),
            right(units::count(shard.channels)),
            or_none(shard.deliveries.map(units::count)),
            or_none(shard.per_write.map(|number| format!("{number:.1}"))),
            or_none(shard.p99.map(latency)),
            marked(right(units::count(shard.parked)), shard.parked > 0.0),
            marked(right(units::bytes(shard.lag_bytes)), shard.lag_bytes > 0.0),
            right(units::count(shard.inbox)),
        ];
        Row::new(shown(cells, &is_shown))
    };
    let names = shown(columns.map(|(name, ..)| right(name)), &is_shown);
    let widths = shown(columns.map(|(_, width, _)| Constraint::Length(width)), &is_shown);
    let rows = snapshot.shards.iter().take(SHARDS_SHOWN).map(row);
    let hidden = snapshot.shards.len().saturating_sub(SHARDS_SHOWN);
    let title = if hidden > 0 { format!("shards, {hidden} more not shown ") } else { "shards ".to_owned() };
    Table::new(rows, widths).header(header(names)).column_spacing(1).block(titled(title))
}

fn draw_connections(buffer: &mut Buffer, screen: &Screen, snapshot: &Snapshot, area: Rect) {
    let sort = screen.sort();
    let rows = match &snapshot.connections {
        Ok(rows) => rows,
        Err(why) => {
            return Paragraph::new(why.as_str()).block(titled("connections ")).render(area, buffer);
        }
    };
    let is_wide = area.width >= WIDE;
    let columns: [Column; 8] = [
        ("queued", 9, 0),
        ("stalled", 7, 1),
        ("age", 7, 3),
        ("rtt", 7, 2),
        ("unsent", 9, 4),
        ("resent", 6, 5),
        ("state", 8, 6),
        ("id", 12, 7),
    ];
    let client = if is_wide { 25 } else { 15 };
    // The names of client and channel are what an operator looks for, so they come before any number.
    let room = if is_wide { area.width } else { area.width.saturating_sub(client + 10).min(WIDE_COLUMNS_FROM) };
    let is_shown = columns_that_fit(&columns, room);
    let mut widths = shown(columns.map(|(_, width, _)| Constraint::Length(width)), &is_shown);
    widths.extend([Constraint::Length(client), Constraint::Fill(1)]);
    let lines = rows.iter().skip(screen.scrolled).map(|row| connection_row(screen, row, &is_shown));
    let mut head = shown(columns.map(|(name, ..)| right(name)), &is_shown);
    head.extend([Line::from("client"), Line::from("channels")]);
    let from = if screen.scrolled > 0 { format!(", from {} on", screen.scrolled + 1) } else { String::new() };
    let title = format!("connections by {sort}{from} ");
    let table = Table::new(lines, widths).header(Row::new(head).style(Style::new().dim())).column_spacing(1);
    Widget::render(table.block(titled(title)), area, buffer);
}

fn connection_row<'a>(screen: &Screen, row: &'a ConnectionRow, is_shown: &[bool]) -> Row<'a> {
    let or_none = |number: Option<f64>, unit: fn(f64) -> String| right(number.map_or_else(|| "-".to_owned(), unit));
    let cells = [
        right(units::bytes(row.queued_bytes)),
        or_none(row.stalled, units::latency),
        right(units::age(row.age)),
        or_none(row.round_trip, units::latency),
        or_none(row.unsent_bytes, units::bytes),
        or_none(row.retransmitted, units::count),
        right(row.state.as_str()),
        right(row.id.as_str()),
    ];
    let mut cells = shown(cells, is_shown);
    cells.extend([Line::from(row.client.as_str()), Line::from(row.channels.as_str())]);
    let is_slow = row.stalled.is_some() || row.queued_bytes > 0.0;
    Row::new(cells).style(if is_slow { screen.warning() } else { Style::new() })
}

fn draw_channels(buffer: &mut Buffer, screen: &Screen, snapshot: &Snapshot, area: Rect) {
    let rows = match &snapshot.channels {
        Ok(rows) => rows,
        Err(why) => return Paragraph::new(why.as_str()).block(titled("channels ")).render(area, buffer),
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
    let title = format!("channels by {} ", screen.channel_sort());
    Widget::render(table.column_spacing(1).block(titled(title)), area, buffer);
}

fn foot_line(screen: &Screen) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = vec![if screen.medium == Medium::Printed { "".into() } else { KEYS.dim() }];
    if let Some(error) = screen.error.clone().filter(|_| screen.snapshot.is_some()) {
        spans = vec![Span::styled(error, screen.bad()), "; trying again".into()];
    }
    Line::from(spans)
}

fn draw_help(buffer: &mut Buffer, area: Rect) {
    let lines = u16::try_from(HELP.len()).unwrap_or(u16::MAX);
    let (width, height) = (68.min(area.width), (lines + 2).min(area.height));
    let popup = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    Clear.render(popup, buffer);
    let lines: Vec<_> = HELP.iter().map(|line| Line::from(*line)).collect();
    Paragraph::new(lines).block(Block::bordered().title(" help ")).render(popup, buffer);
}
