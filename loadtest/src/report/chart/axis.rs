//! An axis: the place of a value between the edges of a plot, and the values that get a tick.

use crate::report::figures::Unit;

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scale {
    /// From 0, so that lengths can be compared.
    Linear,
    Log,
    /// Of shares: every nine takes the same room.
    Nines,
}

/// A direction of a chart, before anything is known of its data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    pub(crate) scale: Scale,
    pub(crate) unit: Unit,
}

/// An axis with edges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) axis: Axis,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A value that is written at its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// 0 is the low edge, 1 the high one.
    pub(super) at: f64,
    pub(super) text: String,
}

/// Ticks that a linear axis has at most, the one at 0 not counted: more than these are not read.
const STEPS_MAX: f64 = 8.0;

/// A logarithmic axis over more decades than this names no 2 and no 5.
const DECADES_DENSE_MAX: f64 = 3.1;

/// Shares that a reader of percentiles looks for.
const NINES: [(f64, &str); 6] =
    [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"), (0.99999, "99.999 %")];

/// Beyond five nines a run has too few messages for a figure.
const SHARE_MAX: f64 = 0.999_99;

impl Axis {
    /// Finds edges around `values`; `is_padded` ends at a tick instead of the last value. Nothing if there are no
    /// values.
    pub(super) fn around(self, values: impl Iterator<Item = f64>, is_padded: bool) -> Option<Range> {
        let is_shown = |value: &f64| value.is_finite() && (self.scale != Scale::Log || *value > 0.0);
        let (low, high) = values
            .filter(is_shown)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let (low, high) = match self.scale {
            Scale::Linear if high <= 0.0 => (0.0, 1.0),
            Scale::Linear if is_padded => {
                let step = self.step(high);
                (0.0, (high / step).ceil() * step)
            }
            Scale::Linear => (0.0, high),
            Scale::Log => spread(low, high),
            Scale::Nines => (0.0, high.clamp(0.9, SHARE_MAX)),
        };
        Some(Range { axis: self, low, high })
    }

    /// Returns the distance between two ticks up to `high`: 1, 2 or 5 times a power of ten, or of 1024 for bytes.
    fn step(self, high: f64) -> f64 {
        let thousand = if matches!(self.unit, Unit::Bytes | Unit::BytesPerHour) { 1024.0_f64 } else { 1000.0 };
        let mut scale = 1.0;
        while high / scale >= thousand {
            scale *= thousand;
        }
        let coarse = high / scale / STEPS_MAX;
        let decade = 10_f64.powf(coarse.log10().floor());
        let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * decade >= coarse);
        let step = digit.unwrap_or(10.0) * decade * scale;
        // There is no half of a byte, nor of a client.
        if matches!(self.unit, Unit::Bytes | Unit::BytesPerHour | Unit::Count) { step.max(1.0) } else { step }
    }
}

/// Returns the nearest of 1, 2 and 5 below and above, and never twice the same.
fn spread(low: f64, high: f64) -> (f64, f64) {
    let decade = |value: f64| 10_f64.powf(value.log10().floor());
    let below = |value: f64| {
        let digits = [5.0, 2.0, 1.0].map(|digit| digit * decade(value));
        digits.into_iter().find(|tick| *tick <= value * (1.0 + 1e-9)).unwrap_or_else(|| decade(value))
    };
    let above = |value: f64| {
        let digits = [1.0, 2.0, 5.0].map(|digit| digit * decade(value));
        digits.into_iter().find(|tick| *tick >= value * (1.0 - 1e-9)).unwrap_or_else(|| 10.0 * decade(value))
    };
    let (low, high) = (below(low), above(high));
    // Less than a factor of four is no room for a curve.
    if high / low < 4.0 { (below(low * 0.6), above(high * 1.6)) } else { (low, high) }
}

