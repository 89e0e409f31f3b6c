//! Changes values in a YAML text and leaves the rest as it is written: comments, blank lines, order, quotes.

use std::ops::Range;

use serde_json::{Map, Number, Value};

use super::tree::{self, Entry, Item, Kind, Node, line_end, line_start};
use super::{parse, write};
use crate::diagnostic::{Diagnostic, DiagnosticKind};
use crate::manifest::MANIFEST_FILE;

/// Why a YAML text cannot be changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text itself cannot be read.
    #[error("{0}")]
    Unreadable(Diagnostic),
    /// The change would have other effects, or the text is written in a way that is not understood.
    #[error(
        "the text cannot be changed by a program without changing other values: it has anchors, merge keys, or keys \
         without a colon. Edit it by hand"
    )]
    Unsupported,
    /// The values are more, or nested deeper, than a file may have.
    #[error("the values cannot be written: {0}")]
    Values(Diagnostic),
}

/// Returns a YAML text whose values are `wanted`. What is equal in both stays as it is written, with its comments; an item
/// of a list is recognized by its `id`, or by what it has in common with the wanted one, so that a changed order moves
/// items with the comments above them.
///
/// The order of a map's keys is not changed. Numbers that are equal as 64-bit floats are equal: browsers have no others.
///
/// # Errors
/// See [`EditError`].
pub fn edit(text: &str, wanted: &Map<String, Value>) -> Result<String, EditError> {
    let now = parse(text, MANIFEST_FILE).map_err(EditError::Unreadable)?;
    let Value::Object(now) = now else { return Err(EditError::Unsupported) };
    if same_map(&now, wanted) {
        return Ok(text.to_owned());
    }
    let windows = text.contains("\r\n");
    let mut text = text.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let root = tree::read(&text).ok_or(EditError::Unsupported)?;
    let editor = Editor { text: &text };
    let mut changes = Changes::default();
    editor.root(&root, &now, wanted, &mut changes)?;
    if windows {
        changes
            .0
            .iter_mut()
            .for_each(|change| change.with = change.with.replace("\r\n", "\n").replace('\n', "\r\n"));
    }
    let edited = changes.apply(&text, 0..text.len());
    // The text decides, not what was meant: an alias elsewhere may have another value now.
    match parse(&edited, MANIFEST_FILE) {
        Ok(Value::Object(now)) if same_map(&now, wanted) => Ok(edited),
        Ok(_) => Err(EditError::Unsupported),
        Err(problem) if problem.kind == DiagnosticKind::Limit => Err(EditError::Values(problem)),
        Err(_) => Err(EditError::Unsupported),
    }
}

/// Returns whether two values are equal, numbers as 64-bit floats.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => same_map(a, b),
        _ => a == b,
    }
}

fn same_map(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
}

fn same_number(a: &Number, b: &Number) -> bool {
    a == b || a.as_f64() == b.as_f64()
}

/// A part of the text, and what takes its place.
#[derive(Debug)]
struct Change {
    range: Range<usize>,
    with: String,
}

