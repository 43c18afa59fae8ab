//! The checker: what was acknowledged against what every subscriber saw.
//!
//! The promise: in order, at most once, no silent gap. What anybody saw, or was told by an acknowledgement, is the
//! order of a channel. Each subscriber has to have seen a run of it without a hole, which begins anew only where it was
//! told that it missed something.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// What one subscriber of a channel saw, in the order in which it came.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// It is subscribed, and has what it recovered: everything after this position has to come.
    Start { epoch: String, offset: u64 },
    /// A publication, while it was connected.
    Publication { offset: u64, body: String },
    /// A publication that it got because it came back.
    Recovered { offset: u64, body: String },
    /// A line without a number, of the chat protocol.
    Line { body: String },
    /// A connection has ended whose client cannot say where it was: what comes until the next one is not for it.
    Away,
    /// The next one has begun.
    Here,
    /// It was told that it has missed something, and says with the next start where it goes on.
    Gap,
}

/// A publication that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) channel: String,
    pub(crate) body: String,
    /// Epoch and offset, where the acknowledgement has them.
    pub(crate) position: Option<(String, u64)>,
}

/// All that happened in one test.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Channel and what was seen, for each subscriber.
    pub(crate) subscribers: Vec<(String, Vec<Seen>)>,
}

impl Seen {
    pub(crate) fn is_publication(&self) -> bool {
        matches!(self, Self::Publication { .. } | Self::Recovered { .. } | Self::Line { .. })
    }

    pub(crate) fn is_about_connection(&self) -> bool {
        matches!(self, Self::Away | Self::Here)
    }
}

/// The judgement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: usize,
    pub(crate) delivered: usize,
    pub(crate) recovered: usize,
    /// Gaps that a subscriber was told of.
    pub(crate) gaps: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) duplicated: Vec<String>,
    pub(crate) reordered: Vec<String>,
    /// One position, two publications.
    pub(crate) forked: Vec<String>,
}

/// The order of one channel in one epoch.
#[derive(Debug, Default)]
struct Order {
    by_offset: BTreeMap<u64, String>,
}

type Orders = HashMap<(String, String), Order>;

impl Record {
    /// Judges everything. Call it when whatever was acknowledged had the time to arrive.
    pub(crate) fn judge(&self) -> Verdict {
        let mut verdict = Verdict { acknowledged: self.acknowledged.len(), ..Verdict::default() };
        let orders = self.orders(&mut verdict);
        let places = places(&orders, &mut verdict);
        for (index, (channel, seen)) in self.subscribers.iter().enumerate() {
            Walk::new(&format!("{channel} #{index}"), channel, &orders, &places, &mut verdict).run(seen);
        }
        self.find_unseen(&places, &mut verdict);
        verdict
    }

    /// Puts together what all know.
    fn orders(&self, verdict: &mut Verdict) -> Orders {
        let mut orders = Orders::new();
        let mut note = |channel: &str, epoch: &str, offset: u64, body: &str| {
            let order = orders.entry((channel.to_owned(), epoch.to_owned())).or_default();
            let known = order.by_offset.entry(offset).or_insert_with(|| body.to_owned());
            if known != body {
                verdict.forked.push(format!("{channel} {epoch}:{offset}: {known} and {body}"));
            }
        };
        for Acknowledged { channel, body, position } in &self.acknowledged {
            if let Some((epoch, offset)) = position {
                note(channel, epoch, *offset, body);
            }
        }
        for (channel, seen) in &self.subscribers {
            let mut current = String::new();
            for one in seen {
                match one {
                    Seen::Start { epoch, .. } => current.clone_from(epoch),
                    Seen::Publication { offset, body } | Seen::Recovered { offset, body } => {
                        note(channel, &current, *offset, body);
                    }
                    Seen::Line { .. } | Seen::Gap | Seen::Away | Seen::Here => {}
                }
            }
        }
        orders
    }

