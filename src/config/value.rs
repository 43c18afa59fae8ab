//! A value: how the text of a file, a variable or a flag becomes a field.

use super::address::{Address, AddressError};
use super::collector_url::{CollectorUrl, CollectorUrlError};
use super::file_access::{FileMode, FileModeError, FileOwner, FileOwnerError};
use super::hook_header::{ClientHeader, HookHeaderError, StaticHeader};
use super::host::{HostError, HostPattern};
use super::http_url::{HttpUrl, HttpUrlError};
use super::jwks_url::{JwksUrl, JwksUrlError};
use super::key::{ApiKey, Key, KeyError};
use super::log_filter::{LogFilter, LogFilterError};
use super::namespace_name::{NamespaceName, NamespaceNameError};
use super::nats_server::{NatsServer, NatsServerError};
use super::origin::{OriginError, OriginPattern};
use super::webhook_secret::{WebhookSecret, WebhookSecretError};
use ipnet::IpNet;
use std::net::IpAddr;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Why a text is not a value of its setting.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ValueError {
    /// The text is not a whole number.
    #[error("{text:?} is not a whole number such as 42: {error}")]
    Number {
        /// The text.
        text: String,
        /// What Rust's parser says.
        error: ParseIntError,
    },
    /// The text is not a number of bytes.
    #[error("{text:?} is not a size such as 65536, 64KiB or 2MB")]
    Size {
        /// The text.
        text: String,
    },
    /// The text is not a duration.
    #[error("{text:?} is not a duration such as 54s, 1m30s or 300us")]
    Duration {
        /// The text.
        text: String,
    },
    /// The text neither turns a switch on nor off.
    #[error("{text:?} is not true or false; yes, no, on, off, 1 and 0 are understood too")]
    Switch {
        /// The text.
        text: String,
    },
    /// The text is not a log filter.
    #[error(transparent)]
    Log(#[from] LogFilterError),
    /// The text is not the mode of a file.
    #[error(transparent)]
    Mode(#[from] FileModeError),
    /// The text is not the owner of a file.
    #[error(transparent)]
    Owner(#[from] FileOwnerError),
    /// There is no text.
    #[error("an empty text is not a value; leave the setting out for its default")]
    Empty,
    /// The text is not one of the words.
    #[error("{text:?} is not one of {}", words.join(", "))]
    Choice {
        /// The text.
        text: String,
        /// The words that are allowed.
        words: &'static [&'static str],
    },
    /// The quantity is too small or too large.
    #[error("{value} is not {range}{}{advice}", if advice.is_empty() { "" } else { "; " })]
    Range {
        /// The quantity.
        value: String,
        /// The range, as `between 1 and 64`.
        range: String,
        /// Why, or what to write instead.
        advice: &'static str,
    },
    /// The text is neither an address nor a network.
    #[error("{text} is neither an address nor a network such as 10.0.0.0/8")]
    Network {
        /// The text.
        text: String,
    },
    /// The text is not an address to listen on.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The text is not a host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The text is not an origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The text is not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The text is not the name of a namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceNameError),
    /// The text is not the URL of a JWK Set.
    #[error(transparent)]
    JwksUrl(#[from] JwksUrlError),
    /// The text is not the URL of a server.
    #[error(transparent)]
    HttpUrl(#[from] HttpUrlError),
    /// The text is not the address of a NATS server.
    #[error(transparent)]
    NatsServer(#[from] NatsServerError),
    /// The text is not a header of a request.
    #[error(transparent)]
    Header(#[from] HookHeaderError),
    /// The text is not the secret of webhooks.
    #[error(transparent)]
    WebhookSecret(#[from] WebhookSecretError),
    /// The text is not the URL of a collector.
    #[error(transparent)]
    CollectorUrl(#[from] CollectorUrlError),
}

/// One value that is written as one text.
pub trait Scalar: Sized {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the text is not one.
    fn parse(text: &str) -> Result<Self, ValueError>;

    /// Returns what a range is compared with: a number, or nanoseconds.
    fn quantity(&self) -> Option<u64> {
        None
    }
}

/// A field of a section: one value, one that may be missing, or a list.
pub trait Field: Sized {
    /// Reads it from its texts; none when nothing is given.
    ///
    /// # Errors
    ///
    /// [`ValueError`] of the first text that is not a value.
    fn read(texts: &[String]) -> Result<Self, ValueError>;

    /// Checks one of its texts, and returns the quantity that it says.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the text is not a value.
    fn check(text: &str) -> Result<Option<u64>, ValueError>;

    /// Returns what a range is compared with.
    fn quantity(&self) -> Option<u64>;
}

impl<T: Scalar> Field for T {
    fn read(texts: &[String]) -> Result<Self, ValueError> {
        T::parse(texts.first().map_or("", String::as_str))
    }

    fn check(text: &str) -> Result<Option<u64>, ValueError> {
        Ok(T::parse(text)?.quantity())
    }

    fn quantity(&self) -> Option<u64> {
        Scalar::quantity(self)
    }
}

impl<T: Scalar> Field for Option<T> {
    fn read(texts: &[String]) -> Result<Self, ValueError> {
        texts.first().map(|text| T::parse(text)).transpose()
    }

    fn check(text: &str) -> Result<Option<u64>, ValueError> {
        <T as Field>::check(text)
    }

    fn quantity(&self) -> Option<u64> {
        self.as_ref().and_then(Scalar::quantity)
    }
}

impl<T: Scalar> Field for Vec<T> {
    fn read(texts: &[String]) -> Result<Self, ValueError> {
        texts.iter().map(|text| T::parse(text)).collect()
    }

    fn check(text: &str) -> Result<Option<u64>, ValueError> {
        <T as Field>::check(text)
    }

    fn quantity(&self) -> Option<u64> {
        None
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Scalar for $type {
            fn parse(text: &str) -> Result<Self, ValueError> {
                text.parse().map_err(|error| ValueError::Number { text: text.to_owned(), error })
            }

            fn quantity(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )+};
}

numbers! { u32 u64 usize }

impl Scalar for Duration {
    fn parse(text: &str) -> Result<Self, ValueError> {
        humantime::parse_duration(text).map_err(|_| ValueError::Duration { text: text.to_owned() })
    }

    fn quantity(&self) -> Option<u64> {
        // 584 years are as good as no limit.
        Some(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Scalar for PathBuf {
    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() { Err(ValueError::Empty) } else { Ok(text.into()) }
    }
}

impl Scalar for bool {
    /// Reads a switch as people, YAML, compose files and shells write it.
    fn parse(text: &str) -> Result<Self, ValueError> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(ValueError::Switch { text: text.to_owned() }),
        }
    }
}

impl Scalar for IpNet {
    /// Reads a network, or one address as a network of its own.
    fn parse(text: &str) -> Result<Self, ValueError> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        network.map_err(|_| ValueError::Network { text: text.to_owned() })
    }
}

macro_rules! texts {
    ($($type:ty)+) => {$(
        impl Scalar for $type {
            fn parse(text: &str) -> Result<Self, ValueError> {
                Ok(text.parse::<Self>()?)
            }
        }
    )+};
}

texts! {
    Address ApiKey ClientHeader CollectorUrl FileMode FileOwner HostPattern HttpUrl JwksUrl Key LogFilter NamespaceName
    NatsServer OriginPattern StaticHeader WebhookSecret
}

impl Scalar for String {
    fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(text.to_owned())
    }
}

/// Declares a choice: an enum whose variants are words of a file.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $Choice:ident { $($(#[doc = $about:literal])+ $Variant:ident = $word:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $Choice {
            $($(#[doc = $about])+ $Variant,)+
        }

        impl $Choice {
            /// The word of each variant, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl $crate::config::value::Scalar for $Choice {
            fn parse(text: &str) -> Result<Self, $crate::config::value::ValueError> {
                match text {
                    $($word => Ok(Self::$Variant),)+
                    _ => Err($crate::config::value::ValueError::Choice { text: text.to_owned(), words: Self::WORDS }),
                }
            }
        }
    };
}

pub(super) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    /// Compose files, charts and people write switches in all these ways.
    #[test]
    fn switch_is_read_as_people_write_it() {
        for (text, is_on) in [("true", true), ("YES", true), ("On", true), ("1", true)] {
            assert_eq!(bool::parse(text), Ok(is_on), "{text}");
        }
        for text in ["false", "No", "off", "0"] {
            assert_eq!(bool::parse(text), Ok(false), "{text}");
        }
        for text in ["", "2", "y", "enable", "truee"] {
            assert!(bool::parse(text).unwrap_err().to_string().contains("is not true or false"), "{text}");
        }
    }

    #[test]
    fn one_address_is_a_network_of_its_own() {
        assert_eq!(IpNet::parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        for text in ["", "10.0.0.0/33", "host", "10.0.0"] {
            assert!(IpNet::parse(text).is_err(), "{text}");
        }
    }
}
