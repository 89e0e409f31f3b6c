//! `/ws`

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{Message, MessageStream, Session};
use serde_json::{Value, json};

use super::info;
use crate::sockets::{Frame, Registered};
use crate::state::State;

/// Opens a WebSocket for the client id of the query, or a generated one.
pub async fn open(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
    query: web::Query<HashMap<String, String>>,
) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let asked = query.get("clientId").filter(|id| !id.is_empty());
    let client_id = asked.cloned().unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let socket = state.sockets.register(client_id.clone());
    let remaining = state.queue().remaining();
    let hello = json!({"status": {"exec_info": {"queue_remaining": remaining}}, "sid": client_id});
    state.sockets.greet(&client_id, "status", &hello);
    let current = state.current();
    if current.client_id.as_deref() == Some(&client_id)
        && let Some(node) = current.node
    {
        state.sockets.greet(&client_id, "executing", &json!({"node": node}));
    }
    actix_web::rt::spawn(serve(state, socket, session, stream));
    Ok(response)
}

/// Forwards frames in both directions until one side closes.
async fn serve(
    state: web::Data<State>,
    mut socket: Registered,
    mut session: Session,
    mut stream: MessageStream,
) {
    let cut = socket.cut.clone();
    let talk = talk(&state, &mut socket, &mut session, &mut stream);
    let was_cut = tokio::select! {
        () = talk => false,
        () = cut.notified() => true,
    };
    state.sockets.closed(&socket, was_cut);
    if !was_cut {
        // The client may have disconnected already.
        let _ = session.close(None).await;
    }
}

async fn talk(state: &State, socket: &mut Registered, session: &mut Session, stream: &mut MessageStream) {
    let mut first = true;
    loop {
        let sent = tokio::select! {
            frame = socket.frames.recv() => match frame {
                Some(Frame::Text(text)) => session.text(text).await,
                Some(Frame::Binary(bytes)) => session.binary(bytes).await,
                // Another socket replaced this one, which stays open and receives nothing.
                None => return silent(session, stream).await,
            },
            message = stream.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    if std::mem::take(&mut first) {
                        exchange_features(state, socket, &text);
                    }
                    Ok(())
                }
                Some(Ok(Message::Ping(bytes))) => session.pong(&bytes).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Answers pings until the other side closes.
async fn silent(session: &mut Session, stream: &mut MessageStream) {
    while let Some(Ok(message)) = stream.recv().await {
        match message {
            Message::Ping(bytes) if session.pong(&bytes).await.is_err() => return,
            Message::Close(_) => return,
            _ => {}
        }
    }
}

/// Handles a client's first message, which may contain its features, and answers with the server's.
fn exchange_features(state: &State, socket: &Registered, text: &str) {
    let Ok(message) = serde_json::from_str::<Value>(text) else { return };
    if message["type"] != "feature_flags" {
        return;
    }
    let supported = message["data"]["supports_preview_metadata"] == true;
    state.sockets.set_previews_with_metadata(socket, supported);
    state.sockets.greet(&socket.client_id, "feature_flags", &info::feature_flags(state));
}
