#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod document;
mod normalize;
mod operation;
mod routes;
mod schemas;

pub use document::document;
