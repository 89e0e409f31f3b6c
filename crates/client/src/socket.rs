//! The one WebSocket to a ComfyUI: it stays connected for as long as somebody listens.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_codec::Framed;
use awc::BoxedSocket;
use awc::error::WsClientError;
use awc::http::Method;
use awc::ws::{Frame, Message as Outgoing};
use bytes::Bytes;
use comfy_runner_protocol::{BinaryFrame, ImageFormat, Message, PreviewMetadata};
use comfy_runner_websocket::{CodecError, LimitedCodec};
use futures::{SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::backoff::Backoff;
use crate::client::Client;
use crate::defragmenter::{Defragmenter, Whole};
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::Exchange;

/// What we say first: previews are to carry the prompt and the node that they belong to.
const FEATURE_FLAGS: &str = r#"{"type": "feature_flags", "data": {"supports_preview_metadata": true}}"#;

/// What happens on the WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The socket stands, for the first time or again. Whatever happened before, it has not told: ask the queue and
    /// the history.
    Connected,
    /// The socket is lost, or could not be opened. It comes once; attempts go on until `Connected`.
    Disconnected {
        /// Why, in a sentence.
        reason: String,
    },
    /// A message. Those of unknown type are left out.
    Message(Message),
    /// A picture of the work so far.
    Preview {
        /// What the bytes are.
        format: ImageFormat,
        /// The encoded picture.
        image: Bytes,
        /// Whose it is; older versions of ComfyUI do not tell.
        metadata: Option<PreviewMetadata>,
    },
}

/// The events of a WebSocket, in order. It may be sent to another thread. When it is dropped, the socket closes.
///
/// No message is lost on the way to a slow receiver: the socket waits for it. Previews are, as the next one is better.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the thread of the client ends.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.poll_recv(cx)
    }
}

impl Client {
    /// Opens the WebSocket for this client id and keeps it open, in a task of this thread. A second socket of the same
    /// id would silently starve the first: open one, and submit all prompts with its id.
    pub fn events(&self, client_id: &str) -> Events {
        let (sender, receiver) = mpsc::channel(self.config().socket.buffered_events.max(1));
        let socket = Socket { client: self.clone(), path: format!("/ws?clientId={}", encode(client_id)) };
        actix_rt::spawn(async move {
            tokio::select! {
                () = socket.stay_connected(&sender) => {}
                () = sender.closed() => {}
            }
        });
        Events { receiver }
    }
}

struct Socket {
    client: Client,
    path: String,
}

type Connection = Framed<BoxedSocket, LimitedCodec>;

/// The receiver is gone, so there is nobody to connect for.
struct NobodyListens;

impl Socket {
    async fn stay_connected(&self, events: &mpsc::Sender<Event>) {
        let config = self.client.config().socket;
        let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
        let mut loss_is_known = false;
        loop {
            let reason = match self.open().await {
                Ok(connection) => {
                    loss_is_known = false;
                    if events.send(Event::Connected).await.is_err() {
                        return;
                    }
                    match self.listen(connection, events, &mut backoff).await {
                        Ok(reason) => reason,
                        Err(NobodyListens) => return,
                    }
                }
                Err(error) => error.to_string(),
            };
            tracing::debug!(reason, "no WebSocket to ComfyUI");
            if !std::mem::replace(&mut loss_is_known, true)
                && events.send(Event::Disconnected { reason }).await.is_err()
            {
                return;
            }
            sleep(backoff.pause(rand::random())).await;
        }
    }

    async fn open(&self) -> Result<Connection, ClientError> {
        let config = self.client.config();
        let exchange = Exchange::new(config, &Method::GET, &self.path);
        let mut request = self.client.for_sockets().ws(config.endpoint.url(&self.path));
        for (name, value) in config.headers() {
            request = request.set_header(name.clone(), value.clone());
        }
        let patience = config.timeouts.reply;
        let handshake = async {
            let (_, connection) = request.connect().await.map_err(|error| refused(&exchange, error))?;
            let limit = config.socket.max_message;
            let mut connection = connection.into_map_codec(|codec| LimitedCodec::new(codec, limit));
            let sent = connection.send(Outgoing::Text(FEATURE_FLAGS.into())).await;
            sent.map_err(|error| exchange.broken_off(error.to_string()))?;
            Ok(connection)
        };
        timeout(patience, handshake).await.unwrap_or_else(|_| Err(exchange.timed_out(patience)))
    }

