//! Servers that speak plain TCP, so that faults are exact. For the tests of several crates.

use std::future::Future;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// Starts a server that passes each connection to `serve`, with its number, which counts from 0. Returns its URL.
pub async fn raw<F, Fut>(serve: F) -> String
where
    F: Fn(usize, TcpStream) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    actix_rt::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            actix_rt::spawn(serve(number, socket));
        }
    });
    url
}

/// Reads a request's head, with the blank line that ends it.
pub async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
