//! `POST /upload/image`: streams a file of any kind to ComfyUI's input directory.

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;

use awc::body::{BodyStream, BoxBody, SizedStream};
use awc::http::Method;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::exchange::Reply;

/// The largest reply to an upload, in bytes.
const MAX_REPLY: usize = 1024 * 1024;

/// A file to upload, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload<'a> {
    /// The file's name. ComfyUI adds a number to it if another file has this name.
    pub name: &'a str,
    /// The folder below the directory; empty for the directory itself.
    pub subfolder: &'a str,
    /// The directory: `input`, `output` or `temp`.
    pub kind: &'a str,
    /// Whether to replace a file of the same name.
    pub overwrite: bool,
    /// The media type, for example `image/png`.
    pub content_type: &'a str,
    /// The number of bytes, if it is known. Fewer or more bytes are an error.
    pub length: Option<u64>,
}

/// An uploaded file, as ComfyUI stored it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoredFile {
    /// Name, subfolder and directory.
    file: UploadedFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct UploadedFile {
    name: String,
    #[serde(default)]
    subfolder: String,
    #[serde(rename = "type", default = "input_directory")]
    kind: String,
}

fn input_directory() -> String {
    "input".to_owned()
}

/// The error that ends a body whose source failed. awc returns it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SourceFailed(String);

impl<'a> Upload<'a> {
    /// Creates an upload to the input directory, of unknown length.
    pub fn new(name: &'a str, content_type: &'a str) -> Self {
        Self { name, subfolder: "", kind: "input", overwrite: false, content_type, length: None }
    }

    /// Sets the folder below the directory.
    pub fn with_subfolder(mut self, subfolder: &'a str) -> Self {
        self.subfolder = subfolder;
        self
    }

    /// Replaces a file of the same name.
    pub fn overwriting(mut self) -> Self {
        self.overwrite = true;
        self
    }

    /// Sets the number of bytes that will come, if it is known.
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// Returns the part of the body before the file's bytes.
    fn head(&self, boundary: &str) -> Result<String, ClientError> {
        let unfit = |what: &str, why: &str| Err(ClientError::Upload(format!("its {what} {why}")));
        if self.name.is_empty() || matches!(self.name, "." | "..") {
            return unfit("name", "is no file name");
        }
        for (what, value) in
            [("name", self.name), ("folder", self.subfolder), ("content type", self.content_type)]
        {
            // A quote or line break would end the header early. A backslash is an escape for one reader and a folder for
            // another.
            if value.contains(['"', '\\']) || value.contains(char::is_control) {
                return unfit(what, "must not hold quotes, backslashes or control characters");
            }
        }
        if self.name.contains('/') {
            return unfit("name", "must not hold a slash; folders go into `subfolder`");
        }
        let mut head = String::new();
        for (field, value) in [
            ("type", self.kind),
            ("subfolder", self.subfolder),
            ("overwrite", if self.overwrite { "true" } else { "false" }),
        ] {
            head.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
            ));
        }
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
            self.name, self.content_type
        ));
        Ok(head)
    }
}

impl StoredFile {
    /// Returns the name for a `LoadImage` node: the file's name with its subfolder.
    pub fn reference(&self) -> String {
        let UploadedFile { name, subfolder, .. } = &self.file;
        if subfolder.is_empty() { name.clone() } else { format!("{subfolder}/{name}") }
    }
}

impl Client {
    /// Uploads a file while it is read. If the source fails, the connection is closed before the request is complete, so that
    /// ComfyUI does not keep half a file.
    ///
    /// # Errors
    /// The source fails, or ComfyUI does not take the file.
    pub async fn upload<S, E>(&self, upload: &Upload<'_>, source: S) -> Result<StoredFile, ClientError>
    where
        S: Stream<Item = Result<Bytes, E>> + 'static,
        E: Display + 'static,
    {
        let boundary = format!("comfy-runner-{:032x}", rand::random::<u128>());
        let head = Bytes::from(upload.head(&boundary)?);
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let length = upload.length.map(|length| length + (head.len() + tail.len()) as u64);

        let moved = Rc::new(Cell::new(Instant::now()));
        let file = exactly(upload.length, source).inspect({
            let moved = Rc::clone(&moved);
            move |_| moved.set(Instant::now())
        });
        let body = stream::once(async { Ok(head) }).chain(file).chain(stream::once(async { Ok(tail) }));
        // The streams are pinned because awc moves them.
        let body = match length {
            Some(length) => BoxBody::new(SizedStream::new(length, Box::pin(body))),
            None => BoxBody::new(BodyStream::new(Box::pin(body))),
        };

        let (exchange, request) = self.streaming(Method::POST, "/upload/image");
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let answer = async {
            let sent = request.insert_header(("content-type", content_type)).send_body(body).await;
            let response = sent.map_err(|error| exchange.failed_to_send(error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if !status.is_success() {
                return Err(exchange.refused(status, &headers));
            }
            let body = exchange.read(&headers, response, MAX_REPLY).await?;
            exchange.json(&Reply { status, headers, body })
        };
        let idle = self.config().timeouts.idle;
        let standstill = async {
            while moved.get().elapsed() < idle {
                tokio::time::sleep_until(moved.get() + idle).await;
            }
        };
        let stored = tokio::select! {
            answer = answer => answer,
            () = standstill => Err(exchange.timed_out(idle)),
        };
        match stored {
            Ok(stored) => Ok(stored),
            Err(error) => Err(self.explain(error).await),
        }
    }
}

/// Returns the source's bytes, with an error if they are fewer or more than announced.
fn exactly<S, E>(length: Option<u64>, source: S) -> impl Stream<Item = Result<Bytes, SourceFailed>>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Display,
{
    let short = move |so_far: u64| match length {
        Some(length) if so_far != length => {
            Some(Err(SourceFailed(format!("{so_far} bytes came where {length} were announced"))))
        }
        _ => None,
    };
    let mut so_far = 0;
    let chunks = source.map(Some).chain(stream::once(async { None }));
    chunks.filter_map(move |chunk| {
        let item = match chunk {
            Some(Ok(chunk)) => {
                so_far += chunk.len() as u64;
                if length.is_some_and(|length| so_far > length) { short(so_far) } else { Some(Ok(chunk)) }
            }
            Some(Err(error)) => Some(Err(SourceFailed(error.to_string()))),
            None => short(so_far),
        };
        futures::future::ready(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        for name in ["", "..", "a\"b.png", "a\r\nX: y.png", "a\\b.png", "a/b.png"] {
            let refused = Upload::new(name, "image/png").head("B");
            assert!(matches!(refused, Err(ClientError::Upload(_))), "{name:?}");
        }
        let head = Upload { subfolder: "job", ..Upload::new("käse 1.png", "image/png") }.head("B").unwrap();
        assert!(
            head.contains("name=\"subfolder\"\r\n\r\njob\r\n") && head.contains("filename=\"käse 1.png\"")
        );
    }

    #[test]
    fn the_name_in_the_reply_is_what_counts() {
        let reply = r#"{"name": "a (1).png", "subfolder": "x", "type": "input"}"#;
        let uploaded: StoredFile = serde_json::from_str(reply).unwrap();
        assert_eq!(uploaded.reference(), "x/a (1).png");
    }
}
