//! A change: how a figure of one run compares with the same figure of the first.

use crate::report::figures::{Better, Unit, Value};

/// Two full rounds of the same test agree within this share; smaller differences are called the same.
pub(super) const SAME: f64 = 0.03;

/// How a figure compares with the first run's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Absent where the first figure is 0.
    ratio: Option<f64>,
    kind: Kind,
    is_up: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Same,
    Better,
    Worse,
    /// Neither way is good.
    Other,
}

impl Change {
    /// Compares two figures of the same name.
    pub(super) fn between(first: Option<Value>, other: Option<Value>) -> Option<Self> {
        let (first, other) = (first?, other?);
        let (before, after) = (first.value, other.value);
        let is_same = (after - before).abs() <= SAME * before.abs();
        let is_up = after > before;
        let kind = match (is_same, other.better) {
            (true, _) => Kind::Same,
            (_, Better::Neither) => Kind::Other,
            (_, Better::Higher) if is_up => Kind::Better,
            (_, Better::Lower) if !is_up => Kind::Better,
            (_, Better::Higher | Better::Lower) => Kind::Worse,
        };
        Some(Self { ratio: (before > 0.0 && after >= 0.0).then(|| after / before), kind, is_up })
    }

    /// Returns the change without a judgement: the load, not the server, may be its reason.
    pub(super) fn unjudged(self) -> Self {
        Self { kind: Kind::Other, ..self }
    }

    /// Returns it in words and with an arrow; the colour only repeats it.
    pub(super) fn html(self) -> String {
        let (class, word) = match self.kind {
            Kind::Same => ("same", " same"),
            Kind::Better => ("better", " better"),
            Kind::Worse => ("worse", " worse"),
            Kind::Other => ("other", ""),
        };
        let arrow = match (self.kind, self.is_up) {
            (Kind::Same, _) => "=",
            (_, true) => "\u{25b2}",
            (_, false) => "\u{25bc}",
        };
        let ratio = self.ratio.map_or_else(String::new, |ratio| Unit::Times.write(ratio));
        format!("<span class=\"change {class}\"><i aria-hidden=\"true\">{arrow}</i> {ratio}{word}</span>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(better: Better, before: f64, after: f64) -> String {
        let value = |value| Value { key: "", label: "", unit: Unit::Count, better, value };
        Change::between(Some(value(before)), Some(value(after))).unwrap().html()
    }

    #[test]
    fn change_is_told_in_words() {
        assert!(change(Better::Lower, 100.0, 150.0).contains("\u{25b2}</i> 1.50 x worse"));
        assert!(change(Better::Lower, 100.0, 50.0).contains("\u{25bc}</i> 0.50 x better"));
        assert!(change(Better::Higher, 100.0, 150.0).contains("better"));
        assert!(change(Better::Higher, 100.0, 102.0).contains("1.02 x same"));
        assert!(!change(Better::Neither, 100.0, 150.0).contains("er<"));
    }

    /// None lost before and some now is no ratio, and is worse all the same.
    #[test]
    fn nothing_has_no_ratio() {
        assert!(change(Better::Lower, 0.0, 3.0).contains("\u{25b2}</i>  worse"));
        assert!(change(Better::Lower, 0.0, 0.0).contains("same"));
        assert!(change(Better::Lower, -5.0, 3.0).contains("</i>  worse"));
        assert_eq!(Change::between(None, None), None);
    }
}
