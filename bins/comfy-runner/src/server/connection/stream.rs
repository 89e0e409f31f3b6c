//! A socket with deadlines.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::{Activity, Wait};
use super::admission::Permit;
use super::malformed;
use crate::server::limits::Limits;

/// The socket of a [`Connection`].
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Makes the socket discard unsent data when it is closed.
    fn discard_on_close(&self);
}

impl Socket for TcpStream {
    fn discard_on_close(&self) {
        // A reset frees the system's send buffer of a client that does not read, which otherwise stays for minutes.
        if let Err(error) = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection is closed without a reset");
        }
    }
}

/// A socket that fails when the head of a request does not arrive in time, or when the client reads nothing of a response
/// for too long, and whose input ends when the client keeps sending data that no handler reads.
pub struct Connection<S> {
    socket: S,
    activity: Rc<Activity>,
    /// The time in which the head of the next request must arrive, after the last request or the start of the connection.
    head_within: Duration,
    write_timeout: Duration,
    read_deadline: Pin<Box<Sleep>>,
    /// When a write fails because the client does not read. Valid while `is_blocked`.
    write_deadline: Pin<Box<Sleep>>,
    is_blocked: bool,
    /// The response that replaces one of actix without a body, and the number of its bytes that were sent.
    replaced: Option<(Vec<u8>, usize)>,
    _permit: Permit,
}

impl<S: Socket> Connection<S> {
    pub(super) fn new(socket: S, permit: Permit, limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            socket,
            activity: Activity::new(),
            head_within: limits.keep_alive + limits.header_timeout,
            write_timeout: limits.write_timeout,
            read_deadline: Box::pin(sleep_until(now)),
            write_deadline: Box::pin(sleep_until(now)),
            is_blocked: false,
            replaced: None,
            _permit: permit,
        }
    }

    pub(super) fn activity(&self) -> &Rc<Activity> {
        &self.activity
    }

    /// Ends the wait for a silent client when the deadline has passed.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (deadline, end) = match self.activity.wait(self.head_within) {
            Wait::Open => {
                self.activity.read_by(cx.waker());
                return Poll::Pending;
            }
            Wait::Head(deadline) => {
                (deadline, Err(timed_out("the head of a request did not arrive in time")))
            }
            Wait::Linger(deadline) => (deadline, Ok(())),
        };
        if self.read_deadline.deadline() != deadline {
            self.read_deadline.as_mut().reset(deadline);
        }
        ready!(self.read_deadline.as_mut().poll(cx));
        Poll::Ready(end)
    }

    /// Writes bytes. The response to a malformed head, which no handler sees, gets a body.
    fn poll_write_answer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaced.is_none() && !self.activity.has_begun() {
            self.replaced = malformed::with_detail(bytes).map(|answer| (answer, 0));
        }
        let Some((answer, sent)) = &mut self.replaced else {
            return Pin::new(&mut self.socket).poll_write(cx, bytes);
        };
        while *sent < answer.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &answer[*sent..]))? {
                0 => return Poll::Ready(Ok(0)),
                more => *sent += more,
            }
        }
        self.replaced = None;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Records whether the client reads, and fails when it has read nothing for too long.
    fn poll_progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_blocked = false;
            return written;
        }
        if !std::mem::replace(&mut self.is_blocked, true) {
            self.write_deadline.as_mut().reset(Instant::now() + self.write_timeout);
        }
        ready!(self.write_deadline.as_mut().poll(cx));
        self.socket.discard_on_close();
        Poll::Ready(Err(timed_out("the client read nothing of a response for too long")))
    }
}

fn timed_out(what: &'static str) -> io::Error {
    tracing::debug!("a connection is closed: {what}");
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: Socket> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.has_lingered() {
            // To the reader this is the end of the input.
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                this.activity.received(buffer.filled().len() - before);
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_silence(cx),
        }
    }
}

impl<S: Socket> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_write_answer(cx, bytes);
        this.poll_progress(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::super::activity::{LINGER, LINGER_BYTES};
    use super::super::admission::Admission;
    use super::*;

    impl Socket for DuplexStream {
        fn discard_on_close(&self) {}
    }

    /// A connection and its client, with a buffer of a kilobyte between them.
    fn connected() -> (Connection<DuplexStream>, DuplexStream) {
        let (socket, client) = duplex(1024);
        let limits = Limits::default();
        let permit = Arc::new(Admission::new(&limits)).admit(None).unwrap();
        (Connection::new(socket, permit, &limits), client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
        let (mut connection, mut client) = connected();
        let answer = vec![7; 1 << 20];
        let start = Instant::now();
        let reads = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                client.read_exact(&mut [0; 100]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(connection.write_all(&answer), reads);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 5 * 50 + 60);
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_of_every_request_must_arrive_in_time_however_it_trickles() {
        let (mut connection, mut client) = connected();
        let activity = Rc::clone(connection.activity());
        let start = Instant::now();
        // A request that takes long.
        let request = activity.begin();
        client.write_all(b"first").await.unwrap();
        connection.read_exact(&mut [0; 5]).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_secs(1000), connection.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        drop(request);
        // The next one, a byte a second.
        let trickle = async {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let read = async {
            loop {
                if let Err(error) = connection.read_u8().await {
                    break error;
                }
            }
        };
        let error = tokio::select! { error = read => error, () = trickle => unreachable!() };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 1000 + 30 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_read_any_more_ends_after_a_time_and_after_so_many_bytes() {
        let (mut connection, _client) = connected();
        let activity = Rc::clone(connection.activity());
        let _request = activity.begin();
        let start = Instant::now();
        let linger = async {
            tokio::task::yield_now().await;
            activity.linger();
        };
        let mut buffer = [0; 10];
        let (read, ()) = tokio::join!(connection.read(&mut buffer), linger);
        assert_eq!((read.unwrap(), start.elapsed()), (0, LINGER));

        let (mut connection, mut client) = connected();
        connection.activity().linger();
        let flood = async { while client.write_all(&[0; 1024]).await.is_ok() {} };
        let mut thrown_away = Vec::new();
        let read = connection.read_to_end(&mut thrown_away);
        tokio::select! { read = read => read.unwrap(), () = flood => unreachable!() };
        assert_eq!(thrown_away.len(), LINGER_BYTES);
    }
}
