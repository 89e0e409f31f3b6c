//! What a comparison must come to: pinned, so that neither a lost template nor a new failure goes unseen.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// What must pass.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// How many templates the schemas know.
    pub templates: usize,
    /// Those whose prompt differs from the editor's, each with its reason.
    #[serde(default)]
    pub ui_to_api_fails: BTreeMap<String, String>,
    /// Those whose prompt does not come back through a drawing of ours, each with its reason.
    #[serde(default)]
    pub api_to_ui_fails: BTreeMap<String, String>,
}

impl Expectation {
    /// Reads it from a file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no expectation", file.display()))
    }
}

/// Failures that were not expected, and expected ones that did not come: both are news.
pub fn surprises(direction: &str, failed: &[String], known: &BTreeMap<String, String>) -> Vec<String> {
    let news = failed.iter().filter(|name| !known.contains_key(*name));
    let gone = known.keys().filter(|name| !failed.contains(name));
    news.map(|name| format!("{direction}: {name} fails, which is new"))
        .chain(gone.map(|name| format!("{direction}: {name} passes now; take it off the list")))
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
            ["there: c fails, which is new", "there: a passes now; take it off the list"]
        );
    }
}
