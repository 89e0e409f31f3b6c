//! Accepts connections and hands them to the HTTP service.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use comfy_runner_api::ErrorBody;
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncWriteExt as _;

use super::activity::LINGER;
use super::admission::{Admission, Refused};
use super::stream::Connection;
use crate::server::limits::Limits;

/// How long the response to a refused connection may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(200);

/// The number of connections that may wait to be accepted. The standard library's 128 are too few when all watchers
/// reconnect to a restarted server.
const BACKLOG: i32 = 1024;

/// Listens on an address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this would let two servers share an address.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves the connections of a listener with `app`, within limits. Replaces `actix_web::HttpServer`, which cannot wrap the
/// socket of a connection.
pub fn listen<F, I, S, B>(
    builder: ServerBuilder,
    listener: TcpListener,
    limits: &Limits,
    app: F,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let admission = Arc::new(Admission::new(limits));
    let limits = limits.clone();
    let address = listener.local_addr()?;
    let shutdown = builder.graceful_shutdown_signal();
    builder.listen("comfy-runner", listener, move || {
        let (admission, limits, shutdown) = (Arc::clone(&admission), limits.clone(), shutdown.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .keep_alive(limits.keep_alive)
            .client_request_timeout(limits.header_timeout)
            .client_disconnect_timeout(LINGER)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection<TcpStream>, data| {
                data.insert(Rc::clone(connection.activity()));
            });
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let http = http.finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |socket: TcpStream| {
            let (admission, limits) = (Arc::clone(&admission), limits.clone());
            async move {
                let peer = socket.peer_addr().ok();
                match admission.admit(peer.map(|peer| peer.ip())) {
                    Ok(permit) => {
                        set_write_timeout(&socket, limits.write_timeout);
                        Ok((Connection::new(socket, permit, &limits), Protocol::Http1, peer))
                    }
                    Err(refused) => {
                        refuse(socket, refused).await;
                        Err(DispatchError::Io(io::Error::other(refused)))
                    }
                }
            }
        })
        .and_then(http)
    })
}

/// Makes the system close a connection whose client reads nothing, also after the server has closed it and unsent data is
/// left in the system only.
fn set_write_timeout(socket: &TcpStream, timeout: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_user_timeout(Some(timeout)) {
        tracing::debug!(%error, "a connection has no write timeout of the system");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, timeout);
}

/// Answers a refused connection, without reading its request.
async fn refuse(mut socket: TcpStream, refused: Refused) {
    let body = serde_json::to_string(&ErrorBody::new(refused.to_string())).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answered = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await
    };
    // The client may be gone already; it does not matter.
    if let Ok(Err(error)) = tokio::time::timeout(REFUSAL_TIMEOUT, answered).await {
        tracing::debug!(%error, "a refused connection got no answer");
    }
}
