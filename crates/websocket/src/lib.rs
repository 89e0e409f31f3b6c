#![doc = include_str!("../README.md")]

mod codec;
mod scanner;
mod stream;

pub use codec::{CodecError, LimitedCodec};
pub use scanner::{CONTROL_FRAME_MAX, FrameError, FrameScanner};
pub use stream::{LimitedStream, frame_error};
