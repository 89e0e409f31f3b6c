//! The limits on a YAML file, checked before its values are built.
//!
//! The parser that builds values takes time that grows with the square of the number of open brackets, and expands
//! aliases as it goes. This check runs on the events of a parser whose time is linear, and expands nothing.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, Tag};

use crate::check::cut;
use crate::diagnostic::{Diagnostic, DiagnosticKind};

/// The largest YAML file that is read, in bytes.
pub(super) const LARGEST_YAML: usize = 1 << 20;

/// How many lists and maps may lie inside each other, aliases expanded.
pub(super) const DEEPEST_YAML: usize = 64;

/// How many values and keys a file may hold, aliases expanded.
pub(super) const MOST_YAML_VALUES: usize = 100_000;

/// How many bytes of text the values and keys may hold together, aliases expanded.
pub(super) const MOST_YAML_TEXT: usize = 8 << 20;

/// Checks that a YAML file is well formed, within the limits, and free of tags.
///
/// # Errors
/// The first problem, with its line and column.
pub(super) fn check(text: &str, file: &str) -> Result<(), Diagnostic> {
    if text.len() > LARGEST_YAML {
        let message = format!("the file has {} bytes; at most {LARGEST_YAML} are read", text.len());
        return Err(Diagnostic::error(DiagnosticKind::Limit, file, message));
    }
    let at = |kind, mark: &Marker, message: String| Diagnostic {
        line: Some(mark.line()),
        column: Some(mark.col() + 1),
        ..Diagnostic::error(kind, file, message)
    };
    let mut sizes = Sizes::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            at(
                DiagnosticKind::Syntax,
                error.marker(),
                format!("the file is not valid YAML: {}", error.info()),
            )
        })?;
        if let Some(tag) = tag(&event) {
            let handle = if tag.is_yaml_core_schema() { "!!" } else { &tag.handle };
            let message =
                format!("the tag `{}` is not supported; remove it", cut(&format!("{handle}{}", tag.suffix)));
            return Err(at(DiagnosticKind::Syntax, &span.start, message));
        }
        sizes.add(&event).map_err(|message| at(DiagnosticKind::Limit, &span.start, message))?;
    }
    Ok(())
}

fn tag<'e>(event: &'e Event<'_>) -> Option<&'e Tag> {
    match event {
        Event::Scalar(.., tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => tag.as_deref(),
        _ => None,
    }
}

/// What a value holds once its aliases are expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    values: usize,
    text: usize,
    depth: usize,
}

/// The sizes of the values that are open, and of those that have an anchor.
#[derive(Debug, Default)]
struct Sizes {
    /// Each open list or map with its anchor's id, 0 for none.
    open: Vec<(usize, Size)>,
    by_anchor: HashMap<usize, Size>,
    document: Size,
}

impl Sizes {
    fn add(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                self.close(*anchor, Size { values: 1, text: text.len(), depth: 0 })
            }
            // An alias inside of its own anchor has no size yet; the parser that builds values refuses it.
            Event::Alias(anchor) => self.close(0, self.by_anchor.get(anchor).copied().unwrap_or_default()),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                self.open.push((*anchor, Size { values: 1, text: 0, depth: 1 }));
                self.within_depth(self.open.len())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((anchor, size)) => self.close(anchor, size),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Adds a complete value to what holds it.
    fn close(&mut self, anchor: usize, size: Size) -> Result<(), String> {
        if anchor != 0 {
            self.by_anchor.insert(anchor, size);
        }
        self.within_depth(self.open.len() + size.depth)?;
        let holder = self.open.last_mut().map_or(&mut self.document, |(_, holder)| holder);
        holder.values += size.values;
        holder.text += size.text;
        holder.depth = holder.depth.max(size.depth + 1);
        if holder.values > MOST_YAML_VALUES {
            return Err(format!(
                "the file has more than {MOST_YAML_VALUES} values, those of aliases included"
            ));
        }
        if holder.text > MOST_YAML_TEXT {
            return Err(format!(
                "the file has more than {MOST_YAML_TEXT} bytes of text, those of aliases included"
            ));
        }
        Ok(())
    }

    fn within_depth(&self, depth: usize) -> Result<(), String> {
        match depth > DEEPEST_YAML {
            true => Err(format!("lists and maps are nested more than {DEEPEST_YAML} deep")),
            false => Ok(()),
        }
    }
}
