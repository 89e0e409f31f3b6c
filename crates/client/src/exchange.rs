//! One request and its reply, which is read within limits. Errors name the request.

use std::time::Duration;

use awc::ClientRequest;
use awc::error::{PayloadError, SendRequestError};
use awc::http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use awc::http::{Method, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use comfy_runner_protocol::json;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::ClientError;

/// A request as error messages name it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    address: String,
    /// Method and path. The query is left out because it may contain names of files.
    request: String,
    connect_timeout: Duration,
}

/// A reply that was read as a whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Exchange {
    pub(crate) fn new(config: &Config, method: &Method, path_and_query: &str) -> Self {
        let path = path_and_query.split('?').next().unwrap_or_default();
        Self {
            address: config.endpoint.address().to_owned(),
            request: format!("{method} {path}"),
            connect_timeout: config.timeouts.connect,
        }
    }

    pub(crate) fn failed_to_send(&self, error: SendRequestError) -> ClientError {
        ClientError::from_send(error, &self.address, &self.request, self.connect_timeout)
    }

    pub(crate) fn timed_out(&self, after: Duration) -> ClientError {
        ClientError::TimedOut { address: self.address.clone(), request: self.request.clone(), after }
    }

    pub(crate) fn broken_off(&self, reason: impl Into<String>) -> ClientError {
        ClientError::BrokenOff {
            address: self.address.clone(),
            request: self.request.clone(),
            reason: reason.into(),
        }
    }

    pub(crate) fn broken_body(&self, error: PayloadError) -> ClientError {
        match error {
            PayloadError::Incomplete(_) => self.broken_off("its answer ended too soon"),
            other => self.broken_off(other.to_string()),
        }
    }

    pub(crate) fn unreadable(&self, reason: impl Into<String>) -> ClientError {
        ClientError::Unreadable {
            address: self.address.clone(),
            request: self.request.clone(),
            reason: reason.into(),
        }
    }

    /// Returns the error for a response without a length, whose end could also be a broken connection.
    pub(crate) fn without_length(&self) -> ClientError {
        self.unreadable(
            "it has neither a length nor chunks, so its end cannot be distinguished from a broken connection",
        )
    }

    pub(crate) fn too_large(&self, limit: u64) -> ClientError {
        ClientError::TooLarge { address: self.address.clone(), request: self.request.clone(), limit }
    }

    /// Returns the error for an error status, with the likely cause.
    pub(crate) fn refused(&self, status: StatusCode, headers: &HeaderMap) -> ClientError {
        ClientError::Status {
            address: self.address.clone(),
            request: self.request.clone(),
            status: status.as_u16(),
            hint: hint(status, headers),
        }
    }

    /// Reads a body of at most `limit` bytes.
    pub(crate) async fn read<S>(
        &self,
        headers: &HeaderMap,
        mut body: S,
        limit: usize,
    ) -> Result<Bytes, ClientError>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let announced = content_length(headers).unwrap_or(0);
        if announced > limit as u64 {
            return Err(self.too_large(limit as u64));
        }
        // Memory is used for what has arrived, not for what was announced.
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| self.broken_body(error))?;
            if whole.len() + chunk.len() > limit {
                return Err(self.too_large(limit as u64));
            }
            whole.extend_from_slice(&chunk);
        }
        if (whole.len() as u64) < announced {
            return Err(self.broken_off("its answer ended too soon"));
        }
        Ok(whole.freeze())
    }

    /// Parses JSON that Python wrote. An error describes what is not JSON and does not quote it.
    pub(crate) fn json<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, ClientError> {
        json::from_slice(&reply.body).map_err(|error| {
            if is_html(&reply.headers) { self.is_a_page() } else { self.unreadable(error.to_string()) }
        })
    }

    pub(crate) fn is_a_page(&self) -> ClientError {
        self.unreadable("it is an HTML page where JSON should be; is this URL really ComfyUI's?")
    }
}

/// Returns the reply if its status is a success.
pub(crate) fn expect_success(exchange: &Exchange, reply: Reply) -> Result<Reply, ClientError> {
    if reply.status.is_success() { Ok(reply) } else { Err(exchange.refused(reply.status, &reply.headers)) }
}

/// Adds the configured headers to a request.
pub(crate) fn with_headers(mut request: ClientRequest, config: &Config) -> ClientRequest {
    for (name, value) in config.headers() {
        request = request.insert_header((name.clone(), value.clone()));
    }
    request
}

/// Returns the value of the `Content-Length` header, if there is one.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(awc::http::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/html"))
}

fn hint(status: StatusCode, headers: &HeaderMap) -> String {
    match status.as_u16() {
        401 | 403 => ": a header that it asks for is missing or wrong".to_owned(),
        413 => ": the file is larger than it takes (its option --max-upload-size)".to_owned(),
        301 | 302 | 303 | 307 | 308 => {
            let target = headers.get(LOCATION).and_then(|target| target.to_str().ok()?.parse::<Uri>().ok());
            match target.as_ref().and_then(|target| Some((target.scheme_str()?, target.host()?))) {
                Some((scheme, host)) => format!(": it redirects to {scheme}://{host}; write the final URL"),
                None => ": it redirects; write the final URL".to_owned(),
            }
        }
        _ if is_html(headers) => " (an HTML page; a proxy's, it seems)".to_owned(),
        _ => String::new(),
    }
}
