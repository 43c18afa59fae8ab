//! The meaning of what comes without a record: answers, pings, refusals, positions.

/// The meaning of a line without a record.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing that matters here.
    Nothing,
    /// One of the answers that a client waits for before it is connected.
    Ready,
    /// As `Ready`; the client stands here.
    At(Start),
    /// Answer this at once.
    Reply(&'static [u8]),
    /// The server refuses this client, for this reason.
    Refused(String),
}

/// Where a connection begins in the history of its channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Start {
    /// The incarnation of the history, and the number of its newest message; absent if the channel keeps none.
    pub(crate) position: Option<(String, u64)>,
    /// Messages of the past that follow.
    pub(crate) follow: u64,
    /// Whether these are all that was missed; absent if the client did not ask.
    pub(crate) is_recovered: Option<bool>,
}

impl Start {
    /// Reads `position EPOCH:OFFSET N` or `position none 0`, followed by `recovered`, `incomplete` or nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(" [throng] position ")?.split(' ');
        let position = match words.next()? {
            "none" => None,
            position => {
                let (epoch, offset) = position.split_once(':')?;
                Some((epoch.to_owned(), offset.parse().ok()?))
            }
        };
        let follow = words.next()?.parse().ok()?;
        let is_recovered = words.next().map(|word| word == "recovered");
        Some(Self { position, follow, is_recovered })
    }
}
