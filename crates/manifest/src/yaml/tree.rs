//! Where the values of a YAML text are: a tree of values with their places.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A value with its place. Places are byte indexes.
#[derive(Debug)]
pub(super) struct Node {
    /// The value's own text, without its anchor. Empty for a value that is not written. Of a block collection, from its
    /// first key or dash to the end of its last value.
    pub range: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A scalar, an alias, or what is only replaced as a whole.
    Leaf,
    /// A block scalar: the place of its header (`|-`), and the indentation of its lines.
    Block {
        header: Range<usize>,
        indent: usize,
    },
    Map {
        flow: bool,
        entries: Vec<Entry>,
    },
    List {
        flow: bool,
        items: Vec<Item>,
    },
}

/// An entry of a map.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    /// Where the key begins.
    pub start: usize,
    /// Where the key ends, with its colon.
    pub colon: usize,
    pub value: Node,
}

/// An item of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// The dash of an item of a block list; otherwise where the item begins.
    pub dash: usize,
    pub value: Node,
}

impl Entry {
    /// Returns where the entry ends: the end of its value, or the colon if there is none.
    pub fn end(&self) -> usize {
        self.value.range.end.max(self.colon)
    }
}

impl Item {
    /// Returns where the item ends.
    pub fn end(&self, flow: bool) -> usize {
        if flow { self.value.range.end } else { self.value.range.end.max(self.dash + 1) }
    }
}

/// Reads the tree of a text that [`limits::check`](super::limits::check) has accepted. `None` if its shape is not
/// understood: an entry without a colon, or a key that is a list or a map.
pub(super) fn read(text: &str) -> Option<Node> {
    let bytes_of_chars =
        (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect());
    let mut reader = Reader { text, parser: Parser::new_from_str(text), bytes_of_chars };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (event, span) => return reader.node(event, span, 0, false),
        }
    }
}

/// Returns where the line of a place begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |at| at + 1)
}

