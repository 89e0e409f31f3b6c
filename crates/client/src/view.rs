//! `GET /view`: a file of ComfyUI as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::RequestHead;
use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use awc::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use comfy_runner_protocol::OutputFile;
use futures::Stream;

use crate::body::TimedBody;
use crate::client::{Client, USER_AGENT};
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::{Exchange, content_length};
use crate::transport::{Body, TransportError, is_chunked};

/// The name of a file. ComfyUI refuses names outside of the directory, but do not rely on it: check before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileQuery<'a> {
    /// The name in `subfolder`.
    pub filename: &'a str,
    /// The folder below the directory; empty for the directory itself.
    pub subfolder: &'a str,
    /// The directory: `output`, `input` or `temp`.
    pub kind: &'a str,
    /// A smaller encoding of an image, which ComfyUI makes for this reply: `webp` or `jpeg`, perhaps with a quality:
    /// `webp;50`.
    pub preview: Option<&'a str>,
}

impl<'a> FileQuery<'a> {
    /// Creates the name of a file from its parts.
    pub const fn new(filename: &'a str, subfolder: &'a str, kind: &'a str) -> Self {
        Self { filename, subfolder, kind, preview: None }
    }

    /// Asks for a smaller encoding of an image.
    pub const fn with_preview(self, preview: &'a str) -> Self {
        Self { preview: Some(preview), ..self }
    }
}

/// The reply to a request for a file.
#[non_exhaustive]
pub struct FileReply {
    /// 200 with the whole file, or 404 if there is none. A request with a range or a condition may also get 206 with a part of
    /// the file, 304, 412 or 416.
    pub status: StatusCode,
    /// ComfyUI's headers, without those of the connection.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: FileBody,
}

/// A file's bytes as they arrive. An incomplete file ends with an error.
pub struct FileBody(TimedBody<Body>);

/// The headers by which a browser asks for a part of a file, or whether its copy is up to date.
const FORWARDED: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// The headers that may lead to 304, and those that may lead to 412.
const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
const PRECONDITIONS: [HeaderName; 2] = [header::IF_MATCH, header::IF_UNMODIFIED_SINCE];

/// The headers of the connection to ComfyUI, which do not belong to the file.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TRAILER,
    header::PROXY_AUTHENTICATE,
    header::SET_COOKIE,
];

impl<'a> From<&'a OutputFile> for FileQuery<'a> {
    fn from(file: &'a OutputFile) -> Self {
        Self::new(&file.filename, &file.subfolder, &file.kind)
    }
}

impl FileQuery<'_> {
    /// Returns the file's path below ComfyUI's URL, `/view?...`.
    pub fn path(&self) -> String {
        let preview =
            self.preview.map_or_else(String::new, |preview| format!("&preview={}", encode(preview)));
        format!(
            "/view?filename={}&subfolder={}&type={}{preview}",
            encode(self.filename),
            encode(self.subfolder),
            encode(self.kind)
        )
    }
}

/// Returns whether a header asks for several parts of a file. ComfyUI refuses these; without the header it answers the whole.
fn asks_for_several(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == header::RANGE && value.as_bytes().contains(&b',')
}

impl Client {
    /// Opens a file as a stream. `method` is GET or HEAD. Of `headers`, those that ask for a range or set a condition are
    /// forwarded.
    ///
    /// # Errors
    /// Any other answer than those of [`FileReply::status`], and an answer whose end cannot be recognised.
    pub async fn view(
        &self,
        file: FileQuery<'_>,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<FileReply, ClientError> {
        let path = file.path();
        let exchange = Exchange::new(self.config(), &method, &path);
        let url = self.config().endpoint.url(&path);
        let mut request = RequestHead::default();
        request.method = method;
        request.uri = url.parse::<Uri>().map_err(|error| ClientError::Request(error.to_string()))?;
        request.headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        for name in FORWARDED {
            for value in headers.get_all(&name).filter(|value| !asks_for_several(&name, value)) {
                request.headers.append(name.clone(), value.clone());
            }
        }
        let asked = |names: &[HeaderName]| names.iter().any(|name| request.headers.contains_key(name));
        let (range, condition, precondition) =
            (asked(&[header::RANGE]), asked(&CONDITIONS), asked(&PRECONDITIONS));
        for (name, value) in self.config().headers() {
            request.headers.insert(name.clone(), value.clone());
        }

        let sent = tokio::time::timeout(self.reply_timeout(), self.downloads().send(request)).await;
        let (head, body) = match sent {
            Ok(Ok(answered)) => answered,
            Ok(Err(TransportError::Send(error))) => return Err(exchange.failed_to_send(error)),
            Ok(Err(TransportError::NoLength)) => return Err(exchange.without_length()),
            Err(_) => return Err(exchange.timed_out(self.reply_timeout())),
        };
        let (status, mut headers) = (head.status, head.headers.clone());
        match status {
            StatusCode::OK | StatusCode::NOT_FOUND => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if range => {}
            StatusCode::NOT_MODIFIED if condition => {}
            StatusCode::PRECONDITION_FAILED if precondition => {}
            _ => return Err(exchange.refused(status, &headers)),
        }
        if is_chunked(&headers) {
            headers.remove(header::CONTENT_LENGTH);
        }
        HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
        let idle = self.config().timeouts.idle;
        Ok(FileReply { status, headers, body: FileBody(TimedBody::new(body, exchange, idle)) })
    }
}

impl Client {
    /// Opens a whole file, streamed. Returns `None` if ComfyUI does not have it.
    ///
    /// # Errors
    /// ComfyUI gives no usable answer.
    pub async fn open_file(&self, file: FileQuery<'_>) -> Result<Option<FileReply>, ClientError> {
        let reply = self.view(file, Method::GET, &HeaderMap::new()).await?;
        Ok((reply.status == StatusCode::OK).then_some(reply))
    }

    /// Returns a file's size in bytes, or `None` if ComfyUI does not have the file or does not tell its size.
    ///
    /// # Errors
    /// ComfyUI gives no usable answer.
    pub async fn file_size(&self, file: FileQuery<'_>) -> Result<Option<u64>, ClientError> {
        let reply = self.view(file, Method::HEAD, &HeaderMap::new()).await?;
        Ok(content_length(&reply.headers).filter(|_| reply.status == StatusCode::OK))
    }
}

impl Stream for FileBody {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}
