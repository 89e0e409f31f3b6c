//! The WebSocket to ComfyUI. It is opened again after every loss, for as long as it has a receiver.

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
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::backoff::Backoff;
use crate::client::Client;
use crate::defragmenter::{Defragmenter, WholeMessage};
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::Exchange;

/// The first message to ComfyUI: it asks for previews with the prompt and the node that they belong to.
const FEATURE_FLAGS: &str = r#"{"type": "feature_flags", "data": {"supports_preview_metadata": true}}"#;

/// An event of the WebSocket.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SocketEvent {
    /// The WebSocket is open, for the first time or again. Messages before that were missed: fetch the queue and the history.
    Connected,
    /// The WebSocket was lost, or could not be opened. This comes once; attempts go on until `Connected`.
    Disconnected {
        /// Why, in a sentence.
        reason: String,
    },
    /// A message. Those of unknown type are left out.
    Message(Message),
    /// A preview image.
    Preview {
        /// The format of the image.
        format: ImageFormat,
        /// The encoded image.
        image: Bytes,
        /// The prompt and node that it belongs to; older versions of ComfyUI do not send them.
        metadata: Option<PreviewMetadata>,
    },
}

/// The events of a WebSocket, in order. It may be sent to another thread. Dropping it closes the WebSocket.
///
/// A slow receiver misses no message, as the WebSocket waits for it. It does miss previews, which the next one replaces.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<SocketEvent>,
}

impl Events {
    /// Waits for the next event. Returns `None` when the client's thread ends.
    pub async fn next(&mut self) -> Option<SocketEvent> {
        self.receiver.recv().await
    }
}

impl Stream for Events {
    type Item = SocketEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        self.receiver.poll_recv(cx)
    }
}

impl Client {
    /// Opens the WebSocket for this client id and keeps it open, in a task of this thread. A second WebSocket with the same id
    /// would silently take the messages of the first: open one, and submit all prompts with its id.
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

/// The receiver was dropped, so that the WebSocket is not needed.
struct ReceiverDropped;

impl Socket {
    async fn stay_connected(&self, events: &mpsc::Sender<SocketEvent>) {
        let config = self.client.config().socket;
        let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
        let mut loss_is_known = false;
        loop {
            let reason = match self.open().await {
                Ok(connection) => {
                    loss_is_known = false;
                    if events.send(SocketEvent::Connected).await.is_err() {
                        return;
                    }
                    match self.listen(connection, events, &mut backoff).await {
                        Ok(reason) => reason,
                        Err(ReceiverDropped) => return,
                    }
                }
                Err(error) => error.to_string(),
            };
            tracing::debug!(reason, "no WebSocket to ComfyUI");
            if !std::mem::replace(&mut loss_is_known, true)
                && events.send(SocketEvent::Disconnected { reason }).await.is_err()
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
        match timeout(patience, handshake).await.unwrap_or_else(|_| Err(exchange.timed_out(patience))) {
            Ok(connection) => Ok(connection),
            Err(error) => Err(self.client.explain(error).await),
        }
    }

    /// Delivers events until the connection is lost, and returns the reason.
    async fn listen(
        &self,
        mut connection: Connection,
        events: &mpsc::Sender<SocketEvent>,
        backoff: &mut Backoff,
    ) -> Result<String, ReceiverDropped> {
        let config = self.client.config().socket;
        let mut frames = Defragmenter::default();
        let mut pings = interval(config.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Silence is counted in pings without an answer. By a clock, a process that stood still for a while would find a
        // connection silent that has had no time to answer.
        let mut unanswered = 0_u32;
        loop {
            let frame = tokio::select! {
                frame = connection.next() => frame,
                _ = pings.tick() => {
                    if config.ping_every.saturating_mul(unanswered) >= config.silence_max {
                        let silence = config.silence_max.as_secs_f64();
                        return Ok(format!("ComfyUI's WebSocket was silent for {silence} s"));
                    }
                    unanswered += 1;
                    match timeout(config.silence_max, connection.send(Outgoing::Ping(Bytes::new()))).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return Ok(lost(&error)),
                        Err(_) => return Ok("ComfyUI's WebSocket accepts no data".to_owned()),
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
            // After delivery: a slow receiver does not make ComfyUI seem silent.
            unanswered = 0;
            backoff.reset();
        }
    }
}

/// Delivers an event. A preview is dropped when many events wait, so that messages have room.
async fn deliver(event: SocketEvent, events: &mpsc::Sender<SocketEvent>) -> Result<(), ReceiverDropped> {
    let piled_up = events.capacity() <= events.max_capacity() / 2;
    if piled_up && matches!(event, SocketEvent::Preview { .. }) {
        return Ok(());
    }
    events.send(event).await.map_err(|_| ReceiverDropped)
}

/// Parses a message. One that cannot be parsed is skipped.
fn read(whole: WholeMessage) -> Option<SocketEvent> {
    match whole {
        WholeMessage::Text(text) => match std::str::from_utf8(&text).map(Message::parse) {
            Ok(Ok(Message::Unknown { kind })) => {
                tracing::debug!(kind, "a message of an unknown type is skipped");
                None
            }
            Ok(Ok(message)) => Some(SocketEvent::Message(message)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a message that cannot be read is skipped");
                None
            }
            Err(_) => {
                tracing::debug!("a message that is not UTF-8 is skipped");
                None
            }
        },
        WholeMessage::Binary(frame) => match BinaryFrame::parse(&frame) {
            Ok(BinaryFrame::Preview(preview)) => Some(SocketEvent::Preview {
                format: preview.format,
                image: frame.slice_ref(preview.image),
                metadata: preview.metadata,
            }),
            Ok(other) => {
                tracing::debug!(frame = ?other, "a binary frame of another kind is skipped");
                None
            }
            Err(error) => {
                tracing::debug!(%error, "a binary frame that cannot be read is skipped");
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
        let Some(SocketEvent::Preview { image, .. }) = read(WholeMessage::Binary(frame.clone())) else {
            panic!("a preview")
        };
        assert_eq!((image.as_ptr(), image.len()), (frame[8..].as_ptr(), 4));
    }

    #[test]
    fn junk_is_skipped() {
        for junk in [
            WholeMessage::Text("".into()),
            WholeMessage::Text("[]".into()),
            WholeMessage::Text(Bytes::from_static(b"\xff\xfe")),
            WholeMessage::Text(r#"{"type": "crystools.monitor", "data": {}}"#.into()),
            WholeMessage::Text(r#"{"type": "progress", "data": {"value": "x"}}"#.into()),
            WholeMessage::Binary("".into()),
            WholeMessage::Binary(Bytes::from_static(b"\0\0\0\x01\0\0\0\x09x")),
            WholeMessage::Binary(Bytes::from_static(b"\0\0\0\x63x")),
        ] {
            assert_eq!(read(junk), None);
        }
    }
}
