#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod catalog;
mod decode;
mod execution;
mod files;
mod http;
mod nodes;
mod paint;
mod prompt;
mod queue;
mod simulator;
mod sockets;
mod state;
mod value;

pub use simulator::{Builder, Simulator, StartError};
