#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod durations;
mod estimate;
mod failure;
mod follow;
mod outline;
mod outputs;
mod progress;
mod running;

pub use durations::{Durations, MeanDuration, NodeDuration};
pub use failure::failure_text;
pub use progress::{PreviewImage, Progress};