    /// Finds what was acknowledged and is nowhere in the order of its channel. That may be only where every subscriber
    /// was told of a gap, or away.
    fn find_unseen(&self, places: &HashMap<(String, String), (String, u64)>, verdict: &mut Verdict) {
        let has_witness: HashSet<&str> = self
            .subscribers
            .iter()
            .filter(|(_, seen)| !seen.iter().any(|one| matches!(one, Seen::Gap | Seen::Away)))
            .map(|(channel, _)| channel.as_str())
            .collect();
        for Acknowledged { channel, body, .. } in &self.acknowledged {
            let is_known = places.contains_key(&(channel.clone(), body.clone()));
            if !is_known && has_witness.contains(channel.as_str()) {
                verdict.lost.push(format!("{channel}: {body} was acknowledged and nobody saw it"));
            }
        }
    }
}

/// Returns where each body stands; one that stands twice was published twice.
fn places(orders: &Orders, verdict: &mut Verdict) -> HashMap<(String, String), (String, u64)> {
    let mut places = HashMap::new();
    for ((channel, epoch), order) in orders {
        for (offset, body) in &order.by_offset {
            let place = (epoch.clone(), *offset);
            if let Some((other, at)) = places.insert((channel.clone(), body.clone()), place) {
                verdict.duplicated.push(format!("{channel}: {body} stands at {other}:{at} and {epoch}:{offset}"));
            }
        }
    }
    places
}

/// One subscriber's way along the order.
struct Walk<'a> {
    who: &'a str,
    channel: &'a str,
    orders: &'a Orders,
    places: &'a HashMap<(String, String), (String, u64)>,
    verdict: &'a mut Verdict,
    /// Epoch and offset of what it has; `None` before a start.
    at: Option<(String, u64)>,
    /// It was away, and got no line since then.
    was_away: bool,
    /// Lines that it alone has seen.
    alone: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    fn new(
        who: &'a str,
        channel: &'a str,
        orders: &'a Orders,
        places: &'a HashMap<(String, String), (String, u64)>,
        verdict: &'a mut Verdict,
    ) -> Self {
        Self { who, channel, orders, places, verdict, at: None, was_away: false, alone: HashSet::new() }
    }

    fn run(mut self, seen: &'a [Seen]) {
        for one in seen {
            match one {
                Seen::Start { epoch, offset } => self.start(epoch, *offset),
                Seen::Gap => {
                    self.verdict.gaps += 1;
                    (self.at, self.was_away) = (None, false);
                }
                Seen::Away => self.was_away = true,
                Seen::Here => {}
                Seen::Publication { offset, body } => {
                    self.verdict.delivered += 1;
                    self.step(*offset, body);
                }
                Seen::Recovered { offset, body } => {
                    self.verdict.recovered += 1;
                    self.step(*offset, body);
                }
                Seen::Line { body } => {
                    self.verdict.delivered += 1;
                    self.line(body);
                }
            }
        }
        // What it has not got by now does not come.
        if !self.was_away {
            self.miss_until(None);
        }
    }

    /// A start that follows another without a gap has to go on where it was.
    fn start(&mut self, epoch: &str, offset: u64) {
        match &self.at {
            Some((known, _)) if known == epoch => {
                self.miss_until(Some(offset + 1));
            }
            Some((known, at)) => {
                let text = format!("{}: from {known}:{at} to {epoch}:{offset} without being told", self.who);
                self.verdict.lost.push(text);
            }
            None => {}
        }
        let at = self.at.take().filter(|(known, _)| known == epoch).map_or(offset, |(_, at)| at.max(offset));
        self.at = Some((epoch.to_owned(), at));
    }

    fn step(&mut self, offset: u64, body: &str) {
        let Some((epoch, at)) = self.at.clone() else {
            self.verdict.reordered.push(format!("{}: {body} came before a start", self.who));
            return;
        };
        if offset <= at {
            let text = format!("{}: {body} at {offset} came after {at}", self.who);
            let is_again = self
                .orders
                .get(&(self.channel.to_owned(), epoch))
                .is_some_and(|order| order.by_offset.get(&offset).is_some_and(|known| known == body));
            if is_again { &mut self.verdict.duplicated } else { &mut self.verdict.reordered }.push(text);
            return;
        }
        self.miss_until(Some(offset));
        self.at = Some((epoch, offset));
    }

    /// A line says no offset: its body does. The first one of a subscriber that has no start, or was away, is its
    /// start.
    fn line(&mut self, body: &'a str) {
        let Some((epoch, offset)) = self.places.get(&(self.channel.to_owned(), body.to_owned())).cloned() else {
            if !self.alone.insert(body) {
                self.verdict.duplicated.push(format!("{}: {body}, which nobody else saw, came twice", self.who));
            }
            return;
        };
        let was_away = std::mem::take(&mut self.was_away);
        match &self.at {
            Some((known, at)) if was_away && (*known != epoch || *at < offset) => self.at = Some((epoch, offset)),
            Some((known, _)) if *known == epoch => self.step(offset, body),
            Some((known, at)) => {
                let text = format!("{}: from {known}:{at} to {epoch}:{offset} without being told", self.who);
                self.verdict.lost.push(text);
                self.at = Some((epoch, offset));
            }
            None => self.at = Some((epoch, offset)),
        }
    }

    /// Counts what stands between where it is and `offset`, or the end.
    fn miss_until(&mut self, offset: Option<u64>) {
        let Some((epoch, at)) = &self.at else { return };
        let Some(order) = self.orders.get(&(self.channel.to_owned(), epoch.clone())) else { return };
        let missed = order.by_offset.range(at + 1..).take_while(|(known, _)| offset.is_none_or(|end| **known < end));
        let texts = missed.map(|(offset, body)| format!("{}: {body} at {offset}, after {at}", self.who));
        self.verdict.lost.extend(texts);
    }
}

