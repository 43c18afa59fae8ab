//! What was received, and what is missing.

use crate::measure::Counts;
use crate::observe::host::own_rss_bytes;
use crate::worker::client::State;
use crate::worker::engine::Engine;
use crate::worker::messages::{Missing, Received};

/// Counts the deliveries of what was `sent` that have not come. Stalled and connecting clients miss nothing.
pub(crate) fn missing(engine: &Engine, sent: &[u32]) -> Missing {
    let mut missing = Missing::default();
    for (index, client) in engine.pool.iter().enumerate() {
        match client.state {
            State::Open => missing.open += engine.tally.missing(index, sent),
            State::Closed => missing.closed += engine.tally.missing(index, sent),
            _ => {}
        }
    }
    if let Some(validators) = &engine.validators {
        let (open, closed) = validators.missing(sent);
        missing.open += open;
        missing.closed += closed;
    }
    missing
}

/// Returns everything that was received, over the whole run.
pub(crate) fn received(engine: &Engine) -> Received {
    let publishers = engine.publisher.sent.len();
    let mut reached = vec![0; publishers];
    (0..engine.pool.len()).for_each(|client| engine.tally.reach(client, &mut reached));
    let is_over = |publisher: &usize| {
        // What a client has to do with it is its worker only.
        if engine.publisher.backend.is_some() {
            return false;
        }
        let client = engine.publisher.client_of(*publisher, &engine.tally.audience);
        client.and_then(|client| engine.pool.get(client)).is_some_and(|client| !client.is_open())
    };
    let mut counts = engine.tally.counts;
    let mut closes = engine.closes.counts(|_| true);
    let mut refusals = engine.connector.refusals.counts();
    let backend = engine.publisher.backend.as_ref();
    refusals.extend(backend.into_iter().flat_map(|backend| backend.refusals.counts()));
    let mut first_unexpected = engine.tally.first_unexpected.clone();
    let mut validated = 0;
    if let Some(validators) = &engine.validators {
        let theirs = validators.counts();
        validated = theirs.verified;
        // Their faults count; their deliveries were seen by the engine's own clients already.
        counts.add(&Counts { verified: 0, ..theirs });
        closes.extend(validators.closes());
        first_unexpected = first_unexpected.or_else(|| validators.first_unexpected());
    }
    Received {
        counts,
        validated,
        closes,
        refusals,
        first_unexpected,
        unaccepted: backend.map_or(0, |backend| backend.unaccepted),
        ended: (0..publishers).filter(is_over).collect(),
        reached,
        rss_bytes: own_rss_bytes(),
    }
}
