//! The limits of the machine that a run would hit, checked before it begins.

use crate::config::Config;
use crate::exit::RunError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a process in addition to its connections: standard streams, poll, timer, files of `/proc`.
const DESCRIPTORS_SPARE: u64 = 32;

/// Ports of a source address, with `net.ipv4.ip_local_port_range` as Linux has it.
const PORTS: usize = 28_000;

/// Raises the descriptor limit, which the workers inherit, as far as needed.
///
/// # Errors
///
/// Fails when it cannot be raised that far, or there are not enough ports.
pub(crate) fn check(config: &Config) -> Result<(), RunError> {
    let connections = config.connections() + config.validators;
    let sources = usize::from(config.source_addresses);
    if connections.div_ceil(sources) > PORTS {
        let wanted = connections.div_ceil(PORTS);
        let text = format!(
            "{connections} connections need more than the {PORTS} ports of an address; use --source-addresses {wanted}"
        );
        return Err(RunError::Limits(text));
    }
    let to_api = config.api.as_ref().map_or(0, |api| api.connections);
    let each = connections.div_ceil(config.processes) as u64 + (config.validators + to_api) as u64;
    let wanted = each + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_none_or(|maximum| maximum >= wanted)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).is_ok()
    {
        return Ok(());
    }
    let maximum = limit.maximum.unwrap_or(wanted);
    let processes = (connections as u64).div_ceil(maximum.saturating_sub(DESCRIPTORS_SPARE).max(1));
    Err(RunError::Limits(format!(
        "{each} connections in a process need {wanted} descriptors and the hard limit is {maximum}; use --processes \
         {processes}, fewer --clients, or raise the limit (ulimit -Hn, LimitNOFILE)"
    )))
}
