//! Changes values in a YAML text and leaves the rest as it is written: comments, blank lines, order, quotes.

mod block_list;
mod changes;
mod comments;
mod equal;
mod flow_list;
mod map;
mod match_items;
mod value;

use serde_json::{Map, Value};

use self::changes::Changes;
use self::equal::same_map;
use self::value::Editor;
use super::parse;
use super::tree::{self, Kind};
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
    let Kind::Map { flow, entries } = &root.kind else { return Err(EditError::Unsupported) };
    if !entries.iter().any(|entry| wanted.contains_key(&entry.key)) {
        return Err(EditError::Unsupported);
    }
    let mut changes = Changes::default();
    Editor { text: &text }.map(entries, *flow, &now, wanted, &mut changes)?;
    if windows {
        changes.end_lines_with_crlf();
    }
    let edited = changes.apply(&text, 0..text.len());
    // The text decides, not what was meant: an alias elsewhere may have another value now.
    match parse(&edited, MANIFEST_FILE) {
        Ok(Value::Object(now)) if same_map(&now, wanted) => Ok(edited),
        Ok(_) => Err(EditError::Unsupported),
        Err(diagnostic) if diagnostic.kind == DiagnosticKind::Limit => Err(EditError::Values(diagnostic)),
        Err(_) => Err(EditError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml::write;

    pub(super) const MANIFEST: &str = r#"# About the file.
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

    pub(super) fn edited(text: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut wanted = Value::Object(read(text));
        change(&mut wanted);
        let wanted = wanted.as_object().unwrap().clone();
        let edited = edit(text, &wanted).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(same_map(&read(&edited), &wanted), "{edited}");
        edited
    }

    /// Returns the lines of `after` that `before` does not have, and the other way round.
    pub(super) fn difference(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
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

    pub(super) fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-99i64..99).prop_map(Value::from),
            (-40i64..40).prop_map(|n| Value::from(f64::from(n as i32) / 4.0)),
            "[a-z:#'\"{},\\[\\]&*!|>%@ \n-]{0,12}".prop_map(Value::from),
            "(?s).{0,6}".prop_map(Value::from),
        ]
    }

    pub(super) fn values() -> impl Strategy<Value = Value> {
        scalars().prop_recursive(3, 24, 4, |inner| {
            prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), maps(inner),]
        })
    }

    fn maps(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        prop::collection::vec(("[a-f]{1,2}", values), 0..5).prop_map(|entries| entries.into_iter().collect())
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
        fn no_text_makes_it_panic(text in "[a-c:\\-{}\\[\\],#'\"|>&*! \n]{0,40}", wanted in maps(values())) {
            let _ = edit(&text, wanted.as_object().unwrap());
        }
    }
}
