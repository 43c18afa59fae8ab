//! The declaration of counters: one macro for those of a shard and those of the process.

use crate::protocol::{CloseReason, Encoding};

/// How a number changes, and its unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Only grows; counted in microseconds, shown in seconds.
    Seconds,
    /// Goes up and down; shown only as a part of another metric.
    Part,
}

/// A metric: its declaration, and how its numbers are read.
#[derive(Debug)]
pub struct Metric<T> {
    /// Name without prefix, unit and suffix.
    pub name: &'static str,
    /// How it changes.
    pub kind: MetricKind,
    /// Help text.
    pub help: &'static str,
    /// How it is read.
    pub read: Read<T>,
}

/// How the numbers of a metric are read.
#[derive(Debug)]
pub enum Read<T> {
    /// One number.
    One(fn(&T) -> u64),
    /// One number per value of a label.
    ByLabel {
        /// Name of the label.
        label: &'static str,
        /// All its values.
        values: &'static [&'static str],
        /// Returns the numbers, in the order of the values.
        numbers: fn(&T) -> &[u64],
    },
}

/// A closed set of values of a label, so that clients cannot add any.
pub trait Labels {
    /// Name of the label.
    const LABEL: &'static str;

    /// All values.
    const VALUES: &'static [&'static str];
}

impl Labels for CloseReason {
    const LABEL: &'static str = "reason";

    const VALUES: &'static [&'static str] = &Self::LABELS;
}

impl Labels for Encoding {
    const LABEL: &'static str = "protocol";

    const VALUES: &'static [&'static str] = &Self::PROTOCOLS;
}

/// Declares counters once: as plain numbers that one owner counts, as atomics that all may read, and as a list for the
/// metrics page.
///
/// ```text
/// counters! {
///     /// What the plain numbers are.
///     pub struct Plain;
///     /// What the atomics are.
///     pub struct Shared { pub };
///     numbers {
///         /// Help text.
///         Kind name,
///         /// Help text of a metric whose name is not that of the field.
///         Kind field as "name",
///     }
///     labelled {
///         /// Help text.
///         Kind name: TypeOfTheLabel,
///     }
///     histograms {
///         /// Not part of the list: a histogram has a format of its own.
///         name: Plain as Shared,
///     }
/// }
/// ```
macro_rules! counters {
    (
        $(#[$plain_meta:meta])*
        $outer:vis struct $Plain:ident;
        $(#[$shared_meta:meta])*
        $shared_outer:vis struct $Shared:ident { $vis:vis };
        numbers { $($(#[doc = $help:literal])+ $MetricKind:ident $name:ident $(as $shown:literal)?,)+ }
        labelled { $($(#[doc = $by_help:literal])+ $ByKind:ident $by_name:ident: $Label:ty,)* }
        histograms { $($(#[doc = $histogram_help:literal])+ $histogram:ident: $Histogram:ty as $SharedHistogram:ty,)* }
    ) => {
        $(#[$plain_meta])*
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        $outer struct $Plain {
            $($(#[doc = $help])+ $outer $name: u64,)+
            $($(#[doc = $by_help])+ $outer $by_name: [u64; <$Label as $crate::metrics::Labels>::VALUES.len()],)*
            $($(#[doc = $histogram_help])+ $outer $histogram: $Histogram,)*
        }

        $(#[$shared_meta])*
        #[derive(Debug, Default)]
        $shared_outer struct $Shared {
            $($(#[doc = $help])+ $vis $name: std::sync::atomic::AtomicU64,)+
            $(
                $(#[doc = $by_help])+
                $vis $by_name:
                    [std::sync::atomic::AtomicU64; <$Label as $crate::metrics::Labels>::VALUES.len()],
            )*
            $($(#[doc = $histogram_help])+ $vis $histogram: $SharedHistogram,)*
        }

        impl $Plain {
            /// The declarations, in the order of the metrics page.
            $outer const METRICS: &'static [$crate::metrics::Metric<Self>] = &[
                $($crate::metrics::Metric {
                    name: $crate::metrics::counters::shown!($name $($shown)?),
                    kind: $crate::metrics::MetricKind::$MetricKind,
                    help: concat!($($help),+),
                    read: $crate::metrics::Read::One(|counts| counts.$name),
                },)+
                $($crate::metrics::Metric {
                    name: stringify!($by_name),
                    kind: $crate::metrics::MetricKind::$ByKind,
                    help: concat!($($by_help),+),
                    read: $crate::metrics::Read::ByLabel {
                        label: <$Label as $crate::metrics::Labels>::LABEL,
                        values: <$Label as $crate::metrics::Labels>::VALUES,
                        numbers: |counts| &counts.$by_name,
                    },
                },)*
            ];
        }

        impl $Shared {
            /// Makes the numbers of their one owner visible to others.
            // Relaxed throughout: each number stands for itself.
            $shared_outer fn publish(&self, counts: &$Plain) {
                use std::sync::atomic::Ordering::Relaxed;
                $(self.$name.store(counts.$name, Relaxed);)+
                $(for (shared, count) in self.$by_name.iter().zip(counts.$by_name) {
                    shared.store(count, Relaxed);
                })*
                $(self.$histogram.publish(&counts.$histogram);)*
            }

            /// Returns the numbers of this moment.
            $shared_outer fn read(&self) -> $Plain {
                use std::sync::atomic::Ordering::Relaxed;
                $Plain {
                    $($name: self.$name.load(Relaxed),)+
                    $($by_name: std::array::from_fn(|value| self.$by_name[value].load(Relaxed)),)*
                    $($histogram: self.$histogram.read(),)*
                }
            }
        }

        impl std::ops::AddAssign for $Plain {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
                $(for (sum, count) in self.$by_name.iter_mut().zip(other.$by_name) {
                    *sum += count;
                })*
                $(self.$histogram += other.$histogram;)*
            }
        }
    };
}

/// Chooses the name that the metrics page shows.
macro_rules! shown {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $shown:literal) => {
        $shown
    };
}

pub(super) use {counters, shown};

#[cfg(test)]
mod tests {
    use super::*;

    counters! {
        /// Plain numbers.
        struct Plain;
        /// Atomics.
        struct Shared { pub(super) };
        numbers {
            /// Things.
            Counter things,
            /// Time.
            Seconds time_micros as "time",
        }
        labelled {
            /// Closes.
            Counter ends: CloseReason,
        }
        histograms {}
    }

    /// A declaration is all that a new counter needs.
    #[test]
    fn declared_counter_is_published_read_summed_and_listed() {
        let mut counts = Plain { things: 1, time_micros: 2, ..Plain::default() };
        counts.ends[3] = 4;
        let shared = Shared::default();
        shared.publish(&counts);
        let mut sum = shared.read();
        assert_eq!(sum, counts);
        sum += counts;
        assert_eq!((sum.things, sum.time_micros, sum.ends[3]), (2, 4, 8));
        let names: Vec<_> = Plain::METRICS.iter().map(|metric| (metric.name, metric.kind, metric.help)).collect();
        assert_eq!(names[1], ("time", MetricKind::Seconds, " Time."));
        assert!(
            matches!(Plain::METRICS[2].read, Read::ByLabel { label: "reason", numbers, .. } if numbers(&sum)[3] == 8)
        );
    }
}
