//! The event loop of the live view: keys, snapshots and the terminal, until the user quits.

use super::client::{HubClient, HubError};
use super::view::draw;
use super::{Medium, Options, Sample, Screen, Snapshot};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Actions that may wait: a person types slower than a screen is drawn.
const ACTIONS_MAX: usize = 16;

/// Interval of the first snapshot, which is short because the screen is still empty.
const FIRST_INTERVAL: Duration = Duration::from_millis(200);

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Quit,
    Sort,
    SortChannels,
    Pause,
    Help,
    Scroll(isize),
    /// The terminal was resized.
    Redraw,
}

/// Shows the hub until the user quits. The terminal is restored in every case.
pub(super) async fn run(options: &Options, medium: Medium) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = event_loop(&mut terminal, options, medium).await;
    ratatui::restore();
    result
}

async fn event_loop(terminal: &mut DefaultTerminal, options: &Options, medium: Medium) -> anyhow::Result<()> {
    let (client, mut screen) = (HubClient::new(options)?, Screen::new(options.url.to_string(), medium));
    let mut actions = read_actions();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut before = None;
    loop {
        let snapshot = next_snapshot(&client, before.clone(), &screen, options.interval);
        tokio::pin!(snapshot);
        // Actions are carried out while the snapshot is taken. Another order needs another snapshot, so this one is
        // abandoned then.
        let result = loop {
            terminal.draw(|frame| draw(frame.buffer_mut(), &screen))?;
            tokio::select! {
                result = &mut snapshot, if !screen.is_paused() => break Some(result),
                _ = terminated.recv() => return Ok(()),
                action = actions.recv() => match action {
                    None | Some(Action::Quit) => return Ok(()),
                    Some(Action::Sort) => {
                        screen.next_sort();
                        break None;
                    }
                    Some(Action::SortChannels) => {
                        screen.next_channel_sort();
                        break None;
                    }
                    Some(action) => apply(action, &mut screen),
                }
            }
        };
        match result {
            Some(Ok(snapshot)) => {
                before = Some(snapshot.sample.clone());
                screen.show(snapshot);
            }
            Some(Err(error)) => screen.show_error(error.to_string()),
            None => {}
        }
    }
}

/// Begins the next snapshot. Returns a future that does not borrow the screen, which changes meanwhile.
fn next_snapshot<'a>(
    client: &'a HubClient,
    before: Option<Sample>,
    screen: &Screen,
    interval: Duration,
) -> impl Future<Output = Result<Snapshot, HubError>> + use<'a> {
    let (sorts, interval) = (screen.sorts(), if before.is_some() { interval } else { FIRST_INTERVAL });
    async move { client.snapshot(before.as_ref(), sorts, interval).await }
}

fn apply(action: Action, screen: &mut Screen) {
    match action {
        Action::Pause => screen.toggle_pause(),
        Action::Help => screen.toggle_help(),
        Action::Scroll(lines) => screen.scroll(lines),
        // The loop draws after every action, and handles the others itself.
        Action::Redraw | Action::Quit | Action::Sort | Action::SortChannels => {}
    }
}

/// Reads events on a thread of its own, because reading a terminal blocks. The thread ends with the process.
fn read_actions() -> mpsc::Receiver<Action> {
    let (sender, actions) = mpsc::channel(ACTIONS_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(action) = action(&event)
                && sender.blocking_send(action).is_err()
            {
                return;
            }
        }
    });
    actions
}

fn action(event: &Event) -> Option<Action> {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Resize(..) => return Some(Action::Redraw),
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Action::Quit),
        KeyCode::Char('s') => Some(Action::Sort),
        KeyCode::Char('c') => Some(Action::SortChannels),
        KeyCode::Char('p' | ' ') => Some(Action::Pause),
        KeyCode::Char('?' | 'h') => Some(Action::Help),
        KeyCode::Up | KeyCode::Char('k') => Some(Action::Scroll(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Action::Scroll(1)),
        KeyCode::PageUp => Some(Action::Scroll(-10)),
        KeyCode::PageDown => Some(Action::Scroll(10)),
        _ => None,
    }
}
