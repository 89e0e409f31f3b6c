//! The part of a `lora_picker`'s value that one field takes: a file name or a strength.

use std::borrow::Cow;

use serde_json::Value;

/// The file name that loaders take for no LoRA.
const NO_LORA: &str = "None";

/// Why the value of a `lora_picker` is neither a file name nor a strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoraError {
    #[error("this workflow loads one LoRA, {0} are given")]
    Several(usize),
    #[error("this workflow takes a LoRA as a file name or as {{file, strength}}")]
    NoFile,
}

/// Returns a part of a `lora_picker`'s value: `strength`, or the file where no part is named. None where the value has
/// no such part. Null means that no LoRA is wanted.
pub(crate) fn part<'v>(value: &'v Value, part: Option<&str>) -> Result<Option<Cow<'v, Value>>, LoraError> {
    let value = match value {
        Value::Array(list) => match list.as_slice() {
            [] => &Value::Null,
            [one] => one,
            many => return Err(LoraError::Several(many.len())),
        },
        value => value,
    };
    match (value, part.unwrap_or("file")) {
        (Value::Null, "file") => Ok(Some(Cow::Owned(NO_LORA.into()))),
        (Value::String(_), "file") => Ok(Some(Cow::Borrowed(value))),
        (Value::Object(entry), "file") => {
            entry.get("file").map(|file| Some(Cow::Borrowed(file))).ok_or(LoraError::NoFile)
        }
        (value, part) => Ok(value.get(part).map(Cow::Borrowed)),
    }
}
