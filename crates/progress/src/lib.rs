#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod durations;
mod expected;
mod failure;
mod follow;
mod outline;
mod outputs;
mod percent;
mod progress;
mod running;
mod time_left;

pub use durations::{Durations, MeanDuration, NodeDuration};
pub use failure::failure_text;
pub use progress::{PreviewImage, Progress};
