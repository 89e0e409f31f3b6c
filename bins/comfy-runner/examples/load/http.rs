//! As little of an HTTP client as will do: requests are bytes that were written before, and of a reply only its status and
//! its length are read. One request at a time on a connection.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Enough for a reply that is read as a whole, and a good piece of a large one.
const BUFFER: usize = 256 * 1024;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match address {
            Some(address) if address.contains(':') && !address.contains('/') => Ok(Self(address.to_owned())),
            _ => bail!("\"{url}\" must be http://HOST:PORT without a path: that is all this tool speaks"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    /// A request without a body.
    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {self}\r\n\r\n").into_bytes()
    }

    /// A request with JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Vec<u8> {
        self.post(path, "application/json", &body.to_string())
    }

    /// A request with a multipart form whose one part is `params`.
    pub fn post_params(&self, path: &str, params: &Value) -> Vec<u8> {
        let body = format!(
            "--load\r\nContent-Disposition: form-data; name=\"params\"\r\n\r\n{params}\r\n--load--\r\n"
        );
        self.post(path, "multipart/form-data; boundary=load", &body)
    }

    fn post(&self, path: &str, content_type: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {self}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

/// The start of a reply.
struct Head {
    status: u16,
    /// Where the body begins in what was read.
    body_at: usize,
    length: usize,
    /// How much was read, of the body's beginning too.
    filled: usize,
}

impl Connection {
    pub async fn open(address: &Address) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(&address.0).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER].into() })
    }

    /// Sends a request and reads its reply, which must be a success and fit into the buffer.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        let head = self.start(request).await?;
        let end = head.body_at + head.length;
        ensure!(end <= self.buffer.len(), "a reply of {} bytes is too long for this tool", head.length);
        let mut filled = head.filled;
        while filled < end {
            filled += self.read(filled).await?;
        }
        let body = &self.buffer[head.body_at..end];
        ensure!(head.status == 200, "status {}: {}", head.status, String::from_utf8_lossy(body));
        Ok(body)
    }

    /// The same, with a reply that is JSON.
    pub async fn json(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        let body = self.exchange(request).await?;
        serde_json::from_slice(body).context("a reply is not JSON")
    }

    /// Sends a request, reads its reply of any length and throws it away. Returns how long the body was.
    pub async fn download(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        let head = self.start(request).await?;
        ensure!(head.status == 200, "status {} instead of a file", head.status);
        let mut left = head.length - (head.filled - head.body_at);
        while left > 0 {
            left -= self.read(0).await?;
        }
        Ok(head.length)
    }

    async fn start(&mut self, request: &[u8]) -> anyhow::Result<Head> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            if let Some(at) = self.buffer[..filled].windows(4).position(|end| end == b"\r\n\r\n") {
                let (status, length) = read_head(&self.buffer[..at])?;
                return Ok(Head { status, body_at: at + 4, length, filled });
            }
        }
    }

    async fn read(&mut self, at: usize) -> anyhow::Result<usize> {
        let read = self.stream.read(&mut self.buffer[at..]).await?;
        ensure!(read > 0, "the connection was closed within a reply");
        Ok(read)
    }
}

/// The status and the length that a reply's head tells.
fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("a reply does not begin as HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status.context("a reply has no status")?, length.context("a reply does not tell its length")?))
}
