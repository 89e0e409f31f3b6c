//! One request for a file and its response, over HTTP/1.1 on connections of awc's connector.
//!
//! awc's own client hides how a body ends: a chunked body that breaks off and a body without a length both look
//! complete. It also takes an interim response (1xx) for the final one. This module uses actix-http's codec itself, which
//! tells these cases apart.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_codec::{AsyncRead, AsyncWrite, Framed, ReadBuf};
use actix_http::body::BodySize;
use actix_http::error::ParseError;
use actix_http::h1::{ClientCodec, ClientPayloadCodec, Message, MessageType};
use actix_http::{RequestHead, RequestHeadType, ResponseHead};
use actix_service::Service;
use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use awc::http::{Method, StatusCode, Uri};
use awc::{BoxedSocket, Connect};
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{FutureExt as _, SinkExt as _, Stream, StreamExt as _};

use crate::exchange::content_length;

/// How long an idle connection is kept, and how many are.
const KEEP_IDLE: Duration = Duration::from_secs(15);
const MAX_IDLE: usize = 32;

type Connecting = LocalBoxFuture<'static, Result<BoxedSocket, ConnectError>>;

/// Connections to one server.
pub(crate) struct Transport {
    connect: Box<dyn Fn(Connect) -> Connecting>,
    idle: Rc<IdleConnections>,
}

/// Connections that wait for their next request.
#[derive(Default)]
struct IdleConnections(RefCell<Vec<(Instant, BoxedSocket)>>);

/// A response's body. It ends with `PayloadError::Incomplete` where the connection ends before the body does.
pub(crate) struct Body(Option<OpenBody>);

struct OpenBody {
    framed: Framed<BoxedSocket, ClientPayloadCodec>,
    idle: Rc<IdleConnections>,
}

/// Why there is no response.
pub(crate) enum TransportError {
    Send(SendRequestError),
    /// The response has neither a length nor chunks: its end and a break of the connection look the same.
    NoLength,
}

impl From<SendRequestError> for TransportError {
    fn from(error: SendRequestError) -> Self {
        Self::Send(error)
    }
}

impl From<ConnectError> for TransportError {
    fn from(error: ConnectError) -> Self {
        Self::Send(error.into())
    }
}

impl From<ParseError> for TransportError {
    fn from(error: ParseError) -> Self {
        Self::Send(error.into())
    }
}

