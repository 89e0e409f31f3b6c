//! A connection to a server that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::rt::net::{TcpListener, TcpStream};

/// A way to a server, at an address of its own. It passes everything on until it is cut.
pub struct Connection {
    /// `host:port`
    pub address: String,
    cut: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
}

impl Connection {
    /// Opens a way to the server at `host:port`.
    pub async fn open(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connection = Self { address, cut: Arc::default(), open: Arc::default() };
        let (cut, open, to) = (Arc::clone(&connection.cut), Arc::clone(&connection.open), to.to_owned());
        actix_rt::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                // Counted before anything is passed on, so that nothing passes once `cut` has returned.
                open.fetch_add(1, Ordering::SeqCst);
                actix_rt::spawn(pass(socket, to.clone(), Arc::clone(&cut), Arc::clone(&open)));
            }
        });
        connection
    }

    /// Cuts every connection, and lets none through.
    pub async fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) > 0 {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

async fn pass(mut from: TcpStream, to: String, cut: Arc<AtomicBool>, open: Arc<AtomicUsize>) {
    let is_cut = async {
        while !cut.load(Ordering::SeqCst) {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let pass_on = async {
        let Ok(mut to) = TcpStream::connect(to).await else { return };
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    };
    tokio::select! {
        () = pass_on => {}
        () = is_cut => {}
    }
    open.fetch_sub(1, Ordering::SeqCst);
}
