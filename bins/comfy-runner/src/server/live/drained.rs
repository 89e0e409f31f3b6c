//! A notification that the connection has taken a part of a body.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::Notify;

/// A body that notifies when the connection has taken its data.
struct NotifyingBody {
    body: BoxBody,
    taken: Rc<Notify>,
}

/// Makes a body notify when data is taken from it. A connection takes data only when its buffer has room, so a writer that
/// waits for the notification is never ahead of the client.
pub fn notifying(response: HttpResponse) -> (HttpResponse, Rc<Notify>) {
    let taken = Rc::new(Notify::new());
    let of_body = Rc::clone(&taken);
    (response.map_body(|_, body| BoxBody::new(NotifyingBody { body, taken: of_body })), taken)
}

impl MessageBody for NotifyingBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        if polled.is_ready() {
            self.taken.notify_one();
        }
        polled
    }
}
