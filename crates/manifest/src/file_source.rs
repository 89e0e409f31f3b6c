//! Values of file inputs that bring the file themselves: from a URL, or in the value.

use std::fmt;

use serde_json::{Map, Value};

use crate::input::Input;
use crate::manifest::Manifest;
use crate::params::ParamsError;

/// Where the file for an input comes from.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSource {
    /// `{"url": "https://..."}`: it is to be fetched.
    Url(String),
    /// `{"base64": "..."}`, or a URL that begins with `data:`: the file itself, in base64.
    Base64(String),
}

impl fmt::Debug for FileSource {
    /// Writes no secret that is part of a URL, and no file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url(_) => "Url(..)",
            Self::Base64(_) => "Base64(..)",
        })
    }
}

impl FileSource {
    /// Removes the values of file inputs that are objects from a request's params, and returns what they say, with the input.
    ///
    /// # Errors
    /// An object is neither `{"url": ...}` nor `{"base64": ...}`.
    pub fn take_all<'a>(
        manifest: &'a Manifest,
        params: &mut Map<String, Value>,
    ) -> Result<Vec<(&'a Input, Self)>, ParamsError> {
        let mut sources = Vec::new();
        for input in manifest.inputs.iter().filter(|input| input.kind.is_file()) {
            if !params.get(&input.id).is_some_and(Value::is_object) {
                continue;
            }
            let value = params.shift_remove(&input.id).unwrap_or_default();
            match Self::from_value(value) {
                Some(source) => sources.push((input, source)),
                None => {
                    let message = format!(
                        "input \"{}\" is an object that brings no file; write {{\"url\": \"https://...\"}} or \
                         {{\"base64\": \"...\"}}, each with nothing else",
                        input.id
                    );
                    return Err(ParamsError::from_problem(&input.id, message));
                }
            }
        }
        Ok(sources)
    }

    fn from_value(value: Value) -> Option<Self> {
        let Value::Object(object) = value else { return None };
        let mut entries = object.into_iter();
        let (Some((key, Value::String(text))), None) = (entries.next(), entries.next()) else { return None };
        match key.as_str() {
            "base64" => Some(Self::Base64(strip_data_url(&text).map_or(text.clone(), str::to_owned))),
            "url" => Some(match strip_data_url(&text) {
                Some(base64) => Self::Base64(base64.to_owned()),
                None => Self::Url(text),
            }),
            _ => None,
        }
    }
}

/// Returns the base64 part of `data:image/png;base64,...`.
fn strip_data_url(text: &str) -> Option<&str> {
    let (head, base64) = text.trim_start().strip_prefix("data:")?.split_once(',')?;
    head.ends_with(";base64").then_some(base64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = "{id: w, name: W, inputs: [{id: photo, type: image, node_id: 1, field: image}, {id: size, type: \
                            resolution_picker, node_id: 2, field: size}]}";

    fn take(params: Value) -> Result<(Vec<(String, FileSource)>, Value), String> {
        let manifest = Manifest::parse(MANIFEST, "w").unwrap().0;
        let Value::Object(mut params) = params else { panic!("an object") };
        let taken = FileSource::take_all(&manifest, &mut params).map_err(|error| error.to_string())?;
        Ok((
            taken.into_iter().map(|(input, source)| (input.id.clone(), source)).collect(),
            Value::Object(params),
        ))
    }

    #[test]
    fn objects_of_file_inputs_are_taken_and_other_values_stay() {
        let (taken, rest) =
            take(json!({"photo": {"url": "https://x/a.png"}, "size": {"w": 1, "h": 2}})).unwrap();
        assert_eq!(taken, [("photo".to_owned(), FileSource::Url("https://x/a.png".to_owned()))]);
        assert_eq!(rest, json!({"size": {"w": 1, "h": 2}}));
        let (taken, rest) = take(json!({"photo": "uploaded.png"})).unwrap();
        assert!(taken.is_empty());
        assert_eq!(rest, json!({"photo": "uploaded.png"}));
    }

    #[test]
    fn base64_may_be_a_data_url() {
        for source in [
            json!({"base64": "aGk="}),
            json!({"base64": "data:image/png;base64,aGk="}),
            json!({"url": "data:image/png;base64,aGk="}),
        ] {
            let (taken, _) = take(json!({"photo": source})).unwrap();
            assert_eq!(taken[0].1, FileSource::Base64("aGk=".to_owned()));
        }
    }

    #[test]
    fn an_object_that_brings_no_file_is_an_error_that_says_what_would() {
        for wrong in [json!({}), json!({"uri": "x"}), json!({"url": 1}), json!({"url": "x", "base64": "y"})] {
            let error = take(json!({"photo": wrong})).unwrap_err();
            assert!(error.contains("\"photo\"") && error.contains("{\"url\""), "{error}");
        }
    }
}
