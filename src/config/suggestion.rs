//! A suggestion: the known name that is most similar to one that does not exist.

/// Names at least this similar are suggested.
const SIMILARITY_MIN: f64 = 0.75;

/// Returns `; did you mean ...?` if a known name is similar enough.
pub fn suggestion(name: &str, known: impl Iterator<Item = String>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

/// Returns the most similar of the known names, if one is similar enough. The beginning of several names stands for the
/// first of them.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let plain = |name: &str| name.trim_matches(['[', ']']).replace('-', "_").to_lowercase();
    let score = |known: &str| match plain(known).starts_with(&plain(name)) {
        true if !name.is_empty() => 1.0,
        _ => strsim::jaro_winkler(&plain(name), &plain(known)),
    };
    let scored = known.map(|known| (score(&known), known)).filter(|(score, _)| *score >= SIMILARITY_MIN);
    // Of equals the first one.
    let nearest = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    nearest.map(|(_, known)| known)
}
