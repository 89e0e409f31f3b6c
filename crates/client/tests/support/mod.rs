//! Small servers of our own, each on a port that the system chooses.

// Not every test file uses everything.
#![allow(dead_code)]

use std::future::Future;
use std::time::Duration;

use comfy_runner_client::{Client, Config};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A configuration that loses patience soon enough for a test, and not so soon that a busy machine fails it.
pub fn config(url: &str) -> Config {
    let mut config = Config::new(url.parse().unwrap());
    config.timeouts.connect = Duration::from_secs(5);
    config.timeouts.reply = Duration::from_secs(20);
    config.timeouts.idle = Duration::from_secs(20);
    config.socket.backoff_min = Duration::from_millis(5);
    config.socket.backoff_max = Duration::from_millis(50);
    config
}

pub fn client(url: &str) -> Client {
    Client::new(config(url)).unwrap()
}

/// A server that does with each connection what it is told, bytes for bytes. The number counts connections from 0.
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

/// Reads until the blank line that ends a request's head.
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
