//! Changes of maps: keys that are added, removed, or have another value.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::EditError;
use super::changes::Changes;
use super::comments::{blank_lines, comments_above};
use super::equal::same;
use super::value::{Editor, Place};
use crate::yaml::tree::{Entry, begins_line, line_end, line_start};
use crate::yaml::write;

impl Editor<'_> {
    /// Changes the entries of a map, at least one of which is kept.
    pub(super) fn map(
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
            let place = Place { after: entry.colon, indent: (!flow).then_some(indent) };
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
                // One of those behind it is kept.
                changes.delete(entry.start..entries[at + 1].start);
            }
        } else if begins_line(self.text, entry.start) {
            let from = match at {
                // What is above the first entry of a file is about the file.
                0 => line_start(self.text, entry.start),
                _ => comments_above(self.text, line_end(self.text, entries[at - 1].end()), entry.start),
            };
            let end = line_end(self.text, entry.end());
            // One gap is left of the two around it.
            let gap = if self.text[..from].ends_with("\n\n") { blank_lines(self.text, end) } else { 0 };
            changes.delete(from..end + gap);
        } else {
            // Behind a dash, which stays.
            let before = self.text[..entry.start].trim_end_matches(' ').len();
            changes.delete(before..entry.end());
        }
    }
}

/// Returns the keys that a map lacks, by the entry after which they are wanted.
fn added_after<'w>(
    entries: &[Entry],
    now: &Map<String, Value>,
    wanted: &'w Map<String, Value>,
) -> HashMap<Option<usize>, Vec<&'w str>> {
    let mut added = HashMap::<_, Vec<&str>>::new();
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::super::tests::{MANIFEST, edited};

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
    fn a_key_behind_a_dash_is_removed_without_the_dash() {
        let text = edited("id: a\ninputs:\n  - label: L\n    # the id\n    id: b\n    type: int\n", |m| {
            drop(m["inputs"][0].as_object_mut().unwrap().shift_remove("label"))
        });
        assert_eq!(text, "id: a\ninputs:\n  -\n    # the id\n    id: b\n    type: int\n");
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
}
