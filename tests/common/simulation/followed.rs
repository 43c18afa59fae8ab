//! A simulated hub of a cluster: what one task does with the log of its only partition.

use super::SimulatedHub;
use std::num::NonZeroUsize;
use std::sync::Arc;
use throng::config::ChannelOptions;
use throng::hub::{
    Backfill, Channel, Coverage, Delivered, HistoryPage, HistoryQuery, Logged, NoCredit, Partitions, Since,
};
use throng::protocol::{ChannelName, Epoch, Payload, Publication};

fn name(channel: &str) -> ChannelName {
    ChannelName::parse(channel).unwrap()
}

pub(crate) fn line(offset: u64, at: u64, text: &str) -> Publication {
    Publication { offset, at, payload: Payload::line(text.as_bytes()).unwrap() }
}

impl SimulatedHub {
    /// Follows a log of this epoch from after this sequence number.
    pub(crate) fn follow(&self, epoch: u64, after: u64) -> Arc<Partitions> {
        let partitions = Partitions::new(NonZeroUsize::MIN);
        self.hub().set_partitions(&partitions);
        assert!(self.hub().renew_epoch(&partitions.all()[0], Epoch::new(epoch), after).is_empty());
        partitions
    }

    fn options(&self) -> Arc<ChannelOptions> {
        Arc::clone(&self.parts.options.borrow())
    }

    /// Delivers a line that arrives now.
    pub(crate) fn deliver(&self, channel: &str, offset: u64, text: &str) -> Delivered {
        self.deliver_from(self.time_of_day(), channel, offset, text)
    }

    /// Delivers a line that arrives now, from a hub whose clock says `at`.
    pub(crate) fn deliver_from(&self, at: u64, channel: &str, offset: u64, text: &str) -> Delivered {
        let line = line(offset, at, text);
        let bytes = line.payload.len();
        let logged = Logged { stored_at: self.time_of_day(), publication: line };
        self.with_credits(bytes, |credits| self.hub().deliver(&name(channel), &self.options(), &logged, credits))
    }

    pub(crate) fn declare_gap(&self, channel: &str, upto: u64) {
        self.with_credits(0, |credits| self.hub().declare_gap(&name(channel), upto, credits));
    }

    /// Tells the channels of a partition what it has lost.
    pub(crate) fn tell_gap(&self, channels: Vec<Arc<Channel>>) {
        for channel in channels {
            self.with_credits(0, |credits| self.hub().tell_gap(&channel, credits));
        }
    }

    pub(crate) fn remove_history_at(&self, channel: &str, offset: u64) {
        self.hub().remove_history_at(&name(channel), offset);
    }

    pub(crate) fn coverage(&self, channel: &str, since: Since) -> Coverage {
        self.hub().coverage(&name(channel), &self.options(), since)
    }

    pub(crate) fn coverage_of(&self, channel: &str, query: HistoryQuery) -> Coverage {
        self.hub().coverage_of(&name(channel), &self.options(), query)
    }

    pub(crate) fn backfill(&self, channel: &str, backfill: &Backfill) -> bool {
        self.hub().backfill(&name(channel), &self.options(), backfill).unwrap()
    }

    /// Reads the offsets of a history, and where it stands.
    pub(crate) fn read(&self, channel: &str, query: HistoryQuery) -> (Vec<u64>, u64) {
        let page = self.hub().history(&name(channel), query, self.time_of_day()).unwrap();
        let HistoryPage { publications, position } = page.unwrap();
        (publications.iter().map(|publication| publication.offset).collect(), position.offset)
    }

    /// Runs what takes credits; waits for shards by running them.
    fn with_credits<R>(
        &self,
        bytes: usize,
        mut run: impl FnMut(&mut throng::hub::Credits<'_, super::Pipe>) -> Result<R, NoCredit>,
    ) -> R {
        loop {
            let mut credits = self.hub().credits(bytes);
            match run(&mut credits) {
                Ok(result) => return result,
                Err(NoCredit { shard }) => drop((credits, self.pass(shard))),
            }
        }
    }
}
