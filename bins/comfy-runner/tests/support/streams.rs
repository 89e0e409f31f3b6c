//! Readers of the live streams.

use std::pin::Pin;

use actix_codec::Framed;
use actix_web::web::Bytes;
use awc::BoxedSocket;
use awc::error::PayloadError;
use awc::ws::{CloseCode, Codec, Frame, Message};
use futures::{SinkExt as _, Stream, StreamExt as _};
use serde_json::Value;

use super::{Api, PATIENCE};

/// A stream of server-sent events.
pub struct Sse {
    body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>,
    text: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Sse {
    /// Opens the events of a job, which must be there.
    pub async fn open(api: &Api, prompt_id: &str) -> Self {
        Self::open_at(api, &format!("/api/run/events/{prompt_id}")).await
    }

    /// Opens the events at a path, which must be there.
    pub async fn open_at(api: &Api, path: &str) -> Self {
        Self::from_request(api.http.get(format!("{}{path}", api.base))).await
    }

    /// Opens the events that a request asks for, which must be there.
    pub async fn from_request(request: awc::ClientRequest) -> Self {
        let response = request.no_decompress().send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        Self { body: Box::pin(response), text: String::new() }
    }

    /// The next event; `None` when the stream has ended, as a stream should.
    pub async fn next(&mut self) -> Option<Sent> {
        self.try_next().await.unwrap()
    }

    /// The next event of a server that may be killed.
    pub async fn try_next(&mut self) -> Result<Option<Sent>, PayloadError> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.starts_with(':') {
                    continue;
                }
                return Ok(Some(parse(&event)));
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("the stream goes on");
            let Some(piece) = piece else {
                assert_eq!(self.text, "", "the stream ended within an event");
                return Ok(None);
            };
            self.text.push_str(std::str::from_utf8(&piece?).unwrap());
        }
    }

    /// Everything until the stream ends.
    pub async fn all(mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

fn parse(event: &str) -> Sent {
    let field = |name: &str| {
        let mut values = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = values.next().map(str::to_owned);
        assert_eq!(values.next(), None, "{event}");
        value
    };
    let data = serde_json::from_str(&field("data").expect(event)).expect(event);
    Sent { name: field("event").expect(event), id: field("id"), data }
}

/// A WebSocket of ours.
pub struct Socket {
    connection: Framed<BoxedSocket, Codec>,
}

/// What came on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Text(Value),
    Preview(Bytes),
}

impl Socket {
    /// Opens a WebSocket with this query string.
    pub async fn open(api: &Api, query: &str) -> Self {
        let request = api.http.ws(format!("{}/api/run/ws{query}", api.base)).max_frame_size(8 << 20);
        let (response, connection) = request.connect().await.unwrap();
        assert_eq!(response.status(), 101);
        Self { connection }
    }

    /// What comes next; `None` when the server has closed, as it should with a word.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let frame =
                tokio::time::timeout(PATIENCE, self.connection.next()).await.expect("a message arrives");
            match frame.expect("the server closes with a word").unwrap() {
                Frame::Text(text) => return Some(Heard::Text(serde_json::from_slice(&text).unwrap())),
                Frame::Binary(image) => return Some(Heard::Preview(image)),
                Frame::Ping(payload) => self.connection.send(Message::Pong(payload)).await.unwrap(),
                Frame::Close(reason) => {
                    let code = reason.expect("a reason").code;
                    assert!(matches!(code, CloseCode::Normal | CloseCode::Away), "{code:?}");
                    return None;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next text.
    pub async fn text(&mut self) -> Value {
        loop {
            match self.next().await.expect("the server goes on") {
                Heard::Text(text) => return text,
                Heard::Preview(_) => {}
            }
        }
    }

    /// The next text that is so.
    pub async fn text_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let text = self.text().await;
            if wanted(&text) {
                return text;
            }
        }
    }

    /// Everything until the server closes.
    pub async fn all(mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        while let Some(heard) = self.next().await {
            all.push(heard);
        }
        all
    }
}
