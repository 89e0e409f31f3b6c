//! Tables and times for people.

use comfy_runner_api::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::terminal::{one_line, outln};

/// Prints rows under a header. Each column is as wide as its widest cell.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    outln!("{}", line(&header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
    for row in &rows {
        outln!("{}", line(row));
    }
}

/// Parses a time of the API.
pub fn time(time: Option<&Timestamp>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(time?.as_str(), &Rfc3339).ok()
}

/// `3 min ago`.
pub fn ago(then: OffsetDateTime, now: OffsetDateTime) -> String {
    match (now - then).whole_seconds().max(0) {
        seconds @ 0..60 => format!("{seconds} s ago"),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// `2m 05s`.
pub fn lasted(from: OffsetDateTime, to: OffsetDateTime) -> String {
    let seconds = (to - from).whole_seconds().max(0);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

/// Returns the first line of a string, cut to `most` characters.
pub fn short(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most {
        line.to_owned()
    } else {
        line.chars().take(most - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let then = datetime!(2026-03-24 14:30:52 UTC);
        assert_eq!(ago(then, datetime!(2026-03-24 14:34:00 UTC)), "3 min ago");
        assert_eq!(ago(then, datetime!(2026-03-26 14:34:00 UTC)), "2 d ago");
        assert_eq!(lasted(then, datetime!(2026-03-24 14:32:57 UTC)), "2m 05s");
        assert_eq!(time(Some(&Timestamp::new("2026-03-24T14:30:52Z"))), Some(then));
        assert_eq!(short("a long line\nand more", 6), "a lon…");
    }
}
