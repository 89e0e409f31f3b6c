//! Updates as frames of a WebSocket.

use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Closed, Message, MessageStream, ProtocolError, Session};
use comfy_runner_jobs::{AllJobsSubscription, Subscription, Update};
use comfy_runner_websocket::{LimitedStream, frame_error};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::drained;
use crate::server::error::ApiError;
use crate::server::stop::{ShutdownSignal, end_of_stream};

/// The interval between pings.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client may send nothing before the connection is closed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The maximum size of a client's message in bytes. Clients need not send any.
const LARGEST_MESSAGE: usize = 64 << 10;

/// The subscription of a WebSocket.
pub enum Watcher {
    /// One job.
    One(Box<Subscription>),
    /// All active jobs.
    All(AllJobsSubscription),
}

/// The form of text frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// Messages and events, each with its `type`.
    Messages,
    /// Statuses without an envelope.
    Flat,
}

impl Frames {
    /// Reads the parameter `format`.
    pub fn from_query(format: Option<&str>) -> Result<Self, ApiError> {
        match format {
            None | Some("messages") => Ok(Self::Messages),
            Some("flat") => Ok(Self::Flat),
            Some(other) => {
                Err(ApiError::BadRequest(format!("`format` is `messages` or `flat`, not \"{other}\"")))
            }
        }
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<Vec<Update>> {
        match self {
            Self::One(subscription) => subscription.next().await,
            Self::All(subscription) => Some(subscription.next().await),
        }
    }
}

/// Opens a WebSocket and sends the updates of a subscription on it.
pub async fn open(
    watcher: Watcher,
    frames: Frames,
    shutdown: ShutdownSignal,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let no_socket = |error| ApiError::BadRequest(format!("this path needs a WebSocket: {error}"));
    let limited = LimitedStream::new(body.into_inner(), LARGEST_MESSAGE);
    let mut limited: Payload = Payload::Stream { payload: Box::pin(limited) };
    let body = web::Payload::from_request(request, &mut limited).await.map_err(no_socket)?;
    let (response, session, incoming) = actix_ws::handle(request, body).map_err(no_socket)?;
    let (response, taken) = drained::notifying(response);
    let end = end_of_stream(shutdown, request);
    actix_web::rt::spawn(async move {
        let closing = session.clone();
        tokio::select! {
            () = serve(watcher, frames, session, incoming, taken) => {}
            // The client may be gone already.
            () = end => drop(closing.close(Some(CloseCode::Away.into())).await),
        }
    });
    Ok(response)
}

/// Sends updates until there are no more, or until the client leaves or is silent for too long.
async fn serve(
    mut watcher: Watcher,
    frames: Frames,
    mut session: Session,
    mut incoming: MessageStream,
    taken: Rc<Notify>,
) {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_received = Instant::now();
    // Whether the connection has taken what was sent. Until then nothing more is sent, so that the next update is the latest.
    let mut ready = true;
    loop {
        let going_on = tokio::select! {
            updates = watcher.next(), if ready => match updates {
                Some(updates) => match send(&mut session, frames, updates).await {
                    Ok(sent) => {
                        ready = sent == 0;
                        true
                    }
                    Err(Closed) => false,
                },
                // The client may be gone already.
                None => return drop(session.close(Some(CloseCode::Normal.into())).await),
            },
            () = taken.notified(), if !ready => {
                ready = true;
                true
            }
            message = incoming.recv() => {
                last_received = Instant::now();
                answer(&mut session, message).await
            }
            _ = pings.tick() => last_received.elapsed() < SILENCE_MAX && (!ready || session.ping(b"").await.is_ok()),
        };
        if !going_on {
            return;
        }
    }
}

/// Sends a few frames and returns their number. The earlier ones have been taken, so there is room.
async fn send(session: &mut Session, frames: Frames, updates: Vec<Update>) -> Result<usize, Closed> {
    let mut sent = 0;
    for update in updates {
        match (update, frames) {
            (Update::Message(message), Frames::Messages) => session.text(message.json().clone()).await?,
            (Update::Message(message), Frames::Flat) => match message.flat_json() {
                Some(status) => session.text(status.clone()).await?,
                None => continue,
            },
            (Update::Event(event), Frames::Messages) => session.text(event.json().clone()).await?,
            (Update::Preview(preview), _) => session.binary(preview.image().image.clone()).await?,
            // An event, which the flat status says as well, or an update of a kind that this version does not have.
            _ => continue,
        }
        sent += 1;
    }
    Ok(sent)
}

/// Answers a frame of the client. Returns whether the connection is still open. The content of messages is ignored.
async fn answer(session: &mut Session, message: Option<Result<Message, ProtocolError>>) -> bool {
    match message {
        // A client that sends pings and never reads is closed, too.
        Some(Ok(Message::Ping(payload))) => {
            matches!(timeout(SILENCE_MAX, session.pong(&payload)).await, Ok(Ok(())))
        }
        Some(Ok(Message::Close(reason))) => {
            // A pong that cannot be sent does not matter.
            drop(session.clone().close(reason).await);
            false
        }
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            // The client may be gone already.
            drop(session.clone().close(Some(reason_to_close(&error))).await);
            false
        }
        None => false,
    }
}

/// Returns the close code for a client that violates the protocol or the limit.
fn reason_to_close(error: &ProtocolError) -> CloseReason {
    match frame_error(error) {
        Some(error) => CloseReason { code: CloseCode::Size, description: Some(error.to_string()) },
        None => CloseCode::Protocol.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::FromRequest as _;
    use actix_web::body::to_bytes;
    use actix_web::dev::Payload;
    use actix_web::test::TestRequest;
    use comfy_runner_jobs::{Jobs, JobsConfig};
    use comfy_runner_store::Sqlite;

    use super::*;

    /// A ping without a payload.
    const PING: &[u8] = &[0x89, 0];

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_no_sign_of_life_is_asked_for_one_and_then_given_up() {
        let request = TestRequest::default()
            .insert_header(("upgrade", "websocket"))
            .insert_header(("connection", "upgrade"))
            .insert_header(("sec-websocket-version", "13"))
            .insert_header(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
            .to_http_request();
        let mut silence: Payload = Payload::Stream { payload: Box::pin(futures::stream::pending()) };
        let silence = web::Payload::from_request(&request, &mut silence).await.unwrap();
        let (response, session, incoming) = actix_ws::handle(&request, silence).unwrap();
        let (response, taken) = drained::notifying(response);
        let jobs = Jobs::new(JobsConfig::default(), Arc::new(Sqlite::in_memory().unwrap()));
        let start = Instant::now();
        serve(Watcher::All(jobs.watch_all()), Frames::Messages, session, incoming, taken).await;
        assert_eq!(start.elapsed(), SILENCE_MAX);

        let sent = to_bytes(response.into_body()).await.unwrap();
        assert_eq!(sent, PING.repeat(3));
    }
}
