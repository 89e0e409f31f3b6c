//! Changes of parts of the YAML text.

use std::ops::Range;

/// A part of the text, and what takes its place.
#[derive(Debug)]
struct Change {
    range: Range<usize>,
    with: String,
}

/// Changes that do not overlap. Those at the same place apply in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.0.push(Change { range, with: with.into() });
    }

    pub fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    pub fn delete(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    /// Ends the lines of what is written as Windows does.
    pub fn end_lines_with_crlf(&mut self) {
        for change in &mut self.0 {
            change.with = change.with.replace("\r\n", "\n").replace('\n', "\r\n");
        }
    }

    /// Returns a part of the text, changed.
    pub fn apply(mut self, text: &str, part: Range<usize>) -> String {
        self.0.sort_by_key(|change| (change.range.start, change.range.end));
        let (mut changed, mut at) = (String::with_capacity(part.len()), part.start);
        for change in &self.0 {
            changed.push_str(&text[at..change.range.start.max(at)]);
            changed.push_str(&change.with);
            at = change.range.end.max(at);
        }
        changed.push_str(&text[at..part.end]);
        changed
    }
}
