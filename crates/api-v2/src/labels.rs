//! What a caller attaches to a job: labels, or a string.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Code, Error};

/// The largest number of labels of a job.
const MOST_LABELS: usize = 16;
/// The longest key of a label, in characters.
const LONGEST_KEY: usize = 40;
/// The longest value of a label, in bytes.
const LONGEST_VALUE: usize = 256;
/// The longest string without labels, in bytes.
const LONGEST_TEXT: usize = 1024;
/// The largest number of labels by which a list is filtered.
const MOST_FILTERS: usize = 3;

/// The metadata of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Value);

impl Metadata {
    /// Checks metadata. None and an empty object are no metadata.
    ///
    /// # Errors
    /// [`Code::MetadataInvalid`]; the message names the key, or says what is wrong.
    pub fn from_value(value: Value) -> Result<Option<Self>, Error> {
        match &value {
            Value::Null => return Ok(None),
            Value::Object(labels) if labels.is_empty() => return Ok(None),
            Value::Object(labels) => check_labels(labels)?,
            Value::String(text) if text.len() <= LONGEST_TEXT => {}
            Value::String(text) => {
                return Err(invalid(format!(
                    "`metadata` has {} bytes; a string may have {LONGEST_TEXT}",
                    text.len()
                )));
            }
            _ => {
                return Err(invalid(
                    "`metadata` is an object of strings, such as {\"team\": \"a\"}, or a string".to_owned(),
                ));
            }
        }
        Ok(Some(Self(value)))
    }

    /// Returns the JSON value.
    pub fn into_value(self) -> Value {
        self.0
    }
}

/// Returns the labels by which a list is filtered: the parameters `metadata[KEY]` of its query string.
///
/// # Errors
/// [`Code::InvalidMetadataFilter`]: too many, or one that no job can have.
pub fn label_filters<'a>(
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, String)>, Error> {
    let wrong = |message| Error::new(Code::InvalidMetadataFilter, message);
    let mut filters = Vec::new();
    for (name, value) in query {
        let Some(rest) = name.strip_prefix("metadata") else { continue };
        let Some(key) = rest.strip_prefix('[').and_then(|key| key.strip_suffix(']')) else {
            return Err(wrong(format!("\"{name}\" is no filter; write metadata[KEY]=VALUE")));
        };
        check_key(key).map_err(wrong)?;
        check_value(key, value).map_err(wrong)?;
        filters.push((key.to_owned(), value.to_owned()));
    }
    if filters.len() > MOST_FILTERS {
        return Err(wrong(format!("a list is filtered by at most {MOST_FILTERS} labels")));
    }
    Ok(filters)
}

fn check_labels(labels: &Map<String, Value>) -> Result<(), Error> {
    if labels.len() > MOST_LABELS {
        return Err(invalid(format!("a job has at most {MOST_LABELS} labels; these are {}", labels.len())));
    }
    for (key, value) in labels {
        check_key(key).map_err(invalid)?;
        let value = value.as_str().ok_or_else(|| invalid(format!("the label \"{key}\" must be a string")))?;
        check_value(key, value).map_err(invalid)?;
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), String> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if (1..=LONGEST_KEY).contains(&key.len()) && key.chars().all(fits) {
        return Ok(());
    }
    let shown: String = key.chars().take(LONGEST_KEY).filter(|char| !char.is_control()).collect();
    Err(format!(
        "\"{shown}\" is no key of a label: it has 1 to {LONGEST_KEY} letters, digits, `_`, `-` and `.`"
    ))
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    let reorders = |char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if value.len() > LONGEST_VALUE {
        return Err(format!("the label \"{key}\" has {} bytes; {LONGEST_VALUE} are allowed", value.len()));
    }
    if value.chars().any(|char| char.is_control() || reorders(char)) {
        return Err(format!("the label \"{key}\" has control characters or characters that reorder text"));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(Code::MetadataInvalid, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_strings_are_metadata_and_nothing_is_none() {
        for good in [json!({"team": "a", "x-y_z.1": ""}), json!("opaque"), json!({"a": "ü".repeat(128)})] {
            assert_eq!(Metadata::from_value(good.clone()).unwrap().unwrap().into_value(), good);
        }
        for none in [json!(null), json!({})] {
            assert_eq!(Metadata::from_value(none).unwrap(), None);
        }
    }

    #[test]
    fn what_is_wrong_with_metadata_is_named() {
        let many: Map<_, _> = (0..17).map(|n| (format!("k{n}"), json!("v"))).collect();
        for (wrong, part) in [
            (json!(3), "an object of strings"),
            (json!("x".repeat(1025)), "1025 bytes"),
            (json!({"a b": "c"}), "\"a b\""),
            (json!({"": "c"}), "is no key"),
            (json!({"k".repeat(41): "c"}), "is no key"),
            (json!({"a": 1}), "\"a\" must be a string"),
            (json!({"a": "x".repeat(257)}), "\"a\" has 257 bytes"),
            (json!({"a": "\u{7}"}), "control characters"),
            (json!({"a": "\u{202e}"}), "reorder"),
            (json!(many), "at most 16"),
        ] {
            let error = Metadata::from_value(wrong).unwrap_err();
            assert_eq!((error.code, error.status), (Code::MetadataInvalid, 422));
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn filters_name_labels_in_brackets() {
        let query = [("limit", "2"), ("metadata[team]", "a"), ("metadata[x.y]", "")];
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(label_filters(query).unwrap(), [pair("team", "a"), pair("x.y", "")]);
        let too_many = ["a", "b", "c", "d"].map(|key| format!("metadata[{key}]"));
        for wrong in [vec!["metadata"], vec!["metadata[a"], vec!["metadata[a b]"]] {
            let error = label_filters(wrong.iter().map(|name| (*name, "v"))).unwrap_err();
            assert_eq!((error.code, error.status), (Code::InvalidMetadataFilter, 400));
        }
        assert!(label_filters(too_many.iter().map(|name| (name.as_str(), "v"))).is_err());
    }
}
