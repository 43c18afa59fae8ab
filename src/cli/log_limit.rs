//! A flood guard: a flood of connections must not become a flood of lines, and then a full disk.
//!
//! Each place in the code that logs may write so many lines a second; what it would write beyond that is counted, and
//! the count is written in the next second. There are as many counters as places, so that nobody outside can add one.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place within a second: all that one reload says, and few enough for any disk.
const LINES_MAX: u32 = 20;

/// A second.
const WINDOW: Duration = Duration::from_secs(1);

/// What one place in the code wrote within the current second.
#[derive(Debug)]
struct Place {
    what: &'static str,
    since: Instant,
    lines: u32,
    suppressed: u64,
}

/// Counts lines by the place that writes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

impl Guard {
    fn allows(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.places.lock();
        let new = || Place { what: metadata.name(), since: now, lines: 0, suppressed: 0 };
        let place = places.entry(metadata.callsite()).or_insert_with(new);
        if now.duration_since(place.since) >= WINDOW {
            (place.since, place.lines) = (now, 0);
        }
        place.lines += 1;
        place.suppressed += u64::from(place.lines > LINES_MAX);
        place.lines <= LINES_MAX
    }

    /// Returns what was left out since the last call, by place.
    fn take_suppressed(&self) -> Vec<(&'static str, u64)> {
        let mut places = self.places.lock();
        let taken = places.values_mut().map(|place| (place.what, std::mem::take(&mut place.suppressed)));
        taken.filter(|(_, count)| *count > 0).collect()
    }

    /// Says once a second what was left out, for ever.
    pub(super) async fn report(self) {
        let mut ticks = interval(WINDOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (place, lines) in self.take_suppressed() {
                tracing::warn!(place, lines, "lines like those before were left out");
            }
        }
    }
}

impl<S: Subscriber> Filter<S> for Guard {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // Spans are for collectors: a line says enough by itself.
        !metadata.is_span()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // Who asks for more wants all of it.
        *event.metadata().level() > Level::INFO || self.allows(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    /// Lines, as a file would have them.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Nothing is lost silently: what is left out is counted, and other places are not concerned.
    #[test]
    fn place_writes_so_many_lines_a_second_and_the_rest_is_counted() {
        let (guard, lines) = (Guard::default(), Lines::default());
        let (writer, since) = (lines.clone(), Instant::now());
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(guard.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for number in 0..1_000 {
                tracing::warn!(number, "flood");
            }
            tracing::info!("something else");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let floods = text.matches("flood number=").count() as u64;
        // A machine that takes longer than a second may write as many again in each.
        let windows = 1 + since.elapsed().as_secs();
        assert!((LINES_MAX.into()..=windows * u64::from(LINES_MAX)).contains(&floods), "{text}");
        assert!(text.contains("something else"));
        let suppressed = guard.take_suppressed();
        assert_eq!(suppressed.iter().map(|(_, count)| count).sum::<u64>(), 1_000 - floods);
        assert!(guard.take_suppressed().is_empty());
    }
}