impl Transport {
    /// Creates a transport with the connections of this connector, whose own pool is not used.
    pub(crate) fn new<S>(connector: S) -> Self
    where
        S: Service<Connect, Error = ConnectError> + 'static,
        S::Response: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let connector = Rc::new(connector);
        let connect = move |to| {
            let connector = Rc::clone(&connector);
            async move {
                let connection = connector.call(to).await?;
                Ok(Box::new(connection) as BoxedSocket)
            }
            .boxed_local()
        };
        Self { connect: Box::new(connect), idle: Rc::default() }
    }

    /// Sends a request without a body and reads the head of its final response.
    pub(crate) async fn send(&self, head: RequestHead) -> Result<(ResponseHead, Body), TransportError> {
        self.send_to(head, None).await
    }

    /// As [`Transport::send`], over a connection to this address instead of one that the host's name resolves to.
    pub(crate) async fn send_to(
        &self,
        mut head: RequestHead,
        addr: Option<SocketAddr>,
    ) -> Result<(ResponseHead, Body), TransportError> {
        if !head.headers.contains_key(HOST)
            && let Some(host) = host(&head.uri)
        {
            head.headers.insert(HOST, host);
        }
        let head = Rc::new(head);
        if let Some(socket) = self.idle.take() {
            match self.exchange(socket, Rc::clone(&head)).await {
                // The server closed the connection while it was idle: the request was not handled.
                Err(TransportError::Send(error)) if is_closed(&error) => {}
                answered => return answered,
            }
        }
        let socket = (self.connect)(Connect { uri: head.uri.clone(), addr }).await?;
        self.exchange(socket, head).await
    }

    async fn exchange(
        &self,
        socket: BoxedSocket,
        request: Rc<RequestHead>,
    ) -> Result<(ResponseHead, Body), TransportError> {
        let no_body = request.method == Method::HEAD;
        let mut framed = Framed::new(socket, ClientCodec::default());
        let message = Message::Item((RequestHeadType::Rc(request, None), BodySize::None));
        framed.send(message).await.map_err(SendRequestError::Send)?;
        let head = loop {
            let head = framed.next().await.ok_or(ConnectError::Disconnected)??;
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                break head;
            }
            // The codec of an interim response may expect a body, which such a response cannot have.
            framed = framed.replace_codec(ClientCodec::default());
        };
        let no_body = no_body || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match framed.codec_ref().message_type() {
            _ if no_body => {}
            MessageType::None if content_length(&head.headers) == Some(0) => {}
            MessageType::Payload if has_length(&head) => {
                let framed = framed.into_map_codec(ClientCodec::into_payload_codec);
                return Ok((head, Body(Some(OpenBody { framed, idle: Rc::clone(&self.idle) }))));
            }
            // Only the head of a response that ends as an error is needed.
            _ if !head.status.is_success() => return Ok((head, Body(None))),
            _ => return Err(TransportError::NoLength),
        }
        if framed.codec_ref().keep_alive() {
            self.idle.put(framed);
        }
        Ok((head, Body(None)))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(open) = &mut self.0 else { return Poll::Ready(None) };
        let item = ready!(Pin::new(&mut open.framed).next_item(cx));
        if let Some(Ok(Some(chunk))) = item {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let open = self.0.take();
        match item {
            Some(Ok(_)) => {
                if let Some(OpenBody { framed, idle }) = open
                    && framed.codec_ref().keep_alive()
                {
                    idle.put(framed);
                }
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
        }
    }
}

impl IdleConnections {
    /// Keeps a connection, unless it brought more than the response.
    fn put<C>(&self, framed: Framed<BoxedSocket, C>) {
        let parts = framed.into_parts();
        let mut idle = self.0.borrow_mut();
        if parts.read_buf.is_empty() && idle.len() < MAX_IDLE {
            idle.push((Instant::now(), parts.io));
        }
    }

    /// Returns the most recently used connection that is still open.
    fn take(&self) -> Option<BoxedSocket> {
        let mut idle = self.0.borrow_mut();
        idle.retain(|(since, _)| since.elapsed() < KEEP_IDLE);
        while let Some((_, mut socket)) = idle.pop() {
            let mut byte = [0];
            let mut read = ReadBuf::new(&mut byte);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            // A connection that has something to read was closed, or has bytes that belong to no request.
            if Pin::new(&mut socket).poll_read(&mut cx, &mut read).is_pending() {
                return Some(socket);
            }
        }
        None
    }
}

/// Returns whether the connection ended before the response began.
fn is_closed(error: &SendRequestError) -> bool {
    matches!(
        error,
        SendRequestError::Connect(ConnectError::Disconnected)
            | SendRequestError::Send(_)
            | SendRequestError::Response(ParseError::Io(_))
    )
}

/// Returns whether the head says where the body ends.
fn has_length(head: &ResponseHead) -> bool {
    is_chunked(&head.headers) || content_length(&head.headers).is_some()
}

/// Returns whether the body comes in chunks. A length is ignored then (RFC 9112, section 6.3).
pub(crate) fn is_chunked(headers: &HeaderMap) -> bool {
    let encoding = headers.get(TRANSFER_ENCODING).and_then(|encoding| encoding.to_str().ok());
    encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("chunked"))
}

fn host(uri: &Uri) -> Option<HeaderValue> {
    let host = match (uri.host()?, uri.port_u16()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    };
    HeaderValue::from_str(&host).ok()
}
