//! HTTPS and WSS, against a server of our own with a certificate of our own.

mod support;

use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use comfy_runner_client::{Client, ClientError, SocketEvent, Unreachable};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use support::{client, config};

/// Gives the URL and the certificate that vouches for it.
async fn https() -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    async fn queue() -> HttpResponse {
        HttpResponse::Ok().json(json!({"queue_running": [], "queue_pending": []}))
    }
    async fn ws(request: HttpRequest, stream: web::Payload) -> actix_web::Result<HttpResponse> {
        let (response, session, mut incoming) = actix_ws::handle(&request, stream)?;
        actix_web::rt::spawn(async move {
            while incoming.recv().await.is_some() {}
            drop(session);
        });
        Ok(response)
    }
    let app = || App::new().route("/queue", web::get().to(queue)).route("/ws", web::get().to(ws));
    let server = HttpServer::new(app).workers(1).bind_rustls_0_23("127.0.0.1:0", tls).unwrap();
    let port = server.addrs()[0].port();
    actix_rt::spawn(server.run());
    (format!("https://localhost:{port}"), certified.cert.pem())
}

fn why_tls_failed(error: ClientError) -> String {
    match error {
        ClientError::Unreachable { reason: Unreachable::Tls(reason), .. } => reason,
        other => panic!("not TLS: {other:?}"),
    }
}

#[actix_rt::test]
async fn calls_and_the_socket_work_over_tls_with_a_root_of_ones_own() {
    let (url, root) = https().await;
    let client = Client::new(config(&url).with_root_certificates(root.as_bytes()).unwrap()).unwrap();
    client.queue().await.unwrap();
    let mut events = client.events("our id");
    assert_eq!(events.next().await, Some(SocketEvent::Connected));
}

#[actix_rt::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (url, _) = https().await;
    let reason = why_tls_failed(client(&url).queue().await.unwrap_err());
    assert!(reason.contains("certificate"), "{reason}");
}

#[actix_rt::test]
async fn https_to_a_server_that_speaks_http_is_told_as_such() {
    let server = mockito::Server::new_async().await;
    let url = format!("https://{}", server.host_with_port());
    let reason = why_tls_failed(client(&url).queue().await.unwrap_err());
    assert!(reason.contains("should the URL begin with http://?"), "{reason}");
}
