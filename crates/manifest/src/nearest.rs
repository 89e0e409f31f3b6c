//! The known name that a misspelt one was probably meant to be.

/// Returns the known name that is most similar to `name`, if one is similar enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let likeness = |known: &str| strsim::jaro_winkler(&folded, &fold(known));
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Normalizes a name for comparison, without regard to case and separators. Cuts long names: the measure is quadratic.
fn fold(name: &str) -> String {
    name.chars()
        .take(80)
        .map(|c| if matches!(c, '-' | ' ' | '.') { '_' } else { c.to_ascii_lowercase() })
        .collect()
}

/// Returns ` Did you mean "steps"?`, or an empty string if no known name is similar.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!(" Did you mean \"{near}\"?"))
}

/// Returns the known key that a key of a file was probably meant to be, if it looks like a typo. `aliases` are words
/// that people use for a known key.
///
/// This is stricter than [`nearest`]: keys that are merely similar are often meant as they are.
pub(crate) fn likely_typo<'a>(key: &str, known: &[&'a str], aliases: &[(&str, &'a str)]) -> Option<&'a str> {
    let key = fold(key);
    let candidates = known.iter().map(|known| (*known, *known)).chain(aliases.iter().copied());
    let distances = candidates.filter_map(|(written, meant)| {
        let allowed = match written.chars().count().min(key.chars().count()) {
            ..=3 => 0,
            4..=5 => 1,
            _ => 2,
        };
        let distance = strsim::damerau_levenshtein(&key, &fold(written));
        (distance <= allowed).then_some((distance, meant))
    });
    distances.min_by_key(|(distance, _)| *distance).map(|(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let known = ["prompt", "negative_prompt", "steps"];
        assert_eq!(nearest("promt", known), Some("prompt"));
        assert_eq!(nearest("Negative-Prompt", known), Some("negative_prompt"));
        assert_eq!(nearest("zzz", known), None);
    }
}