/// Changes that do not overlap. Those at the same place apply in the order in which they were made.
#[derive(Debug, Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.0.push(Change { range, with: with.into() });
    }

    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    fn delete(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    /// Returns a part of the text, changed.
    fn apply(mut self, text: &str, part: Range<usize>) -> String {
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

struct Editor<'t> {
    text: &'t str,
}

impl Editor<'_> {
    fn root(
        &self,
        root: &Node,
        now: &Map<String, Value>,
        wanted: &Map<String, Value>,
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let Kind::Map { flow, entries } = &root.kind else { return Err(EditError::Unsupported) };
        if !entries.iter().any(|entry| wanted.contains_key(&entry.key)) {
            return Err(EditError::Unsupported);
        }
        self.map(entries, *flow, now, wanted, changes)
    }

    /// Changes a value. `after` is where the colon or dash before it ends, `indent` how far its key or dash is indented.
    fn value(
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
                if !wanted.is_empty() && self.begins_line(items[0].dash) =>
            {
                return self.block_list(items, place, now, wanted, changes);
            }
            (Kind::Block { header, indent }, Value::String(_), Value::String(wanted))
                if *indent > 0 && write::fits_block(wanted) =>
            {
                let lines = write::block_lines(wanted, &" ".repeat(*indent));
                // Without a last line break, whatever it had before; as many spaces as the lines had.
                changes.replace(header.clone(), "|-");
                changes.replace(line_end(self.text, header.end)..self.block_end(node), lines);
                return Ok(());
            }
            _ => {}
        }
        self.replace(node, place, wanted, changes);
        Ok(())
    }

    /// Replaces a value as a whole.
    fn replace(&self, node: &Node, place: Place, wanted: &Value, changes: &mut Changes) {
        let Place { after, indent, in_flow } = place;
        let on_its_line = !self.text[after..node.range.start.max(after)].contains('\n');
        let leaf =
            matches!(node.kind, Kind::Leaf | Kind::Map { flow: true, .. } | Kind::List { flow: true, .. });
        let rest = self.text[node.range.end..line_end(self.text, node.range.end)].trim();
        let written = match indent {
            Some(indent) if !in_flow && rest.is_empty() => write::after_colon(wanted, indent),
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

    fn map(
        &self,
        entries: &[Entry],
        flow: bool,
        now: &Map<String, Value>,
        wanted: &Map<String, Value>,
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let indent = entries[0].start - line_start(self.text, entries[0].start);
        let mut added = added_after(entries, now, wanted);
        // Those that belong before all others.
        let first = added.remove(&None).unwrap_or_default();
        for (at, entry) in entries.iter().enumerate() {
            let Some(value) = wanted.get(&entry.key) else {
                if entry.key != "<<" {
                    self.remove_entry(entries, at, flow, wanted, changes);
                }
                continue;
            };
            let now = now.get(&entry.key).ok_or(EditError::Unsupported)?;
            let place = Place { after: entry.colon, indent: (!flow).then_some(indent), in_flow: flow };
            self.value(&entry.value, place, now, value, changes)?;
            let mut keys = added.remove(&Some(at)).unwrap_or_default();
            if entries[..at].iter().all(|before| !wanted.contains_key(&before.key)) {
                keys.splice(0..0, first.iter().copied());
            }
            for key in keys {
                if flow {
                    let value = write::flow(&wanted[key]);
                    changes.insert(entry.end(), format!(", {}: {value}", write::scalar(key)));
                } else {
                    let lines = write::entry(key, &wanted[key], indent);
                    changes.insert(line_end(self.text, entry.end()), format!("{lines}\n"));
                }
            }
        }
        Ok(())
    }

    fn remove_entry(
        &self,
        entries: &[Entry],
        at: usize,
        flow: bool,
        wanted: &Map<String, Value>,
        changes: &mut Changes,
    ) {
        let entry = &entries[at];
        let kept = |entry: &&Entry| wanted.contains_key(&entry.key);
        if flow {
            if entries[..at].iter().any(|entry| kept(&entry)) {
                changes.delete(entries[at - 1].end()..entry.end());
            } else {
                // One of those behind it is kept: the map would be replaced otherwise.
                changes.delete(entry.start..entries[at + 1].start);
            }
        } else if self.begins_line(entry.start) {
            let from = match at {
                // What is above the first entry of a file is about the file.
                0 => line_start(self.text, entry.start),
                _ => self.comments_above(line_end(self.text, entries[at - 1].end()), entry.start),
            };
            let end = line_end(self.text, entry.end());
            // One gap is left of the two around it.
            let gap = if self.text[..from].ends_with("\n\n") { self.blank_lines(end) } else { 0 };
            changes.delete(from..end + gap);
        } else {
            // Behind a dash, which stays.
            let before = self.text[..entry.start].trim_end_matches(' ').len();
            changes.delete(before..entry.end());
        }
    }

    /// Items are known by their places: the comments within the brackets stay where they are.
    fn flow_list(
        &self,
        items: &[Item],
        now: &[Value],
        wanted: &[Value],
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let matched = matches(now, wanted);
        for (at, value) in wanted.iter().enumerate() {
            let place = |item: &Item| Place { after: item.dash, indent: None, in_flow: true };
            let Some(item) = items.get(at) else {
                let end = items[items.len() - 1].end(true);
                changes.insert(end, format!(", {}", self.flow_text(items, now, matched[at], value)?));
                continue;
            };
            if matched[at] == Some(at) {
                self.value(&item.value, place(item), &now[at], value, changes)?;
            } else {
                changes.replace(item.value.range.clone(), self.flow_text(items, now, matched[at], value)?);
            }
        }
        if wanted.len() < items.len() {
            changes.delete(items[wanted.len() - 1].end(true)..items[items.len() - 1].end(true));
        }
        Ok(())
    }

    fn flow_text(
        &self,
        items: &[Item],
        now: &[Value],
        matched: Option<usize>,
        wanted: &Value,
    ) -> Result<String, EditError> {
        let Some(at) = matched else { return Ok(write::flow(wanted)) };
        let (item, mut changes) = (&items[at], Changes::default());
        let place = Place { after: item.dash, indent: None, in_flow: true };
        self.value(&item.value, place, &now[at], wanted, &mut changes)?;
        let text = changes.apply(self.text, item.value.range.clone());
        // A comment would hide what follows.
        Ok(if text.contains('\n') { write::flow(wanted) } else { text })
    }

    fn block_list(
        &self,
        items: &[Item],
        place: Place,
        now: &[Value],
        wanted: &[Value],
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let indent = items[0].dash - line_start(self.text, items[0].dash);
        let matched = matches(now, wanted);
        let of_item = |item: &Item| Place { after: item.dash + 1, indent: Some(indent), in_flow: false };
        if matched.iter().copied().eq((0..items.len()).map(Some)) {
            for ((item, now), wanted) in items.iter().zip(now).zip(wanted) {
                self.value(&item.value, of_item(item), now, wanted, changes)?;
            }
            return Ok(());
        }
        // The items are put together again: each with the comments above it, at the blank lines of its place.
        let begin = line_end(self.text, place.after);
        let end = |at: usize| line_end(self.text, items[at].end(false));
        let above = |at: usize| {
            let from = if at == 0 { begin } else { end(at - 1) };
            let lines = &self.text[from..line_start(self.text, items[at].dash)];
            let comments = lines.trim_start_matches(|c: char| c.is_whitespace());
            let comments = &lines[line_start(lines, lines.len() - comments.len())..];
            (lines.len() - comments.len(), comments)
        };
        let flow = matches!(&items[0].value.kind, Kind::Map { flow: true, .. });
        let mut text = String::new();
        for (at, value) in wanted.iter().enumerate() {
            let place = at.min(items.len() - 1);
            let from = if place == 0 { begin } else { end(place - 1) };
            text.push_str(&self.text[from..from + above(place).0]);
            // Comments that are about more than the removed item below them.
            for removed in removed_before(&matched, at, items.len()) {
                let (comments, kept) = (above(removed).1, self.adjacent(above(removed).1));
                text.push_str(&comments[..comments.len() - kept]);
            }
            let Some(old) = matched[at] else {
                let item = match value {
                    Value::Object(_) if flow => format!("{}- {}", " ".repeat(indent), write::flow(value)),
                    _ => write::item(value, indent),
                };
                text.push_str(&item);
                text.push('\n');
                continue;
            };
            text.push_str(above(old).1);
            let mut of_this = Changes::default();
            self.value(&items[old].value, of_item(&items[old]), &now[old], value, &mut of_this)?;
            text.push_str(&of_this.apply(self.text, line_start(self.text, items[old].dash)..end(old)));
        }
        changes.replace(begin..end(items.len() - 1), text);
        Ok(())
    }

    /// Returns where a block scalar's lines end, without the line break.
    fn block_end(&self, node: &Node) -> usize {
        let Kind::Block { header, .. } = &node.kind else { return node.range.end };
        let first = line_end(self.text, header.end);
        // With `+`, blank lines are part of it.
        self.text[first..node.range.end.max(first)].trim_end().len() + first
    }

    /// Returns whether nothing is before a place on its line.
    fn begins_line(&self, at: usize) -> bool {
        self.text[line_start(self.text, at)..at].bytes().all(|byte| byte == b' ')
    }

    /// Returns where the comments begin that are directly above a place, not before `from`.
    fn comments_above(&self, from: usize, at: usize) -> usize {
        let end = line_start(self.text, at);
        let from = from.min(end);
        end - self.adjacent(&self.text[from..end])
    }

    /// Returns the length of the blank lines that begin at a place.
    fn blank_lines(&self, at: usize) -> usize {
        self.text[at..].split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum()
    }

    /// Returns the length of the lines at the end of `lines` that have no blank line below them.
    fn adjacent(&self, lines: &str) -> usize {
        lines.split_inclusive('\n').rev().take_while(|line| !line.trim().is_empty()).map(str::len).sum()
    }
}

/// Where a value is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Where the colon or dash before it ends.
    after: usize,
    /// How far its key or dash is indented; `None` within brackets.
    indent: Option<usize>,
    in_flow: bool,
}