impl Range {
    /// Places a value: 0 is the low edge, 1 the high one. Values outside are placed on the edge.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = (self.bend(self.low), self.bend(self.high), self.bend(value));
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn bend(&self, value: f64) -> f64 {
        match self.axis.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).log10(),
            Scale::Nines => -(1.0 - value.min(SHARE_MAX)).log10(),
        }
    }

    /// Chooses the values to write, in ascending order.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let tick = |value: f64| Tick { at: self.place(value), text: brief(&self.axis.unit.write(value)) };
        match self.axis.scale {
            Scale::Linear => {
                let step = self.axis.step(self.high);
                let steps = (0..).map(|number| f64::from(number) * step);
                steps.take_while(|value| *value <= self.high * (1.0 + 1e-9)).map(tick).collect()
            }
            Scale::Log => self.decades().map(tick).collect(),
            Scale::Nines => {
                let shown = NINES.iter().filter(|(share, _)| *share <= self.high * (1.0 + 1e-9));
                shown.map(|(share, text)| Tick { at: self.place(*share), text: (*text).to_owned() }).collect()
            }
        }
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low, self.high * (1.0 + 1e-9));
        let digits: &[f64] = if (high / low).log10() <= DECADES_DENSE_MAX { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let first = 10_f64.powf(low.log10().floor());
        let decades = std::iter::successors(Some(first), move |decade| Some(decade * 10.0));
        let ticks = decades.take_while(move |decade| *decade <= high);
        ticks
            .flat_map(move |decade| digits.iter().map(move |digit| digit * decade))
            .filter(move |value| *value >= low * (1.0 - 1e-9) && *value <= high)
    }
}

/// Removes trailing zeros, which are noise on a tick: `10.0 ms` is `10 ms`.
pub(super) fn brief(text: &str) -> String {
    let (number, unit) = text.split_once(' ').map_or((text, ""), |(number, unit)| (number, unit));
    if !number.contains('.') {
        return text.to_owned();
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, unit: Unit) -> Axis {
        Axis { title: "", scale, unit }
    }

    fn texts(axis: Axis, values: &[f64]) -> Vec<String> {
        let range = axis.around(values.iter().copied(), true).unwrap();
        range.ticks().into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn linear_ticks_are_1_2_or_5_apart() {
        assert_eq!(texts(axis(Scale::Linear, Unit::Count), &[3.0, 9.0]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(axis(Scale::Linear, Unit::Count), &[2.0]), ["0", "1", "2"]);
        let rates = texts(axis(Scale::Linear, Unit::PerSecond), &[1_180_000.0]);
        assert_eq!(rates.last().unwrap(), "1,200,000");
        assert_eq!(texts(axis(Scale::Linear, Unit::Share), &[0.93]), ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
    }

    #[test]
    fn ticks_of_bytes_are_whole() {
        let ticks = texts(axis(Scale::Linear, Unit::Bytes), &[190.0 * 1_048_576.0]);
        assert_eq!(ticks, ["0 B", "50 MiB", "100 MiB", "150 MiB", "200 MiB"]);
    }

    #[test]
    fn log_axis_names_decades_and_their_2_and_5_if_there_is_room() {
        assert_eq!(texts(axis(Scale::Log, Unit::Latency), &[120.0, 900.0]), ["100 µs", "200 µs", "500 µs", "1 ms"]);
        assert_eq!(texts(axis(Scale::Log, Unit::Latency), &[30.0, 2e6]), ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        let range = axis(Scale::Log, Unit::Latency).around([1.0, 100.0].into_iter(), true).unwrap();
        assert!((range.place(10.0) - 0.5).abs() < 1e-9);
        assert!(range.place(0.0).abs() < 1e-9, "0 has no logarithm and stands on the edge");
    }

    #[test]
    fn every_nine_takes_the_same_room() {
        let range = axis(Scale::Nines, Unit::Share).around([0.0, 1.0].into_iter(), false).unwrap();
        let at: Vec<f64> = range.ticks().iter().map(|tick| tick.at).collect();
        assert_eq!(at.len(), 6);
        assert!((at[1] - 0.2).abs() < 1e-6 && (at[3] - 0.6).abs() < 1e-6 && (at[5] - 1.0).abs() < 1e-6, "{at:?}");
    }

    /// A run without values, or with equal ones, must not divide by zero.
    #[test]
    fn edges_exist_for_empty_equal_and_absurd_values() {
        for scale in [Scale::Linear, Scale::Log, Scale::Nines] {
            let axis = axis(scale, Unit::Latency);
            assert!(axis.around([].into_iter(), true).is_none());
            assert!(axis.around([f64::NAN, f64::INFINITY].into_iter(), true).is_none());
            for value in [1e-3, 0.5, 1.0, 7.0, 3.6e9] {
                let range = axis.around([value, value].into_iter(), false).unwrap();
                assert!(range.low < range.high, "{range:?}");
                assert!(range.place(value).is_finite());
                assert!(range.ticks().iter().all(|tick| (0.0..=1.0).contains(&tick.at)), "{range:?}");
            }
        }
        assert!(axis(Scale::Linear, Unit::Count).around([0.0].into_iter(), true).unwrap().place(0.0).abs() < 1e-9);
    }
}
