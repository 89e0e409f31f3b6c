//! Limits on connections: their number, and the time and bytes that they take before, between and after the requests that
//! handlers see.
//!
//! [`listen`] accepts a connection if [`Admission`] permits it, and wraps its socket in a [`Connection`], which enforces
//! deadlines on reading and writing. The socket learns about its requests from [`Activity`], which the middleware in
//! [`request_body`](super::request_body) updates.

mod activity;
mod admission;
mod listen;
mod malformed;
mod stream;

pub use activity::{Activity, OpenRequest};
pub use admission::network_of;
pub use listen::{bind, listen};
