//! Changes of lists of a dash for each item: items that are added, removed, moved or changed, with the comments above them.

use serde_json::Value;

use super::EditError;
use super::changes::Changes;
use super::comments::adjacent;
use super::match_items::matches;
use super::value::{Editor, Place};
use crate::yaml::tree::{Item, Kind, line_end, line_start};
use crate::yaml::write;

impl Editor<'_> {
    /// Changes a list that is not to be empty.
    pub(super) fn block_list(
        &self,
        items: &[Item],
        place: Place,
        now: &[Value],
        wanted: &[Value],
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let indent = items[0].dash - line_start(self.text, items[0].dash);
        let matched = matches(now, wanted);
        let of_item = |item: &Item| Place { after: item.dash + 1, indent: Some(indent) };
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
            for removed in removed_above(&matched, at) {
                let (comments, kept) = (above(removed).1, adjacent(above(removed).1));
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
}

/// Returns the removed items that were directly above the item that becomes the wanted one at this place.
fn removed_above(matched: &[Option<usize>], at: usize) -> std::ops::Range<usize> {
    let Some(old) = matched[at] else { return 0..0 };
    let kept = (0..old).rev().find(|item| matched.contains(&Some(*item)));
    kept.map_or(0, |kept| kept + 1)..old
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::tests::{MANIFEST, difference, edited, scalars, values};
    use super::*;

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
    }
}