    /// Passes on what comes until the connection is lost, and says why it was.
    async fn listen(
        &self,
        mut connection: Connection,
        events: &mpsc::Sender<Event>,
        backoff: &mut Backoff,
    ) -> Result<String, NobodyListens> {
        let config = self.client.config().socket;
        let mut frames = Defragmenter::default();
        let mut pings = interval(config.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let frame = tokio::select! {
                frame = connection.next() => frame,
                _ = pings.tick() => {
                    if heard.elapsed() >= config.silence_max {
                        let silence = config.silence_max.as_secs_f64();
                        return Ok(format!("ComfyUI's WebSocket gave no sign of life for {silence} s"));
                    }
                    match timeout(config.silence_max, connection.send(Outgoing::Ping(Bytes::new()))).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return Ok(lost(&error)),
                        Err(_) => return Ok("ComfyUI's WebSocket takes nothing any more".to_owned()),
                    }
                }
            };
            match frame {
                None => return Ok("ComfyUI closed its WebSocket".to_owned()),
                Some(Err(error)) => return Ok(lost(&error)),
                Some(Ok(Frame::Close(_))) => return Ok("ComfyUI closed its WebSocket".to_owned()),
                Some(Ok(Frame::Ping(payload))) => {
                    if let Err(error) = connection.send(Outgoing::Pong(payload)).await {
                        return Ok(lost(&error));
                    }
                }
                Some(Ok(frame)) => {
                    if let Some(event) = frames.take(frame).and_then(read) {
                        deliver(event, events).await?;
                    }
                }
            }
            // Taken after delivery: a receiver that is slow is not a ComfyUI that is silent.
            heard = Instant::now();
            backoff.reset();
        }
    }
}

/// Hands an event over. A preview is dropped when events pile up, so that messages have room.
async fn deliver(event: Event, events: &mpsc::Sender<Event>) -> Result<(), NobodyListens> {
    let piled_up = events.capacity() <= events.max_capacity() / 2;
    if piled_up && matches!(event, Event::Preview { .. }) {
        return Ok(());
    }
    events.send(event).await.map_err(|_| NobodyListens)
}

/// Reads a message; what cannot be read is passed over.
fn read(whole: Whole) -> Option<Event> {
    match whole {
        Whole::Text(text) => match std::str::from_utf8(&text).map(Message::parse) {
            Ok(Ok(Message::Unknown { kind })) => {
                tracing::debug!(kind, "a message of unknown type is passed over");
                None
            }
            Ok(Ok(message)) => Some(Event::Message(message)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a message that cannot be read is passed over");
                None
            }
            Err(_) => {
                tracing::debug!("a text that is no UTF-8 is passed over");
                None
            }
        },
        Whole::Binary(frame) => match BinaryFrame::parse(&frame) {
            Ok(BinaryFrame::Preview(preview)) => Some(Event::Preview {
                format: preview.format,
                image: frame.slice_ref(preview.image),
                metadata: preview.metadata,
            }),
            Ok(BinaryFrame::Unknown(kind)) => {
                tracing::debug!(kind, "a binary frame of unknown kind is passed over");
                None
            }
            Err(error) => {
                tracing::debug!(%error, "a binary frame that cannot be read is passed over");
                None
            }
        },
    }
}

fn lost(error: &CodecError) -> String {
    format!("ComfyUI's WebSocket broke: {error}")
}

fn refused(exchange: &Exchange, error: WsClientError) -> ClientError {
    match error {
        WsClientError::SendRequest(error) => exchange.failed_to_send(error),
        WsClientError::InvalidResponseStatus(status) => exchange.refused(status, &Default::default()),
        other => exchange.broken_off(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shares_the_bytes_of_its_frame() {
        let frame = Bytes::from_static(b"\0\0\0\x01\0\0\0\x02\x89PNG");
        let Some(Event::Preview { image, .. }) = read(Whole::Binary(frame.clone())) else {
            panic!("a preview")
        };
        assert_eq!((image.as_ptr(), image.len()), (frame[8..].as_ptr(), 4));
    }

    #[test]
    fn junk_is_passed_over() {
        for junk in [
            Whole::Text("".into()),
            Whole::Text("[]".into()),
            Whole::Text(Bytes::from_static(b"\xff\xfe")),
            Whole::Text(r#"{"type": "crystools.monitor", "data": {}}"#.into()),
            Whole::Text(r#"{"type": "progress", "data": {"value": "x"}}"#.into()),
            Whole::Binary("".into()),
            Whole::Binary(Bytes::from_static(b"\0\0\0\x01\0\0\0\x09x")),
            Whole::Binary(Bytes::from_static(b"\0\0\0\x63x")),
        ] {
            assert_eq!(read(junk), None);
        }
    }
}
