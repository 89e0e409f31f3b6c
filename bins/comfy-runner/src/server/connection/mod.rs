//! Limits on connections: their number, and the time and bytes that they take before, between and after the requests that
//! handlers see.
//!
//! [`listen`] lets a connection in when [`Admission`] has a place for it, and wraps its socket in a [`Connection`], which
//! enforces deadlines on reading and writing. [`Activity`] tells that socket what happens to its requests; the middleware
//! in [`request_body`](super::request_body) keeps it up to date.

mod activity;
mod admission;
mod listen;
mod malformed;
mod stream;

pub use activity::{Activity, OpenRequest};
pub use admission::network_of;
pub use listen::{bind, listen};
