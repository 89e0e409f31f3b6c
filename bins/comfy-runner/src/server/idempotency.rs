//! Repeatable requests: the same request with the same `Idempotency-Key` is one job.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::web::Bytes;
use comfy_runner_jobs::Idempotency;
use futures::Stream;
use futures::StreamExt as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;

const HEADER: &str = "idempotency-key";

/// The maximum length of a key, in bytes.
const LONGEST: usize = 255;

/// Returns the key of a request, if it has one.
pub fn key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > LONGEST || values.next().is_some() {
        return Err(ApiError::BadRequest(format!(
            "`Idempotency-Key` must be one text of 1 to {LONGEST} ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

/// A digest of a request: its workflow, its params in any order, and the content of its files.
#[derive(Clone, Default)]
pub struct RequestDigest {
    files: Rc<RefCell<Vec<(String, Sha256)>>>,
}

impl RequestDigest {
    /// Adds a file for an input to the digest while the file is streamed.
    pub fn watch<S, E>(&self, input: &str, body: S) -> impl Stream<Item = Result<Bytes, E>> + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let files = Rc::clone(&self.files);
        let at = files.borrow().len();
        files.borrow_mut().push((input.to_owned(), Sha256::new()));
        body.inspect(move |piece| {
            if let Ok(bytes) = piece {
                files.borrow_mut()[at].1.update(bytes);
            }
        })
    }

    /// Adds the content that represents a file for an input.
    pub fn add(&self, input: &str, content: &[u8]) {
        self.files.borrow_mut().push((input.to_owned(), Sha256::new_with_prefix(content)));
    }

    /// Returns the digest with its key.
    pub fn with_key(self, key: String, workflow_id: &str, params: &Map<String, Value>) -> Idempotency {
        let mut whole = Sha256::new();
        let mut add = |part: &[u8]| {
            // Each part is preceded by its length, so that different parts give different digests.
            whole.update((part.len() as u64).to_be_bytes());
            whole.update(part);
        };
        add(workflow_id.as_bytes());
        let mut params = Value::Object(params.clone());
        params.sort_all_objects();
        add(params.to_string().as_bytes());
        let mut files = self.files.take();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        for (input, content) in files {
            add(input.as_bytes());
            add(&content.finalize());
        }
        let digest = format!("{:x}", whole.finalize());
        Idempotency::new(key, digest)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};
    use serde_json::json;

    use super::*;

    fn digest(workflow: &str, params: Value, files: &[(&str, &[&'static str])]) -> String {
        let digest = RequestDigest::default();
        for (input, pieces) in files {
            let pieces = pieces.iter().map(|piece| Ok::<_, ()>(Bytes::from_static(piece.as_bytes())));
            let passed = digest.watch(input, stream::iter(pieces)).count();
            passed.now_or_never().unwrap();
        }
        digest.with_key("k".into(), workflow, params.as_object().unwrap()).digest
    }

    #[test]
    fn a_request_is_the_same_in_whatever_order_and_pieces_it_comes() {
        let first =
            digest("w", json!({"a": 1, "b": {"c": 2, "d": 3}}), &[("x", &["12", "3"]), ("y", &["4"])]);
        let again =
            digest("w", json!({"b": {"d": 3, "c": 2}, "a": 1}), &[("y", &["4"]), ("x", &["1", "23"])]);
        assert_eq!(first, again);
    }

    #[test]
    fn another_workflow_value_or_file_is_another_request() {
        let all = [
            digest("w", json!({"a": 1}), &[]),
            digest("v", json!({"a": 1}), &[]),
            digest("w", json!({"a": 2}), &[]),
            digest("w", json!({"a": [1]}), &[]),
            digest("w", json!({"a": 1}), &[("x", &[])]),
            digest("w", json!({"a": 1}), &[("x", &["1"])]),
            digest("w", json!({"a": 1}), &[("y", &["1"])]),
            digest("w", json!({"a": 1}), &[("x", &["2"])]),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
