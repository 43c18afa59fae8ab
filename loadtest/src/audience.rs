//! An audience: which clients subscribe to which channels, and which client publishes in each.
//!
//! Every process of a run computes it from the configuration alone, so it is never sent between them.

use crate::config::{Config, Load};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::Zipf;
use std::collections::BTreeSet;

/// Draws for each subscription. A steep law draws the same few channels again and again.
const DRAWS_MAX: usize = 64;

/// The subscriptions of all clients.
#[derive(Debug)]
pub(crate) struct Audience {
    /// Name of the only channel, or the prefix of all names.
    name: String,
    /// `channels` only: the channels of each client, `subscriptions` of them, ascending.
    of_client: Vec<u16>,
    subscriptions: usize,
    /// `channels` only: the first subscriber of each channel, which publishes in it.
    publisher: Vec<Option<usize>>,
    popularity: Option<Popularity>,
    /// Number of publishers. Except in `channels`, these are the first clients, or connections to the server's API.
    publishers: usize,
    /// Whether messages are published through the server's API.
    is_api: bool,
    /// Whether the publishers take turns in one channel.
    has_turns: bool,
}

/// How often a channel is chosen: Zipf's law.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Popularity {
    zipf: Zipf<f64>,
    seed: u64,
}

impl Popularity {
    /// Returns the channel that the choice number `n` falls on.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and from 1 to the channels")]
    fn draw(&self, rng: &mut StdRng) -> u16 {
        rng.sample(self.zipf) as u16 - 1
    }
}

impl Audience {
    /// Returns the audience of a run.
    pub(crate) fn new(config: &Config) -> Self {
        let name = config.channel.clone();
        let is_api = config.api.is_some();
        let Load::Channels { channels, subscriptions, zipf, .. } = config.load else {
            let publishers = config.publishers();
            return Self {
                name,
                of_client: Vec::new(),
                subscriptions: 1,
                publisher: Vec::new(),
                popularity: None,
                publishers,
                is_api,
                has_turns: publishers == 1 || is_api,
            };
        };
        let zipf = Zipf::new(channels as f64, zipf).expect("channels and exponent are positive");
        let popularity = Popularity { zipf, seed: config.seed };
        let mut rng = StdRng::seed_from_u64(config.seed);
        let mut of_client = Vec::with_capacity(config.clients * subscriptions);
        let mut publisher = vec![None; channels];
        for client in 0..config.clients {
            let mut chosen = BTreeSet::new();
            for _ in 0..DRAWS_MAX * subscriptions {
                if chosen.len() == subscriptions {
                    break;
                }
                chosen.insert(popularity.draw(&mut rng));
            }
            // A client without enough draws takes the most popular channels that it lacks.
            for channel in 0.. {
                if chosen.len() == subscriptions {
                    break;
                }
                chosen.insert(channel);
            }
            for channel in chosen {
                publisher[usize::from(channel)].get_or_insert(client);
                of_client.push(channel);
            }
        }
        let popularity = Some(popularity);
        Self { name, of_client, subscriptions, publisher, popularity, publishers: channels, is_api, has_turns: false }
    }

    /// Returns publisher numbers that a client's records may have: those of its channels, or nothing if it hears all.
    pub(crate) fn heard_by(&self, client: usize) -> Option<&[u16]> {
        self.popularity?;
        self.of_client.get(client * self.subscriptions..)?.get(..self.subscriptions)
    }

    /// Returns sequence numbers to keep per client.
    pub(crate) const fn row_len(&self) -> usize {
        if self.popularity.is_some() { self.subscriptions } else { self.publishers }
    }

    /// Returns publisher numbers in all.
    pub(crate) const fn publishers(&self) -> usize {
        self.publishers
    }

    /// Whether the publishers take turns in one channel, and are few.
    pub(crate) const fn has_turns(&self) -> bool {
        self.has_turns
    }

    /// Returns the client that sends for a publisher number, or whose worker does; nothing if its channel is empty.
    pub(crate) fn client_of(&self, publisher: usize) -> Option<usize> {
        match self.popularity {
            Some(_) => self.publisher[publisher],
            // All connections to the API are in one worker, so that a closed loop can count what is in flight.
            None if self.is_api => Some(0),
            None => Some(publisher),
        }
    }

    /// Returns the publisher of the message `n`: in turn, or as popular as its channel.
    pub(crate) fn publisher_of(&self, n: u64) -> usize {
        let Some(popularity) = &self.popularity else {
            return usize::try_from(n % self.publishers as u64).unwrap_or_default();
        };
        let mut rng = StdRng::seed_from_u64(popularity.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        loop {
            // At least one channel has a subscriber, so this ends.
            let channel = usize::from(popularity.draw(&mut rng));
            if self.publisher[channel].is_some() {
                return channel;
            }
        }
    }

    /// Returns the name of a publisher's channel.
    pub(crate) fn channel(&self, publisher: usize) -> String {
        match self.popularity {
            Some(_) => format!("{}-{publisher}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns the names of a client's channels.
    pub(crate) fn channels(&self, client: usize) -> Vec<String> {
        match self.heard_by(client) {
            Some(channels) => channels.iter().map(|channel| self.channel(usize::from(*channel))).collect(),
            None => vec![self.name.clone()],
        }
    }

    /// Returns subscribers of each channel that has any, ascending.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.publisher.len()];
        for channel in &self.of_client {
            sizes[usize::from(*channel)] += 1;
        }
        sizes.retain(|size| *size > 0);
        sizes.sort_unstable();
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::config;

    /// Workers must agree without messages, and popular channels must have more subscribers.
    #[test]
    fn subscriptions_are_repeatable_and_follow_zipf() {
        let config =
            config("loadtest channels --clients 2000 --channels 500 --seed 7 --protocol centrifuge --subscriptions 3");
        let (one, other) = (Audience::new(&config), Audience::new(&config));
        assert_eq!(one.of_client, other.of_client);
        let sizes = one.sizes();
        assert_eq!(sizes.iter().sum::<usize>(), 6000);
        assert!(sizes[sizes.len() - 1] > 20 * sizes[sizes.len() / 2], "{sizes:?}");
        for n in 0..1000 {
            let publisher = one.publisher_of(n);
            assert_eq!(publisher, other.publisher_of(n));
            let client = one.client_of(publisher).unwrap();
            assert!(one.heard_by(client).unwrap().contains(&u16::try_from(publisher).unwrap()));
        }
    }

    /// The last channel of a hundred is drawn once in ten billion times.
    #[test]
    fn steepest_law_gives_every_client_its_subscriptions() {
        let config =
            config("loadtest channels --clients 9 --channels 100 --zipf 5 --protocol centrifuge --subscriptions 100");
        assert_eq!(Audience::new(&config).sizes(), [9; 100]);
    }
}
