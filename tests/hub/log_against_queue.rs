//! A log against a queue: a window of numbered bytes gives what a `VecDeque` of messages gives.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::VecDeque;
use throng::hub::shard::log::{Log, WINDOW_MAX};

#[derive(Clone, Debug)]
enum Step {
    /// Append a publication of that many bytes.
    Push(usize),
    /// Trim to the edge of a message.
    Trim(Index),
    /// Compare what lies between two edges.
    Look(Index, Index),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 1..200_usize, 3 => 200..4096_usize, 2 => 4090..4100_usize, 1 => 4096..70_000_usize];
    let look = (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Step::Look(from, to));
    prop_oneof![6 => len.prop_map(Step::Push), 1 => any::<Index>().prop_map(Step::Trim), 3 => look]
}

/// The same as a queue of messages.
#[derive(Default)]
struct Model {
    messages: VecDeque<Bytes>,
    tail: u64,
    pushed: u64,
}

impl Model {
    /// Positions of all message edges, the tail and the head among them.
    fn edges(&self) -> Vec<u64> {
        let ends = self.messages.iter().scan(self.tail, |end, message| {
            *end += message.len() as u64;
            Some(*end)
        });
        std::iter::once(self.tail).chain(ends).collect()
    }

    fn push(&mut self, len: usize) -> Bytes {
        self.pushed += 1;
        let message: Bytes = (self.pushed..).map(|number| number.to_le_bytes()[0]).take(len).collect();
        self.messages.push_back(message.clone());
        message
    }

    fn trim(&mut self, messages: usize) {
        self.tail += self.messages.drain(..messages).map(|message| message.len() as u64).sum::<u64>();
    }

    /// As many whole messages as fit a window, at least one.
    fn window_end(&self, from: usize) -> u64 {
        let edges = self.edges();
        let fits = |edge: &&u64| **edge <= edges[from] + WINDOW_MAX;
        let fitting = edges[from..].iter().take_while(fits).count();
        edges[(from + fitting.max(2) - 1).min(edges.len() - 1)]
    }
}

proptest! {
    #[test]
    fn log_holds_what_a_queue_holds(steps in vec(step(), 1..120)) {
        let (mut log, mut model) = (Log::default(), Model::default());
        for step in steps {
            match step {
                Step::Push(len) => log.push(&model.push(len)),
                Step::Trim(to) => {
                    let messages = to.index(model.messages.len() + 1);
                    model.trim(messages);
                    log.trim(model.tail);
                }
                Step::Look(one, other) => {
                    let edges = model.edges();
                    let (one, other) = (one.index(edges.len()), other.index(edges.len()));
                    let (from, to) = (one.min(other), one.max(other));
                    let expected: Vec<u8> = model.messages.range(from..to).flatten().copied().collect();
                    prop_assert_eq!(log.slices(edges[from], edges[to]).collect::<Vec<_>>().concat(), expected);
                    prop_assert!(from == to || log.slices(edges[from], edges[to]).all(|slice| !slice.is_empty()));
                    prop_assert_eq!(log.publications_between(edges[from], edges[to]), to - from);
                    prop_assert_eq!(log.window_end(edges[from]), model.window_end(from));
                }
            }
            let edges = model.edges();
            prop_assert_eq!((Some(log.tail()), Some(log.head())), (edges.first().copied(), edges.last().copied()));
            prop_assert_eq!((log.len(), log.is_empty()), (log.head() - log.tail(), model.messages.is_empty()));
        }
    }
}
