//! `GET /view`: a file of ComfyUI's, as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use awc::ClientResponse;
use awc::http::header::{self, HeaderMap, HeaderName};
use awc::http::{Method, StatusCode};
use bytes::Bytes;
use comfy_runner_protocol::OutputFile;
use futures::Stream;

use crate::body::TimedBody;
use crate::client::Client;
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::content_length;

/// Which file. ComfyUI refuses names that lead out of the directory, but do not count on it: check before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileQuery<'a> {
    /// The name inside `subfolder`.
    pub filename: &'a str,
    /// The folder below the directory; empty for the directory itself.
    pub subfolder: &'a str,
    /// The directory: `output`, `input` or `temp`.
    pub kind: &'a str,
}

/// A file's reply. Its status may be any: 200, 206 for a range, 304, 404, 416.
pub struct FileReply {
    /// ComfyUI's status.
    pub status: StatusCode,
    /// ComfyUI's headers, without those that are about the connection.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: FileBody,
}

/// A file's bytes as they arrive.
pub struct FileBody(TimedBody<ClientResponse>);

/// What a browser sends to get part of a file, or to hear that it has it already.
const FORWARDED: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// What is about the connection to ComfyUI, not about the file.
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
        Self { filename: &file.filename, subfolder: &file.subfolder, kind: &file.kind }
    }
}

impl FileQuery<'_> {
    /// The file's path below ComfyUI's URL, `/view?...`.
    pub fn path(&self) -> String {
        format!(
            "/view?filename={}&subfolder={}&type={}",
            encode(self.filename),
            encode(self.subfolder),
            encode(self.kind)
        )
    }
}

impl Client {
    /// A file, streamed: `method` is GET or HEAD. Of the caller's `headers`, those that ask for a range or for news
    /// only are passed on.
    pub async fn view(
        &self,
        file: FileQuery<'_>,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<FileReply, ClientError> {
        let (exchange, mut request) = self.streaming(method.clone(), &file.path());
        for name in FORWARDED {
            for value in headers.get_all(&name) {
                request = request.append_header((name.clone(), value.clone()));
            }
        }
        let timeouts = self.config().timeouts;
        let response = match tokio::time::timeout(self.reply_timeout(), request.send()).await {
            Ok(sent) => sent.map_err(|error| exchange.failed_to_send(error))?,
            Err(_) => return Err(exchange.timed_out(self.reply_timeout())),
        };
        let status = response.status();
        let mut headers = response.headers().clone();
        HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
        let has_body = method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
        let expected = content_length(&headers).filter(|_| has_body);
        Ok(FileReply {
            status,
            headers,
            body: FileBody(TimedBody::new(response, exchange, timeouts.idle, expected)),
        })
    }
}

impl Stream for FileBody {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}
