//! The log: where lines go and how they look.

use crate::config::Logging;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts writing to standard error.
///
/// # Errors
///
/// When `--log` is no filter.
pub(super) fn start(logging: &Logging) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(&logging.log)?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    Ok(())
}