impl Verdict {
    /// Returns whether the promise was kept.
    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.duplicated, &self.reordered, &self.forked].iter().all(|faults| faults.is_empty())
    }

    /// Fails unless the promise was kept.
    #[track_caller]
    pub(crate) fn check(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, delivered, recovered, gaps, lost, duplicated, reordered, forked } = self;
        write!(
            f,
            "acknowledged {acknowledged}, delivered {delivered}, recovered {recovered}, gaps declared {gaps}, lost {}, \
             duplicated {}, reordered {}, forked {}",
            lost.len(),
            duplicated.len(),
            reordered.len(),
            forked.len()
        )?;
        for fault in [lost, duplicated, reordered, forked].into_iter().flat_map(|faults| faults.iter().take(5)) {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(offset: u64) -> Seen {
        Seen::Start { epoch: "e".to_owned(), offset }
    }

    fn publication(offset: u64) -> Seen {
        Seen::Publication { offset, body: format!("b{offset}") }
    }

    fn recovered(offset: u64) -> Seen {
        Seen::Recovered { offset, body: format!("b{offset}") }
    }

    fn line(offset: u64) -> Seen {
        Seen::Line { body: format!("b{offset}") }
    }

    /// Offsets of a channel in a shared log: with holes, which are other channels.
    const OFFSETS: [u64; 5] = [2, 3, 7, 8, 12];

    fn acknowledged(offsets: &[u64]) -> Vec<Acknowledged> {
        let one = |offset: &u64| Acknowledged {
            channel: "c".to_owned(),
            body: format!("b{offset}"),
            position: Some(("e".to_owned(), *offset)),
        };
        offsets.iter().map(one).collect()
    }

    fn judge(subscribers: &[&[Seen]]) -> Verdict {
        let subscribers = subscribers.iter().map(|seen| ("c".to_owned(), seen.to_vec())).collect();
        Record { acknowledged: acknowledged(&OFFSETS), subscribers }.judge()
    }

    fn faults(verdict: &Verdict) -> [usize; 4] {
        [&verdict.lost, &verdict.duplicated, &verdict.reordered, &verdict.forked].map(Vec::len)
    }

    #[test]
    fn run_without_a_hole_is_clean() {
        let all: Vec<_> = [start(0)].into_iter().chain(OFFSETS.map(publication)).collect();
        let later = [start(5), publication(7), publication(8), publication(12)];
        let moved = [start(0), publication(2), recovered(3), recovered(7), recovered(8), start(8), publication(12)];
        let lines = OFFSETS.map(line);
        let verdict = judge(&[&all, &later, &moved, &lines]);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!((verdict.acknowledged, verdict.delivered, verdict.recovered, verdict.gaps), (5, 15, 3, 0));
    }

    #[test]
    fn who_is_told_of_a_gap_lost_nothing() {
        let verdict = judge(&[&[start(0), publication(2), Seen::Gap, start(8), publication(12)]]);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.gaps, 1);
    }

    #[test]
    fn every_fault_is_found() {
        // In the middle, at the end, after a start that skips, and of a line.
        assert_eq!(
            faults(&judge(&[&[start(0), publication(2), publication(3), publication(8), publication(12)]]))[0],
            1
        );
        assert_eq!(faults(&judge(&[&[start(0), publication(2), publication(3), publication(7)]]))[0], 2);
        assert_eq!(faults(&judge(&[&[start(0), publication(2), start(7), publication(8), publication(12)]]))[0], 2);
        assert_eq!(faults(&judge(&[&[line(2), line(3), line(8), line(12)]]))[0], 1);
        // Twice.
        let twice = [start(7), publication(8), publication(8), publication(12)];
        assert_eq!(faults(&judge(&[&twice])), [0, 1, 0, 0]);
        // Two bodies at one place, seen by two.
        let other = [start(7), Seen::Publication { offset: 8, body: "x".to_owned() }, publication(12)];
        assert_eq!(faults(&judge(&[&[start(7), publication(8), publication(12)], &other]))[3], 1);
        // One body at two places.
        let again = Seen::Publication { offset: 13, body: "b12".to_owned() };
        assert_eq!(faults(&judge(&[&[start(8), publication(12), again]])), [0, 1, 0, 0]);
        // Backwards.
        let back = [start(2), publication(7), publication(3), publication(8), publication(12)];
        assert_ne!(faults(&judge(&[&back])), [0; 4]);
        // Another epoch, and nobody was told.
        let mut moved = vec![start(0)];
        moved.extend(OFFSETS.map(publication));
        moved.push(Seen::Start { epoch: "f".to_owned(), offset: 0 });
        assert_eq!(faults(&judge(&[&moved]))[0], 1);
    }

    #[test]
    fn who_is_away_misses_only_what_came_meanwhile() {
        let others: Vec<_> = [start(0)].into_iter().chain(OFFSETS.map(publication)).collect();
        let judge = |lines: &[Seen]| faults(&judge(&[&others, lines]));
        let unseen = Seen::Line { body: "unseen".to_owned() };
        assert_eq!(judge(&[line(2), line(3), Seen::Away, Seen::Here, line(8), line(12)]), [0; 4]);
        assert_eq!(judge(&[line(2), unseen.clone(), Seen::Away, Seen::Here]), [0; 4]);
        // A hole between two lines of one connection, or at its end, is one.
        assert_eq!(judge(&[line(2), Seen::Away, Seen::Here, line(3), line(8), line(12)]), [1, 0, 0, 0]);
        assert_eq!(judge(&[line(2), Seen::Away, Seen::Here, line(3)]), [3, 0, 0, 0]);
        // Twice, and backwards, which is a line that came twice too.
        assert_eq!(judge(&[line(2), line(3), Seen::Away, Seen::Here, line(3), line(7), line(8), line(12)])[1], 1);
        assert_eq!(judge(&[line(2), line(7), Seen::Away, Seen::Here, line(3), line(8), line(12)])[1..3], [1, 0]);
        assert_eq!(judge(&[unseen.clone(), unseen, Seen::Away]), [0, 1, 0, 0]);
    }

    #[test]
    fn what_was_acknowledged_and_nobody_saw_is_lost() {
        let unseen = Acknowledged { channel: "c".to_owned(), body: "unseen".to_owned(), position: None };
        let record = Record { acknowledged: vec![unseen.clone()], subscribers: vec![("c".to_owned(), vec![start(0)])] };
        assert_eq!(faults(&record.judge()), [1, 0, 0, 0]);
        let told = vec![("c".to_owned(), vec![start(0), Seen::Gap, start(9)])];
        assert!(Record { acknowledged: vec![unseen], subscribers: told }.judge().is_clean());
    }
}
