//! Flags that several scenarios share.

use crate::cli::values;
use clap::Args;

/// A message of the usual length.
#[derive(Args, Debug)]
pub(crate) struct Message {
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = values::size)]
    pub(super) size: usize,
}

/// Receivers of the usual number.
#[derive(Args, Debug)]
pub(crate) struct Receivers {
    /// Receivers; the publisher's connection comes on top, if it has one.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    pub(super) clients: usize,
}
