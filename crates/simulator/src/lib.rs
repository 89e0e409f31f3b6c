#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod catalog;
mod decode;
mod execution;
mod files;
mod gpu;
mod http;
mod jobs;
mod nodes;
mod paint;
mod prompt;
mod queue;
mod simulator;
mod sockets;
mod state;
mod value;
mod version;

pub use simulator::{Builder, Simulator, StartError};
pub use version::{UnknownVersion, Version};
