//! The expected result of a comparison. It detects missing templates and new failures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// The expected result of a comparison.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The number of templates whose node types the schemas contain.
    pub templates: usize,
    /// The templates whose prompt differs from the editor's, each with the reason.
    #[serde(default)]
    pub ui_to_api_fails: BTreeMap<String, String>,
    /// The templates whose converted prompt does not give the same prompt again, each with the reason.
    #[serde(default)]
    pub api_to_ui_fails: BTreeMap<String, String>,
}

impl Expectation {
    /// Reads an expectation from a file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not an expectation", file.display()))
    }
}

/// Returns failures that were not expected, and expected failures that did not occur.
pub fn surprises(direction: &str, failed: &[String], known: &BTreeMap<String, String>) -> Vec<String> {
    let new = failed.iter().filter(|name| !known.contains_key(*name));
    let gone = known.keys().filter(|name| !failed.contains(name));
    new.map(|name| format!("{direction}: {name} fails and is not in the list"))
        .chain(gone.map(|name| format!("{direction}: {name} passes now; remove it from the list")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_failures_and_vanished_ones_are_surprises() {
        let known = BTreeMap::from([("a".to_owned(), "why".to_owned()), ("b".to_owned(), "why".to_owned())]);
        assert_eq!(
            surprises("there", &["b".to_owned(), "c".to_owned()], &known),
            ["there: c fails and is not in the list", "there: a passes now; remove it from the list"]
        );
    }
}
