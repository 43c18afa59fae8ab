//! The subjects of a cluster in NATS: where publications, beacons and questions of hubs go.
//!
//! ```text
//! throng.<prefix>.log.<partition>.<channel>            what streams store
//! throng.<prefix>.live.<epoch>.<partition>.<channel>   what streams announce, when they have it
//! throng.<prefix>.hub                                  heartbeats of hubs
//! throng.<prefix>.ask                                  questions of one hub to all others
//! ```
//!
//! The epoch is in the subject of what is announced, so that a stream that was made anew speaks to no hub that follows
//! the one before it.

use crate::protocol::{ChannelName, Epoch};

/// Channel of pins; no client can name it either.
const PIN: &str = "~pin";

/// Channel of beacons; no client can name it, since `~` is not in its alphabet.
const BEACON: &str = "~beacon";

/// The subjects and streams of one service.
#[derive(Clone, Debug)]
pub struct Subjects {
    prefix: String,
}

impl Subjects {
    /// Returns those of a service with this prefix.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Returns the name of the stream of a partition.
    pub fn stream(&self, partition: usize) -> String {
        format!("THRONG_{}_{partition}", self.prefix)
    }

    /// Returns where publications into a channel go.
    pub fn log(&self, partition: usize, channel: &ChannelName) -> String {
        format!("throng.{}.log.{partition}.{}", self.prefix, token(channel))
    }

    /// Returns where beacons go.
    pub fn beacon(&self, partition: usize) -> String {
        format!("throng.{}.log.{partition}.{BEACON}", self.prefix)
    }

    /// Returns where pins go.
    pub fn pin(&self, partition: usize) -> String {
        format!("throng.{}.log.{partition}.{PIN}", self.prefix)
    }

    /// Returns all that a stream stores.
    pub fn all_of_log(&self, partition: usize) -> String {
        format!("throng.{}.log.{partition}.*", self.prefix)
    }

    /// Returns all that a stream announces.
    pub fn all_live(&self, epoch: Epoch, partition: usize) -> String {
        format!("throng.{}.live.{epoch}.{partition}.*", self.prefix)
    }

    /// Returns where hubs say that they are there.
    pub fn hub(&self) -> String {
        format!("throng.{}.hub", self.prefix)
    }

    /// Returns where a hub asks all others.
    pub fn ask(&self) -> String {
        format!("throng.{}.ask", self.prefix)
    }
}

/// Returns the channel of a subject, stored or announced; `None` for a beacon, a pin, and what is no channel of ours.
pub fn channel(subject: &str) -> Option<ChannelName> {
    let (_, token) = subject.rsplit_once('.')?;
    ChannelName::parse(&token.replace('=', ".")).ok()
}

/// Returns whether the last part of a subject is that of pins.
pub fn is_pin(token: &str) -> bool {
    token == PIN
}

/// Returns a channel as one token of a subject: a point would end it, and `=` is in no name.
fn token(channel: &ChannelName) -> String {
    channel.as_str().replace('.', "=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_is_one_token_and_comes_back() {
        let subjects = Subjects::new("main");
        for name in ["lobby", "a..b.", "news:sport#1,2", "$x@y-z_"] {
            let name = ChannelName::parse(name).unwrap();
            let subject = subjects.log(3, &name);
            assert_eq!(subject.split('.').count(), 5, "{subject}");
            assert_eq!(channel(&subject), Some(name));
        }
        assert_eq!(subjects.log(3, &ChannelName::parse("a.b").unwrap()), "throng.main.log.3.a=b");
        assert_eq!(subjects.all_live(Epoch::new(0xfe), 3), "throng.main.live.00000000000000fe.3.*");
        assert_eq!(channel(&subjects.beacon(1)), None);
    }
}
