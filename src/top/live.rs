//! The live view: keys, looks and the terminal, until somebody ends it.

use super::ask::{Asker, Trouble};
use super::{Look, Medium, Options, Sample, Screen, draw};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Keys that wait: a person types slower than a screen is drawn.
const KEYS: usize = 16;

/// What the first look counts over.
const FIRST: Duration = Duration::from_millis(200);

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    End,
    Sort,
    Pause,
    Help,
    Scroll(isize),
    /// The terminal has another size.
    Redraw,
}

/// Looks until told to stop. Whatever happens, the terminal is given back as it was.
pub(super) async fn run(options: &Options, medium: Medium) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let ended = look_on(&mut terminal, options, medium).await;
    ratatui::restore();
    ended
}

async fn look_on(terminal: &mut DefaultTerminal, options: &Options, medium: Medium) -> anyhow::Result<()> {
    let (asker, mut screen) = (Asker::new(options), Screen::new(options.url.to_string(), medium));
    let mut wishes = wishes();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut before = None;
    loop {
        let look = next_look(&asker, before.clone(), &screen, options.interval);
        tokio::pin!(look);
        // What is wished for is done at once, and the look goes on meanwhile; one that would be sorted as nobody wants
        // any more is given up.
        let looked = loop {
            terminal.draw(|frame| draw(frame, &screen))?;
            tokio::select! {
                looked = &mut look, if !screen.is_paused() => break Some(looked),
                _ = terminated.recv() => return Ok(()),
                wish = wishes.recv() => match wish {
                    None | Some(Wish::End) => return Ok(()),
                    Some(Wish::Sort) => break None,
                    Some(wish) => fulfil(wish, &mut screen),
                }
            }
        };
        match looked {
            Some(Ok(look)) => {
                before = Some(look.sample.clone());
                screen.show(look);
            }
            Some(Err(trouble)) => screen.complain(trouble.text()),
            None => screen.sort_on(),
        }
    }
}

/// Begins the next look. The first one is short: there is nothing on the screen yet.
fn next_look<'a>(
    asker: &'a Asker,
    before: Option<Sample>,
    screen: &Screen,
    interval: Duration,
) -> impl Future<Output = Result<Look, Trouble>> + use<'a> {
    let (sort, interval) = (screen.sort(), if before.is_some() { interval } else { FIRST });
    async move { asker.look(before.as_ref(), sort, interval).await }
}

fn fulfil(wish: Wish, screen: &mut Screen) {
    match wish {
        Wish::Pause => screen.pause(),
        Wish::Help => screen.help(),
        Wish::Scroll(lines) => screen.scroll(lines),
        // Drawn anew after every wish.
        Wish::Redraw | Wish::End | Wish::Sort => {}
    }
}

/// Reads keys on a thread of its own, which ends with the process: the terminal can only be waited for.
fn wishes() -> mpsc::Receiver<Wish> {
    let (wished, wishes) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(wish) = wish(&event)
                && wished.blocking_send(wish).is_err()
            {
                return;
            }
        }
    });
    wishes
}

fn wish(event: &Event) -> Option<Wish> {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Resize(..) => return Some(Wish::Redraw),
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
        KeyCode::Char('s') => Some(Wish::Sort),
        KeyCode::Char('p' | ' ') => Some(Wish::Pause),
        KeyCode::Char('?' | 'h') => Some(Wish::Help),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Scroll(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Scroll(1)),
        KeyCode::PageUp => Some(Wish::Scroll(-10)),
        KeyCode::PageDown => Some(Wish::Scroll(10)),
        _ => None,
    }
}
