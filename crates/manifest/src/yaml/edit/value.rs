//! Changes of one value: what stays of it, and what takes its place.

use std::ops::Range;

use serde_json::Value;

use super::EditError;
use super::changes::Changes;
use super::equal::same;
use crate::yaml::tree::{Kind, Node, begins_line, line_end};
use crate::yaml::write;

/// What changes are found for.
pub(super) struct Editor<'t> {
    /// The text to be changed.
    pub text: &'t str,
}

/// Where a value is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Where the colon or dash before it ends.
    pub after: usize,
    /// How far its key or dash is indented; `None` within brackets.
    pub indent: Option<usize>,
}

impl Editor<'_> {
    /// Changes a value, as a whole only if nothing of it stays.
    pub(super) fn value(
        &self,
        node: &Node,
        place: Place,
        now: &Value,
        wanted: &Value,
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        if same(now, wanted) {
            return Ok(());
        }
        match (&node.kind, now, wanted) {
            (Kind::Map { flow, entries }, Value::Object(now), Value::Object(wanted))
                if entries.iter().any(|entry| wanted.contains_key(&entry.key)) =>
            {
                return self.map(entries, *flow, now, wanted, changes);
            }
            (Kind::List { flow: true, items }, Value::Array(now), Value::Array(wanted))
                if !items.is_empty() && !wanted.is_empty() =>
            {
                return self.flow_list(items, now, wanted, changes);
            }
            (Kind::List { flow: false, items }, Value::Array(now), Value::Array(wanted))
                if !wanted.is_empty() && begins_line(self.text, items[0].dash) =>
            {
                return self.block_list(items, place, now, wanted, changes);
            }
            (Kind::Block { header, indent }, Value::String(_), Value::String(wanted))
                if *indent > 0 && write::fits_block(wanted) =>
            {
                let lines = write::block_lines(wanted, &" ".repeat(*indent));
                // Without a last line break, whatever it had before; as many spaces as the lines had.
                changes.replace(header.clone(), "|-");
                changes.replace(line_end(self.text, header.end)..self.block_end(header, node), lines);
                return Ok(());
            }
            _ => {}
        }
        self.replace(node, place, wanted, changes);
        Ok(())
    }

    /// Replaces a value as a whole.
    fn replace(&self, node: &Node, place: Place, wanted: &Value, changes: &mut Changes) {
        let Place { after, indent } = place;
        let on_its_line = !self.text[after..node.range.start.max(after)].contains('\n');
        let leaf =
            matches!(node.kind, Kind::Leaf | Kind::Map { flow: true, .. } | Kind::List { flow: true, .. });
        let rest = self.text[node.range.end..line_end(self.text, node.range.end)].trim();
        let written = match indent {
            Some(indent) if rest.is_empty() => write::after_colon(wanted, indent),
            _ => format!(" {}", write::flow(wanted)),
        };
        let one_line = !written.contains('\n');
        if leaf && one_line && !node.range.is_empty() {
            changes.replace(node.range.clone(), written.trim_start());
        } else if leaf && on_its_line {
            // An anchor, if there is one, stays before the value.
            let end = self.text[after..node.range.start.max(after)].trim_end().len() + after;
            changes.replace(end..node.range.end.max(after), written);
        } else {
            changes.replace(after..node.range.end.max(after), written);
        }
    }

    /// Returns where a block scalar's lines end, without the line break.
    fn block_end(&self, header: &Range<usize>, node: &Node) -> usize {
        let first = line_end(self.text, header.end);
        // With `+`, blank lines are part of it.
        self.text[first..node.range.end.max(first)].trim_end().len() + first
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{MANIFEST, difference, edited};

    #[test]
    fn a_scalar_is_replaced_and_the_comment_behind_it_stays() {
        let text = edited(MANIFEST, |m| m["inputs"][1]["min"] = json!(4));
        assert_eq!(
            difference(MANIFEST, &text),
            (
                vec!["    min: 1   # none is no picture".to_owned()],
                vec!["    min: 4   # none is no picture".to_owned()]
            )
        );
        let text = edited(MANIFEST, |m| m["name"] = json!("Fox: red"));
        assert!(text.contains("\nname: \"Fox: red\"\n"), "{text}");
        let text = edited(MANIFEST, |m| m["inputs"][2]["default"] = json!(8.5));
        assert!(
            text.contains("{id: cfg, type: float, node_id: 3, field: cfg, default: 8.5}   # short form"),
            "{text}"
        );
    }

    #[test]
    fn a_text_of_lines_stays_one() {
        let text = edited(MANIFEST, |m| m["inputs"][0]["default"] = json!("a blue fox\n\nat night"));
        assert!(
            text.contains("    default: |-\n      a blue fox\n\n      at night\n\n  # Sampling\n"),
            "{text}"
        );
        let text = edited(MANIFEST, |m| m["inputs"][0]["default"] = json!("one line"));
        assert!(text.contains("    default: |-\n      one line\n\n  # Sampling\n"), "{text}");
        let text = edited(MANIFEST, |m| m["inputs"][0]["default"] = json!(" with spaces\n"));
        assert!(text.contains("    default: \" with spaces\\n\"\n\n  # Sampling\n"), "{text}");
        let text = edited(MANIFEST, |m| m["inputs"][1]["label"] = json!("two\nlines"));
        assert!(text.contains("picture\n    label: |-\n      two\n      lines\n\n  - {id: cfg"), "{text}");
    }

    #[test]
    fn values_that_are_not_written_are_changed() {
        assert_eq!(
            edited("id: a\nname:\ninputs:\n  - id: b\n    default:\n", |m| {
                m["name"] = json!("A");
                m["inputs"][0]["default"] = json!(["x"]);
            }),
            "id: a\nname: A\ninputs:\n  - id: b\n    default: [x]\n"
        );
    }
}
