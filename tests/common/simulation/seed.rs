//! Seeds: a run that fails can be run again.

use std::env;

/// The number that all random choices of a run follow from. It is printed when the run fails.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "how to run the failure again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run again with THRONG_SEED={}", self.0);
        }
    }
}

/// Returns the seeds to run: the first ones up to this number, or as THRONG_SEEDS says; or only THRONG_SEED.
pub(crate) fn seeds(default: u64) -> impl Iterator<Item = Seed> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("THRONG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THRONG_SEEDS").unwrap_or(default),
    };
    seeds.map(Seed)
}