/// Returns where the line of a place ends, after its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// Returns whether nothing is before a place on its line.
pub(super) fn begins_line(text: &str, at: usize) -> bool {
    text[line_start(text, at)..at].bytes().all(|byte| byte == b' ')
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The parser counts characters.
    bytes_of_chars: Option<Vec<usize>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<(Event<'t>, Range<usize>)> {
        let (event, Span { start, end }) = self.parser.next_event()?.ok()?;
        let byte = |index: usize| match &self.bytes_of_chars {
            Some(bytes) => bytes.get(index).copied().unwrap_or(self.text.len()),
            None => index.min(self.text.len()),
        };
        Some((event, byte(start.index())..byte(end.index())))
    }

    /// Reads a value. `after` is where the colon or dash before it ends.
    fn node(&mut self, event: Event<'t>, range: Range<usize>, after: usize, in_flow: bool) -> Option<Node> {
        match event {
            Event::Scalar(value, style, ..) => self.scalar(&value, style, range, after),
            Event::Alias(_) => Some(Node { range, kind: Kind::Leaf }),
            Event::MappingStart(..) => self.map(range, after, in_flow),
            Event::SequenceStart(..) => self.list(range, after, in_flow),
            _ => None,
        }
    }

    fn scalar(&self, value: &str, style: ScalarStyle, range: Range<usize>, after: usize) -> Option<Node> {
        let leaf = |range| Some(Node { range, kind: Kind::Leaf });
        let range = self.without_anchor(range);
        match style {
            ScalarStyle::Plain if value.is_empty() => leaf(after..after),
            ScalarStyle::Plain => leaf(range),
            // The parser's range may go on to the comment behind the quote.
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                leaf(range.start..quoted_end(self.text, range.start)?)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => self.block(range, after),
        }
    }

    /// The parser's range of a scalar begins with its anchor.
    fn without_anchor(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.text[range.clone()];
        match text.strip_prefix('&').and_then(|name| name.split_once(char::is_whitespace)) {
            Some((_, value)) => range.end - value.trim_start().len()..range.end,
            None => range,
        }
    }

    /// The range of a block scalar is that of its lines, and of blank lines below.
    fn block(&self, lines: Range<usize>, after: usize) -> Option<Node> {
        let first_line = after..line_end(self.text, after);
        let header_start = after + self.text[first_line].find(['|', '>'])?;
        let indicator = self.text[header_start..].find(|c: char| c.is_whitespace())?;
        let header = header_start..header_start + indicator;
        let content = &self.text[lines.clone()];
        let keeps_blank_lines = self.text[header.clone()].contains('+');
        let content_end = if keeps_blank_lines {
            lines.end.saturating_sub(1).max(header.end)
        } else {
            let written = content.trim_end();
            if written.is_empty() { header.end } else { lines.start + written.len() }
        };
        let indent = lines.start - line_start(self.text, lines.start);
        Some(Node { range: header.start..content_end, kind: Kind::Block { header, indent } })
    }

    fn map(&mut self, start: Range<usize>, after: usize, in_flow: bool) -> Option<Node> {
        let braces = self.text[start.clone()].ends_with('{');
        let mut entries: Vec<Entry> = Vec::new();
        let end = loop {
            let (event, range) = self.next()?;
            let key = match event {
                Event::MappingEnd => break range.end,
                Event::Scalar(key, style, ..) => {
                    let end = match style {
                        ScalarStyle::Plain => range.end,
                        _ => quoted_end(self.text, range.start)?,
                    };
                    (key.into_owned(), range.start..end)
                }
                _ => return None,
            };
            let rest = &self.text[key.1.end..];
            let blank = rest.len() - rest.trim_start().len();
            let colon = key.1.end + blank + 1;
            if !rest[blank..].starts_with(':') {
                return None;
            }
            let (event, range) = self.next()?;
            let value = self.node(event, range, colon, in_flow || braces)?;
            entries.push(Entry { key: key.0, start: key.1.start, colon, value });
        };
        let last = entries.last().map_or(after, Entry::end);
        let first = entries.first().map_or(after, |entry| entry.start);
        Some(match (braces, in_flow) {
            (true, _) => Node { range: start.end - 1..end, kind: Kind::Map { flow: true, entries } },
            (false, false) => Node { range: first..last, kind: Kind::Map { flow: false, entries } },
            // A single pair within brackets, without braces of its own.
            (false, true) => Node { range: first..last, kind: Kind::Leaf },
        })
    }

    fn list(&mut self, start: Range<usize>, after: usize, in_flow: bool) -> Option<Node> {
        let flow = self.text[start.clone()].ends_with('[');
        if in_flow && !flow {
            return None;
        }
        let mut items: Vec<Item> = Vec::new();
        let end = loop {
            let (event, range) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break range.end;
            }
            if flow {
                let dash = range.start;
                items.push(Item { dash, value: self.node(event, range, dash, true)? });
            } else {
                let dash = dash(self.text, items.last().map_or(after, |item| item.end(false)))?;
                items.push(Item { dash, value: self.node(event, range, dash + 1, false)? });
            }
        };
        Some(if flow {
            Node { range: start.end - 1..end, kind: Kind::List { flow, items } }
        } else {
            let range =
                items.first().map_or(after, |item| item.dash)..items.last().map_or(after, |i| i.end(false));
            Node { range, kind: Kind::List { flow, items } }
        })
    }
}

/// Returns the next dash of a block list after what ends at `from`.
fn dash(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let end = line_end(text, at);
        let line = &text[at..end];
        let written = line.trim_start();
        if written.starts_with('-') && written[1..].starts_with(char::is_whitespace) {
            return Some(at + line.len() - written.len());
        }
        // The rest of a line has a comment or an anchor; a line of its own, only a comment.
        if end == text.len() && (end == at || !line.ends_with('\n')) {
            return None;
        }
        at = end;
    }
}

/// Returns where a quoted scalar ends, after its quote.
fn quoted_end(text: &str, start: usize) -> Option<usize> {
    let quote = *text.as_bytes().get(start)?;
    let mut bytes = text.bytes().enumerate().skip(start + 1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if quote == b'"' => drop(bytes.next()),
            b'\'' if quote == b'\'' && text.as_bytes().get(at + 1) == Some(&b'\'') => drop(bytes.next()),
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
