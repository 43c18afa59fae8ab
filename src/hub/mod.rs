//! The hub layer: which connection gets which publication, in which order, and what happens to one that is too slow.
//!
//! A deterministic machine: it takes commands and a `now`, and says what to write to whom. It does no I/O, reads no
//! clock and never awaits; [`net`](crate::net) drives it, and a test can run a whole hub in one thread.

pub mod deliver;
pub mod handle;
pub mod publish;
pub mod read;
pub mod recover;
pub mod subscribe;

pub mod channel;
mod channel_key;
pub mod directory;
mod elsewhere;
pub mod history;
mod keepers;
pub mod lagging;
pub mod observer;
pub mod occupancy;
pub mod partition;
pub mod presence;

pub mod id;
pub mod placement;
pub mod reply;

pub mod command;
pub mod inbox;
pub mod inspection;

pub mod shard;
pub mod sink;

pub use channel::Channel;
pub use channel_key::ChannelKey;
pub use command::{Command, MessageShape};
pub use deliver::Delivered;
pub use directory::DirectoryFull;
pub use handle::Hub;
pub use history::{Backfill, HistoryOptions, Logged};
pub use id::{ClientId, ConnectionId, HubId, Slot};
pub use inbox::Credit;
pub use lagging::OnLag;
pub use partition::{Partition, Partitions};
pub use placement::SlotReservation;
pub use presence::{Member, Members, PresenceStats};
pub use publish::{Credits, NoCredit, PublishError, Published};
pub use read::{HistoryPage, HistoryQuery, UnknownPosition};
pub use recover::Coverage;
pub use reply::ReplyPermit;
pub use shard::Shard;
pub use sink::{Sent, Sink, Wire};
pub use subscribe::{EncodeOpening, Full, Opening, Since, SubscribeError, SubscribeOptions, Subscribed};