/// Returns the keys that a map lacks, by the entry after which they are wanted.
fn added_after<'w>(
    entries: &[Entry],
    now: &Map<String, Value>,
    wanted: &'w Map<String, Value>,
) -> std::collections::HashMap<Option<usize>, Vec<&'w str>> {
    let mut added = std::collections::HashMap::<_, Vec<&str>>::new();
    let mut after = None;
    for (key, value) in wanted {
        if let Some(at) = entries.iter().position(|entry| entry.key == *key) {
            after = Some(at);
        } else if !now.get(key).is_some_and(|now| same(now, value)) {
            // Not a merged one, unless it has another value here.
            added.entry(after).or_default().push(key);
        }
    }
    added
}

/// Returns for each wanted item the item that becomes it: one that is equal, one with the same `id`, or the one that has
/// most in common with it.
fn matches(now: &[Value], wanted: &[Value]) -> Vec<Option<usize>> {
    let mut matched = vec![None; wanted.len()];
    let mut free: Vec<usize> = (0..now.len()).collect();
    let mut round = |likeness: &dyn Fn(&Value, &Value) -> usize| {
        for (at, wanted) in wanted.iter().enumerate() {
            if matched[at].is_some() {
                continue;
            }
            let likest = free
                .iter()
                .enumerate()
                .map(|(place, old)| {
                    (likeness(&now[*old], wanted), std::cmp::Reverse(old.abs_diff(at)), place)
                })
                .filter(|(likeness, ..)| *likeness > 0)
                .max();
            if let Some((.., place)) = likest {
                matched[at] = Some(free.remove(place));
            }
        }
    };
    round(&|now, wanted| usize::from(same(now, wanted)));
    round(&|now, wanted| {
        usize::from(now.get("id").is_some_and(|id| id.is_string() && wanted.get("id") == Some(id)))
    });
    round(&in_common);
    matched
}

