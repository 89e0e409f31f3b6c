//! Strings of callers, cut to a length for log lines and responses.

use std::borrow::Cow;

/// Returns the first `max` bytes of a string, or a few fewer so that no character is cut, followed by the number of bytes
/// that were left out. A short string is returned unchanged.
pub fn excerpt(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = (0..=max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}... ({} more bytes)", &text[..end], text.len() - end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_string_is_cut_between_characters_and_says_so() {
        assert_eq!(excerpt("short", 5), "short");
        assert_eq!(excerpt("longer", 5), "longe... (1 more bytes)");
        assert_eq!(excerpt("ääää", 5), "ää... (4 more bytes)");
        assert_eq!(excerpt("ä", 0), "... (2 more bytes)");
    }
}
