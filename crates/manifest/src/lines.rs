//! The lines of values in a YAML or JSON text.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};

/// Values deeper than this take the line of their container.
const DEEPEST: usize = 8;

/// The line of every key and list element of a YAML or JSON document, by JSON pointer.
///
/// A different parser reads the values. Where the two disagree, or the document cannot be parsed, lines are unknown.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    by_pointer: HashMap<String, usize>,
}

/// A map or list that is being read.
struct Open {
    pointer: String,
    at: Position,
}

enum Position {
    Index(usize),
    /// The next scalar is a key.
    Key,
    /// The next event is the value of this key.
    Value(String),
    /// The next event is the value of a key that is no scalar.
    Nameless,
}

impl Lines {
    /// Parses a YAML or JSON text.
    pub fn parse(text: &str) -> Self {
        let mut by_pointer = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = parser.next_event() {
            let line = span.start.line();
            match event {
                Event::Scalar(text, ..) => {
                    if let Some(Open { at: at @ Position::Key, pointer }) = open.last_mut() {
                        let key = escape(&text);
                        if open_enough(pointer) {
                            by_pointer.entry(format!("{pointer}/{key}")).or_insert(line);
                        }
                        *at = Position::Value(key);
                    } else {
                        place(&mut open, line, &mut by_pointer);
                    }
                }
                Event::Alias(_) => {
                    place(&mut open, line, &mut by_pointer);
                }
                Event::SequenceStart(..) => {
                    let pointer = place(&mut open, line, &mut by_pointer);
                    open.push(Open { pointer, at: Position::Index(0) });
                }
                Event::MappingStart(..) => {
                    let pointer = place(&mut open, line, &mut by_pointer);
                    open.push(Open { pointer, at: Position::Key });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                }
                _ => {}
            }
        }
        Self { by_pointer }
    }

    /// Returns the line of the value at this JSON pointer, or of the innermost value around it with a known line.
    pub fn line(&self, pointer: &str) -> Option<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.by_pointer.get(pointer) {
                return Some(*line);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// Returns a key as a part of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn open_enough(pointer: &str) -> bool {
    pointer.bytes().filter(|byte| *byte == b'/').count() < DEEPEST
}

/// Notes a value that begins on this line and returns its pointer.
fn place(open: &mut [Open], line: usize, by_pointer: &mut HashMap<String, usize>) -> String {
    let Some(parent) = open.last_mut() else { return String::new() };
    match &mut parent.at {
        Position::Index(index) => {
            let pointer = format!("{}/{index}", parent.pointer);
            *index += 1;
            if open_enough(&parent.pointer) {
                by_pointer.entry(pointer.clone()).or_insert(line);
            }
            pointer
        }
        Position::Value(key) => {
            // The key's own line, noted already, is what a person looks for.
            let pointer = format!("{}/{key}", parent.pointer);
            parent.at = Position::Key;
            pointer
        }
        Position::Nameless => {
            parent.at = Position::Key;
            parent.pointer.clone()
        }
        Position::Key => {
            parent.at = Position::Nameless;
            parent.pointer.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_elements_of_yaml_have_their_lines() {
        let lines = Lines::parse("id: x\ninputs:\n  - id: a\n    type: int\n\n  - {id: b,\n     min: 3}\n");
        assert_eq!(lines.line("/id"), Some(1));
        assert_eq!(lines.line("/inputs"), Some(2));
        assert_eq!(lines.line("/inputs/0/type"), Some(4));
        assert_eq!(lines.line("/inputs/1"), Some(6));
        assert_eq!(lines.line("/inputs/1/min"), Some(7));
    }

    #[test]
    fn what_is_absent_takes_the_line_of_what_would_hold_it() {
        let lines = Lines::parse("id: x\ninputs:\n  - type: int\n");
        assert_eq!(lines.line("/inputs/0/id"), Some(3));
        assert_eq!(lines.line("/nothing"), None);
    }

    #[test]
    fn json_is_read_too_tabs_and_all() {
        let lines =
            Lines::parse("{\n\t\"3\": {\n\t\t\"inputs\": {\"a/b\": 1,\n\t\t\t\"c\": [\"4\", 0]}\n\t}\n}");
        assert_eq!(lines.line("/3/inputs/a~1b"), Some(3));
        assert_eq!(lines.line("/3/inputs/c"), Some(4));
    }

    #[test]
    fn broken_text_has_the_lines_before_it_breaks() {
        assert_eq!(Lines::parse("a: 1\nb: [").line("/a"), Some(1));
    }
}
