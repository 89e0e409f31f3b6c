//! The comments and blank lines around a value.

use crate::yaml::tree::line_start;

/// Returns where the comments begin that are directly above a place, not before `from`.
pub(super) fn comments_above(text: &str, from: usize, at: usize) -> usize {
    let end = line_start(text, at);
    let from = from.min(end);
    end - adjacent(&text[from..end])
}

/// Returns the length of the blank lines that begin at a place.
pub(super) fn blank_lines(text: &str, at: usize) -> usize {
    text[at..].split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum()
}

/// Returns the length of the lines at the end of `lines` that have no blank line below them.
pub(super) fn adjacent(lines: &str) -> usize {
    lines.split_inclusive('\n').rev().take_while(|line| !line.trim().is_empty()).map(str::len).sum()
}
