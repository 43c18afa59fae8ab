//! Assertions: conditions on figures that set the exit code, as in `p99<50ms`.

use super::figures::{OF_PHASE, OF_RUN, Unit, find};
use crate::results::Findings;
use thiserror::Error;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assert {
    /// The figure, perhaps of a named phase.
    name: String,
    operator: Operator,
    limit: f64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// Why a condition is refused.
#[derive(Debug, Error)]
pub(crate) enum AssertError {
    #[error("'{0}' compares nothing; write a figure, one of < <= > >= =, and a limit, as in p99<50ms")]
    NoOperator(String),
    #[error("there is no figure '{0}'; the figures are {names}", names = names())]
    UnknownFigure(String),
    #[error("'{limit}' is no limit for {name}; write it as in {name}<{example}", example = example(*.unit))]
    BadLimit { limit: String, name: String, unit: Unit },
}

/// Longer ones first: `<=` begins like `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("==", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Operator {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
            Self::Equal => (value - limit).abs() < f64::EPSILON,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
        }
    }
}

impl Assert {
    /// Reads a condition: a figure's name, an operator, and a limit in the figure's unit.
    ///
    /// # Errors
    ///
    /// Fails when there is no such figure, or the limit is no value of its unit.
    pub(crate) fn parse(text: &str) -> Result<Self, AssertError> {
        let no_operator = || AssertError::NoOperator(text.to_owned());
        let at = text.find(['<', '>', '=']).ok_or_else(no_operator)?;
        let (name, rest) = text.split_at(at);
        // The label of a figure whose key is older, see `OF_RUN`.
        let name = if name.trim() == "merged" { "joined" } else { name.trim() };
        let (operator, limit) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| rest.strip_prefix(sign).map(|limit| (*operator, limit.trim())))
            .ok_or_else(no_operator)?;
        let unit = unit(name).ok_or_else(|| AssertError::UnknownFigure(name.to_owned()))?;
        let bad_limit = || AssertError::BadLimit { limit: limit.to_owned(), name: name.to_owned(), unit };
        let limit = value(unit, limit).ok_or_else(bad_limit)?;
        Ok(Self { name: name.to_owned(), operator, limit, unit })
    }

    /// Returns what does not hold, if it does not.
    pub(crate) fn fault(&self, findings: &Findings) -> Option<String> {
        let limit = self.unit.write(self.limit);
        let sign = self.operator.sign();
        match find(findings, &self.name) {
            Some(found) if self.operator.holds(found.value, self.limit) => None,
            Some(found) => Some(format!("{} {} is not {sign} {limit}", self.name, self.unit.write(found.value))),
            None => Some(format!("{} was not measured, so it is not {sign} {limit}", self.name)),
        }
    }
}

/// Returns the unit of a figure; the name may begin with a phase's.
fn unit(name: &str) -> Option<Unit> {
    let of_phase = |key: &str| OF_PHASE.iter().find(|figure| figure.key == key).map(|figure| figure.unit);
    let of_run = || OF_RUN.iter().find(|figure| figure.key == name).map(|figure| figure.unit);
    of_phase(name).or_else(of_run).or_else(|| of_phase(name.split_once('.')?.1))
}

fn names() -> String {
    let names = OF_PHASE.iter().map(|figure| figure.key).chain(OF_RUN.iter().map(|figure| figure.key));
    names.collect::<Vec<_>>().join(", ")
}

/// Reads a limit; a bare number is in the unit that the JSON file uses.
fn value(unit: Unit, text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let duration = || humantime::parse_duration(text).ok().map(|duration| duration.as_secs_f64());
    match unit {
        Unit::Latency | Unit::Cpu => duration().map(|seconds| seconds * 1e6),
        Unit::Seconds => duration(),
        Unit::Bytes | Unit::BytesPerHour => {
            let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
            let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
            number.trim().parse::<f64>().ok().map(|number| number * f64::from(1_u32 << shift))
        }
        Unit::Share => text.strip_suffix('%')?.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        Unit::Count | Unit::PerSecond | Unit::Times | Unit::Each => None,
    }
}

const fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Latency => "50ms",
        Unit::Cpu => "5us",
        Unit::Seconds => "2s",
        Unit::Bytes | Unit::BytesPerHour => "10MiB",
        Unit::Share => "80%",
        Unit::Count | Unit::PerSecond => "1000",
        Unit::Times | Unit::Each => "1.5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Phase;

    fn fault(condition: &str) -> Option<String> {
        let mut phase = Phase { name: "calm".to_owned(), server_rss_peak: 3 << 20, ..Phase::default() };
        phase.latency.count = 1;
        phase.latency.p99_us = 20_000;
        phase.generator.cpu_share = 0.5;
        let findings = Findings { phases: vec![phase], ..Findings::default() };
        Assert::parse(condition).unwrap().fault(&findings)
    }

    #[test]
    fn conditions_are_judged_in_their_units() {
        for good in [
            "p99<50ms",
            "p99<=20ms",
            "p99 >= 20000",
            "lost=0",
            "lost == 0",
            "joined=0",
            "merged=0",
            "calm.p99<1s",
            "generator_cpu<80%",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        assert_eq!(fault("p99<20ms").as_deref(), Some("p99 20.0 ms is not < 20.0 ms"));
        assert_eq!(fault("server_rss_peak<=2MiB").as_deref(), Some("server_rss_peak 3.0 MiB is not <= 2.0 MiB"));
        assert_eq!(fault("lost>0").as_deref(), Some("lost 0 is not > 0"));
    }

    /// An assertion that was not measured must not pass.
    #[test]
    fn figure_that_was_not_measured_does_not_hold() {
        assert_eq!(fault("server_cpu<90%").as_deref(), Some("server_cpu was not measured, so it is not < 90.0 %"));
        assert_eq!(fault("storm.p99<1s").as_deref(), Some("storm.p99 was not measured, so it is not < 1.00 s"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(Assert::parse("p99").unwrap_err().to_string().contains("compares nothing"));
        assert!(Assert::parse("p98<1ms").unwrap_err().to_string().contains("p99.9"));
        assert!(Assert::parse("p99<fast").unwrap_err().to_string().contains("p99<50ms"));
        assert!(Assert::parse("lost<1s").unwrap_err().to_string().contains("lost<1000"));
    }
}
