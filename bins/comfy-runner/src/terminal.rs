//! Output of the command line.
//!
//! Titles, exceptions, file names and the answers of servers come from elsewhere. In the output, characters that
//! control a terminal are escaped as `\u001b`. That is JSON's own notation, so JSON keeps its meaning. Clippy refuses
//! `println!` and its kind in this crate: [`outln!`](crate::terminal::outln) and [`errln!`](crate::terminal::errln) are
//! the way to print.

use std::fmt;
use std::io::{self, Write};

/// Prints a line to stdout, with control characters escaped.
macro_rules! outln {
    ($($arg:tt)*) => { $crate::terminal::print(std::io::stdout(), format_args!($($arg)*)) };
}

/// Prints a line to stderr, with control characters escaped.
macro_rules! errln {
    ($($arg:tt)*) => { $crate::terminal::print(std::io::stderr(), format_args!($($arg)*)) };
}

pub(crate) use {errln, outln};

/// Prints a line; what `outln!` and `errln!` call.
///
/// # Panics
///
/// When the line cannot be written, as `println!` does.
pub fn print(mut to: impl Write, line: fmt::Arguments<'_>) {
    let line = escape(&format!("{line}\n"), |c| steers(c) && !matches!(c, '\n' | '\t'));
    let printed = to.write_all(line.as_bytes()).and_then(|()| to.flush());
    printed.unwrap_or_else(|error| panic!("failed to print: {error}"));
}

/// Returns a string for use within a line: line breaks and tabs are escaped as well.
pub fn one_line(text: &str) -> String {
    escape(text, steers)
}

/// An error and its causes on one line, each once: some messages contain their cause's already.
pub fn error_chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    let mut last = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line.clone_from(&cause);
        } else if !last.contains(&cause) {
            line += &format!(": {cause}");
        }
        last = cause;
    }
    line
}

/// The writer of log lines. tracing escapes control characters in their fields; this escapes the controls of text
/// direction, and keeps colors.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // tracing writes a line at once, so no character is split.
        let line = String::from_utf8_lossy(bytes);
        io::stderr().write_all(escape(&line, turns_text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns whether a character may control a terminal: a C0 or C1 control character, a line separator, or a
/// control of text direction.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns_text(c)
}

/// Returns whether a character changes the direction of text (Unicode's property Bidi_Control), which can make a name look
/// like another.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if escaped(c) {
            // All of these characters are in the basic plane, so that four digits suffice.
            shown += &format!("\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(line: fmt::Arguments<'_>) -> String {
        let mut to = Vec::new();
        print(&mut to, line);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn nothing_that_is_printed_steers_a_terminal() {
        for c in ('\0'..='\u{ffff}').filter(|c| steers(*c) && !matches!(c, '\n' | '\t')) {
            let expected = format!("a \\u{:04x} b\n", u32::from(c));
            assert_eq!(printed(format_args!("a {c} b")), expected);
        }
        let hostile = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\u{202e}gnp.exe\x7f";
        let shown = printed(format_args!("{hostile}"));
        assert!(shown.trim_end().chars().all(|c| !steers(c)), "{shown:?}");
        assert_eq!(printed(format_args!("two\n\tlines, füchse 狐")), "two\n\tlines, füchse 狐\n");
        assert_eq!(one_line("two\n\tlines"), "two\\u000a\\u0009lines");
    }

    #[test]
    fn a_cause_that_the_message_before_it_contains_is_not_printed_again() {
        let in_use = anyhow::Error::msg("in use");
        assert_eq!(error_chain(&in_use), "in use");
        let listen = in_use.context("cannot listen: in use").context("the server does not start");
        assert_eq!(error_chain(&listen), "the server does not start: cannot listen: in use");
        let plain = anyhow::Error::msg("in use").context("cannot listen");
        assert_eq!(error_chain(&plain), "cannot listen: in use");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"title": "\x1b[2J \u{9b} \u{202e} \u{2028} \n \"ü\""});
        let shown = printed(format_args!("{value:#}"));
        assert!(!shown.contains(['\x1b', '\u{9b}', '\u{202e}']), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
