//! A suggestion: the known name that is most similar to one that does not exist.

/// Names at least this similar are suggested.
const SIMILARITY_MIN: f64 = 0.75;

/// Returns `; did you mean ...?` if a known name is similar enough.
pub fn suggestion(name: &str, known: impl Iterator<Item = String>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

/// Returns the most similar of the known names, if one is similar enough.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let plain = |name: &str| name.trim_matches(['[', ']']).replace('-', "_").to_lowercase();
    let scored = known.map(|known| (strsim::jaro_winkler(&plain(name), &plain(&known)), known));
    let nearest = scored.filter(|(score, _)| *score >= SIMILARITY_MIN).max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map(|(_, known)| known)
}
