//! Bounded lists in messages.

use std::fmt;

/// How many entries of a list a message shows.
pub const SHOWN_ENTRIES: usize = 10;

/// Shows the first ten entries, parted by `; ` where they are not whole sentences, and counts the others.
///
/// ```
/// use comfy_runner_manifest::FirstTen;
///
/// let keys: Vec<String> = (0..1000).map(|n| format!("key {n}")).collect();
/// let shown = FirstTen(keys.iter()).to_string();
/// assert!(shown.starts_with("key 0; key 1; ") && shown.ends_with("; key 9; and 990 more"));
/// ```
#[derive(Debug, Clone)]
pub struct FirstTen<I>(pub I);

impl<I: Iterator<Item: fmt::Display> + Clone> fmt::Display for FirstTen<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.0.clone();
        let mut separator = "";
        for entry in entries.by_ref().take(SHOWN_ENTRIES) {
            let entry = entry.to_string();
            write!(f, "{separator}{entry}")?;
            separator = if entry.ends_with(['.', '?']) { " " } else { "; " };
        }
        match entries.count() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The first ten of any number of things, and a count of the others.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    pub first: Vec<T>,
    pub more: usize,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<T> Counted<T> {
    pub fn push(&mut self, thing: T) {
        match self.is_full() {
            true => self.more += 1,
            false => self.first.push(thing),
        }
    }

    /// Whether the next one is only counted.
    pub fn is_full(&self) -> bool {
        self.first.len() >= SHOWN_ENTRIES
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.more
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_not_followed_by_a_semicolon() {
        assert_eq!(FirstTen(["a", "b"].iter()).to_string(), "a; b");
        assert_eq!(
            FirstTen(["No a. Did you mean \"b\"?", "No c.", "d"].iter()).to_string(),
            "No a. Did you mean \"b\"? No c. d"
        );
    }
}
