//! A limit on the log: a flood of connections must not become a flood of lines, and then a full disk.
//!
//! Each callsite (a statement in the code that logs) may write a fixed number of lines per second. Further lines are
//! counted, and the count is logged in the next second. There is one counter per callsite, so clients cannot add any.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one callsite within a second: enough for everything that a reload logs, few enough for any disk.
const LINES_MAX: u32 = 20;

/// Time in which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// What one callsite logged within the current second.
#[derive(Debug)]
struct Callsite {
    name: &'static str,
    since: Instant,
    lines: u32,
    suppressed: u64,
}

/// Limits the lines of each callsite.
#[derive(Clone, Debug, Default)]
pub(super) struct LogLimit {
    callsites: Arc<Mutex<HashMap<Identifier, Callsite>>>,
}

impl LogLimit {
    fn allows(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut callsites = self.callsites.lock();
        let new = || Callsite { name: metadata.name(), since: now, lines: 0, suppressed: 0 };
        let callsite = callsites.entry(metadata.callsite()).or_insert_with(new);
        if now.duration_since(callsite.since) >= WINDOW {
            (callsite.since, callsite.lines) = (now, 0);
        }
        callsite.lines += 1;
        callsite.suppressed += u64::from(callsite.lines > LINES_MAX);
        callsite.lines <= LINES_MAX
    }

    /// Returns what was left out since the last call, by callsite.
    fn take_suppressed(&self) -> Vec<(&'static str, u64)> {
        let mut callsites = self.callsites.lock();
        let taken = callsites.values_mut().map(|callsite| (callsite.name, std::mem::take(&mut callsite.suppressed)));
        taken.filter(|(_, count)| *count > 0).collect()
    }

    /// Logs once a second how many lines were left out, until the process ends.
    pub(super) async fn report(self) {
        let mut ticks = interval(WINDOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (callsite, lines) in self.take_suppressed() {
                tracing::warn!(callsite, lines, "further lines like these were left out");
            }
        }
    }
}

impl<S: Subscriber> Filter<S> for LogLimit {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // Spans are for trace collectors: a line is complete without them.
        !metadata.is_span()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // An operator who asks for debug lines wants all of them.
        *event.metadata().level() > Level::INFO || self.allows(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    /// Lines, as in a file.
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

    /// No line is lost silently: the rest is counted, and other callsites have limits of their own.
    #[test]
    fn callsite_writes_a_fixed_number_of_lines_per_second_and_the_rest_is_counted() {
        let (limit, lines) = (LogLimit::default(), Lines::default());
        let (writer, since) = (lines.clone(), Instant::now());
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(limit.clone());
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
        let suppressed = limit.take_suppressed();
        assert_eq!(suppressed.iter().map(|(_, count)| count).sum::<u64>(), 1_000 - floods);
        assert!(limit.take_suppressed().is_empty());
    }
}