/// Returns how many entries two maps share, if that is half of the smaller one's or more.
fn in_common(a: &Value, b: &Value) -> usize {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return 0 };
    let shared = a.iter().filter(|(key, a)| b.get(*key).is_some_and(|b| same(a, b))).count();
    if shared * 2 >= a.len().min(b.len()) { shared } else { 0 }
}

/// Returns the items that are removed and were between the item at this place and the one before it; at the last place,
/// also those behind it.
fn removed_before(matched: &[Option<usize>], at: usize, items: usize) -> Vec<usize> {
    let Some(old) = matched[at] else { return Vec::new() };
    let is_removed = |item: &usize| !matched.contains(&Some(*item));
    (0..old)
        .rev()
        .take_while(is_removed)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .filter(|item| *item < items)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = r#"# About the file.
id: portrait   # the folder
name: 'Portrait'

# What callers may set.
inputs:
  # node 6, CLIP Text
  - id: prompt
    type: text   # long
    default: |-
      a red fox
      in the snow

  # Sampling

  # node 3, KSampler
  - id: steps
    type: int
    node_id: 3
    field: steps
    default: 20
    min: 1   # none is no picture

  - {id: cfg, type: float, node_id: 3, field: cfg, default: 7.0}   # short form

# Others:
#  - {id: width, type: int}
outputs:
  - {type: image, node_id: 9}
required_models: [a.safetensors, "b.safetensors"]
"#;

    fn read(text: &str) -> Map<String, Value> {
        match parse(text, "m") {
            Ok(Value::Object(map)) => map,
            other => panic!("{other:?}: {text}"),
        }
    }

    fn edited(text: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut wanted = Value::Object(read(text));
        change(&mut wanted);
        let wanted = wanted.as_object().unwrap().clone();
        let edited = edit(text, &wanted).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(same_map(&read(&edited), &wanted), "{edited}");
        edited
    }

    /// Returns the lines of `after` that `before` does not have, and the other way round.
    fn difference(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
        let missing = |from: &str, of: &str| {
            let mut rest: Vec<&str> = from.lines().collect();
            let lines = of.lines().filter(|line| match rest.iter().position(|other| other == line) {
                Some(at) => {
                    rest.remove(at);
                    false
                }
                None => true,
            });
            lines.map(str::to_owned).collect()
        };
        (missing(after, before), missing(before, after))
    }

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
    fn keys_are_added_where_they_are_wanted_and_removed_with_their_comments() {
        let text = edited(MANIFEST, |m| {
            let map = m.as_object_mut().unwrap();
            let others = map.split_off_after("name");
            map.insert("category".to_owned(), json!("image"));
            map.extend(others);
        });
        assert!(text.contains("name: 'Portrait'\ncategory: image\n\n# What callers"), "{text}");
        let text = edited(MANIFEST, |m| drop(m.as_object_mut().unwrap().remove("name")));
        assert!(text.starts_with("# About the file.\nid: portrait   # the folder\n\n# What"), "{text}");
        let text = edited(MANIFEST, |m| drop(m.as_object_mut().unwrap().shift_remove("inputs")));
        assert!(text.contains("'Portrait'\n\n# Others:\n"), "{text}");
        let text = edited(MANIFEST, |m| {
            let cfg = m["inputs"][2].as_object_mut().unwrap();
            cfg.shift_remove("id");
            cfg.insert("max".to_owned(), json!(30));
        });
        assert!(
            text.contains("  - {type: float, node_id: 3, field: cfg, default: 7.0, max: 30}   # short"),
            "{text}"
        );
    }

    #[test]
    fn inputs_move_with_the_comments_above_them() {
        let text = edited(MANIFEST, |m| m["inputs"].as_array_mut().unwrap().swap(0, 2));
        let (cfg, steps, prompt) = (
            text.find("id: cfg").unwrap(),
            text.find("id: steps").unwrap(),
            text.find("id: prompt").unwrap(),
        );
        assert!(cfg < steps && steps < prompt, "{text}");
        assert!(text.contains("  # Sampling\n\n  # node 3, KSampler\n  - id: steps\n"), "{text}");
        assert!(text.contains("\n\n  # node 6, CLIP Text\n  - id: prompt\n"), "{text}");
        assert!(text.contains("# What callers may set.\ninputs:\n  - {id: cfg"), "{text}");
        assert_eq!(difference(MANIFEST, &text), (Vec::new(), Vec::new()));
    }

    #[test]
    fn an_input_is_removed_with_the_comment_about_it_and_no_other() {
        let text = edited(MANIFEST, |m| drop(m["inputs"].as_array_mut().unwrap().remove(1)));
        assert!(text.contains("in the snow\n\n  # Sampling\n\n  - {id: cfg"), "{text}");
        assert!(!text.contains("KSampler") && text.contains("# node 6"), "{text}");
        let text = edited(MANIFEST, |m| m["inputs"] = json!([]));
        assert!(text.contains("# What callers may set.\ninputs: []\n\n# Others:"), "{text}");
        assert!(edited(&text, |m| m["inputs"] = json!([{"id": "a", "type": "int", "default": 3, "label": "How many of them there are", "tooltip": "More take longer"}]))
            .contains("inputs:\n  - id: a\n    type: int\n    default: 3\n"));
    }

    #[test]
    fn an_input_is_added_at_its_place_and_a_renamed_one_keeps_its_comment() {
        let text = edited(MANIFEST, |m| {
            let new = json!({"id": "seed", "type": "seed", "label": "Seed", "node_id": 3, "field": "seed", "default": -1, "tooltip": "The same seed makes the same image"});
            m["inputs"].as_array_mut().unwrap().insert(1, new);
            m["inputs"][2]["id"] = json!("how_long");
        });
        assert!(text.contains("in the snow\n\n  - id: seed\n    type: seed\n    label: Seed\n"), "{text}");
        assert!(text.contains("  # node 3, KSampler\n  - id: how_long\n    type: int\n"), "{text}");
    }

    #[test]
    fn lists_within_brackets_keep_what_is_equal() {
        let text = edited(MANIFEST, |m| {
            m["required_models"] = json!(["b.safetensors", "c.safetensors", "a.safetensors"])
        });
        assert!(
            text.ends_with("required_models: [\"b.safetensors\", c.safetensors, a.safetensors]\n"),
            "{text}"
        );
        let text = edited(MANIFEST, |m| m["required_models"] = json!(["b.safetensors"]));
        assert!(text.ends_with("required_models: [\"b.safetensors\"]\n"), "{text}");
    }

    #[test]
    fn groups_and_lists_at_the_indentation_of_their_key_are_edited_too() {
        let text = "id: a\ninputs:\n- group: Model   # folded\n  items:\n  # the file\n  - id: x\n    type: text\n  - id: y\n    type: int\n- id: z\n  type: int\n";
        let text = edited(text, |m| {
            m["inputs"][0]["items"].as_array_mut().unwrap().swap(0, 1);
            m["inputs"][0]["items"][1]["label"] = json!("X");
        });
        assert_eq!(
            text,
            "id: a\ninputs:\n- group: Model   # folded\n  items:\n  - id: y\n    type: int\n  # the file\n  - id: x\n    type: text\n    label: X\n- id: z\n  type: int\n"
        );
    }

    #[test]
    fn values_that_are_not_written_and_keys_behind_a_dash_are_changed() {
        assert_eq!(
            edited("id: a\nname:\ninputs:\n  - id: b\n    default:\n", |m| {
                m["name"] = json!("A");
                m["inputs"][0]["default"] = json!(["x"]);
            }),
            "id: a\nname: A\ninputs:\n  - id: b\n    default: [x]\n"
        );
        let text = edited("id: a\ninputs:\n  - label: L\n    # the id\n    id: b\n    type: int\n", |m| {
            drop(m["inputs"][0].as_object_mut().unwrap().shift_remove("label"))
        });
        assert_eq!(text, "id: a\ninputs:\n  -\n    # the id\n    id: b\n    type: int\n");
    }

    #[test]
    fn json_files_and_windows_line_ends_stay_what_they_are() {
        let text = edited("{\n  \"id\": \"a\",\n  \"inputs\": [{\"id\": \"b\", \"min\": 1}]\n}\n", |m| {
            m["inputs"][0]["min"] = json!(2);
            m["name"] = json!("A");
        });
        assert_eq!(text, "{\n  \"id\": \"a\",\n  \"inputs\": [{\"id\": \"b\", \"min\": 2}], name: A\n}\n");
        let text = edited("id: a\r\n# c\r\nname: b\r\n", |m| m["category"] = json!("two\nlines"));
        assert_eq!(text, "id: a\r\n# c\r\nname: b\r\ncategory: |-\r\n  two\r\n  lines\r\n");
    }

    #[test]
    fn numbers_that_a_browser_rounds_are_left_alone() {
        let text = "id: a\nmax: 18446744073709551615\nscale: 1.0\n";
        let wanted = json!({"id": "b", "max": 18446744073709552000.0, "scale": 1});
        assert_eq!(
            edit(text, wanted.as_object().unwrap()).unwrap(),
            "id: b\nmax: 18446744073709551615\nscale: 1.0\n"
        );
    }

    #[test]
    fn what_would_change_values_elsewhere_is_refused_and_an_own_key_wins_over_a_merged_one() {
        let text = "id: a\nbase: &b {min: 1, max: 9}\nuse: *b\nother:\n  <<: *b\n  step: 2\n";
        let mut wanted = read(text);
        wanted["base"]["min"] = json!(3);
        assert!(matches!(edit(text, &wanted), Err(EditError::Unsupported)));
        assert_eq!(
            edited("id: &i 'a'  # c\nname: x\n", |m| m["id"] = json!("b")),
            "id: &i b  # c\nname: x\n"
        );
        let scalar = "id: a\nx: &x 1\ny: *x\n";
        let moved = json!({"id": "a", "x": 2, "y": 1});
        assert!(matches!(edit(scalar, moved.as_object().unwrap()), Err(EditError::Unsupported)));
        let changed = edited(text, |m| m["use"]["min"] = json!(3));
        assert!(changed.contains("use: {min: 3, max: 9}\n"), "{changed}");
        let changed = edited(text, |m| m["other"]["max"] = json!(5));
        assert!(changed.ends_with("other:\n  <<: *b\n  step: 2\n  max: 5\n"), "{changed}");
        assert!(matches!(edit("a: [", &Map::new()), Err(EditError::Unreadable(_))));
        assert!(matches!(edit("- a\n", &wanted), Err(EditError::Unsupported)));
    }

    trait SplitOff {
        fn split_off_after(&mut self, key: &str) -> Self;
    }

    impl SplitOff for Map<String, Value> {
        fn split_off_after(&mut self, key: &str) -> Self {
            let at = self.keys().position(|other| other == key).unwrap() + 1;
            let keys: Vec<String> = self.keys().skip(at).cloned().collect();
            keys.into_iter()
                .map(|key| {
                    let value = self.shift_remove(&key).unwrap();
                    (key, value)
                })
                .collect()
        }
    }

    fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-99i64..99).prop_map(Value::from),
            (-40i64..40).prop_map(|n| Value::from(f64::from(n as i32) / 4.0)),
            "[a-z:#'\"{},\\[\\]&*!|>%@ \n-]{0,12}".prop_map(Value::from),
            "(?s).{0,6}".prop_map(Value::from),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        scalars().prop_recursive(3, 24, 4, |inner| {
            prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), maps(inner),]
        })
    }

    fn maps(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        prop::collection::vec(("[a-f]{1,2}", values), 0..5).prop_map(|entries| entries.into_iter().collect())
    }

    /// Inputs as manifests have them, with different ids.
    fn inputs() -> impl Strategy<Value = Vec<Value>> {
        let input = ("[a-z ]{0,9}", prop::option::of(-9i64..9), scalars(), prop::option::of(values()));
        prop::collection::vec(input, 1..6).prop_map(|inputs| {
            let inputs = inputs.into_iter().enumerate().map(|(at, (label, min, default, other))| {
                let mut input =
                    json!({"id": format!("input_{at}"), "type": "int", "label": label, "default": default});
                for (key, value) in [("min", min.map(Value::from)), ("other", other)] {
                    if let Some(value) = value {
                        input[key] = value;
                    }
                }
                input
            });
            inputs.collect()
        })
    }

    /// Writes inputs in a style, with a comment above each and one in each.
    fn written(inputs: &[Value], styles: &[bool], blank: bool) -> String {
        let mut text = "# The file.\nid: a # the id\ninputs:\n".to_owned();
        for (at, input) in inputs.iter().enumerate() {
            text += &format!("  # about {at}\n");
            if styles[at % styles.len()] {
                text += &format!("  - {}  # in {at}\n", write::flow(input));
            } else {
                let item = write::item(input, 2);
                let comment = if item.contains('\n') {
                    format!("type: int  # in {at}")
                } else {
                    "type: int".to_owned()
                };
                text += &item.replacen("type: int", &comment, 1);
                text += "\n";
            }
            if blank {
                text += "\n";
            }
        }
        text + "# The end.\nname: b\n"
    }

    proptest! {
        #[test]
        fn any_values_become_any_others(before in maps(values()), after in maps(values())) {
            let mut before = before.as_object().unwrap().clone();
            let mut after = after.as_object().unwrap().clone();
            before.insert("id".to_owned(), json!("x"));
            after.insert("id".to_owned(), json!("y"));
            let text: String = before.iter().map(|(key, value)| write::entry(key, value, 0) + "\n").collect();
            prop_assert!(same_map(&read(&text), &before), "{}", text);
            let edited = edit(&text, &after).map_err(|error| TestCaseError::fail(format!("{error}\n{text}\n{after:?}")))?;
            prop_assert!(same_map(&read(&edited), &after), "{}", edited);
        }

        #[test]
        fn changing_one_input_changes_its_lines_only(
            inputs in inputs(), styles in prop::collection::vec(any::<bool>(), 1..4), blank in any::<bool>(),
            chosen in any::<prop::sample::Index>(), default in scalars(), extra in prop::option::of(values()),
        ) {
            let text = written(&inputs, &styles, blank);
            let at = chosen.index(inputs.len());
            let after = edited(&text, |m| {
                m["inputs"][at]["default"] = default;
                if let Some(extra) = extra { m["inputs"][at]["extra"] = extra; }
                m["inputs"][at].as_object_mut().unwrap().shift_remove("label");
            });
            let around = |text: &str| {
                let begin = text.find(&format!("id: input_{at}")).unwrap();
                let end = text[begin..].find(&format!("  # about {}\n", at + 1)).or_else(|| text[begin..].find("# The end.")).unwrap();
                (text[..begin].to_owned(), text[begin + end..].to_owned())
            };
            prop_assert_eq!(around(&text), around(&after));
            prop_assert_eq!(after.contains(&format!("# in {at}\n")), text.contains(&format!("# in {at}\n")), "{}", after);
        }

        #[test]
        fn inputs_in_another_order_have_the_same_lines(
            inputs in inputs(), styles in prop::collection::vec(any::<bool>(), 1..4), blank in any::<bool>(),
            from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        ) {
            let text = written(&inputs, &styles, blank);
            let after = edited(&text, |m| {
                let list = m["inputs"].as_array_mut().unwrap();
                let moved = list.remove(from.index(inputs.len()));
                list.insert(to.index(inputs.len()), moved);
            });
            prop_assert_eq!(difference(&text, &after), (Vec::new(), Vec::new()), "{}", after);
            for at in 0..inputs.len() {
                let above = after.find(&format!("  # about {at}\n")).unwrap();
                let rest = &after[above + format!("  # about {at}\n").len()..];
                prop_assert!(rest.starts_with("  - "), "{}", after);
                prop_assert!(rest.split("  # about").next().unwrap().contains(&format!("input_{at}")), "{}", after);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-c:\\-{}\\[\\],#'\"|>&*! \n]{0,40}", wanted in maps(values())) {
            let _ = edit(&text, wanted.as_object().unwrap());
        }
    }
}
