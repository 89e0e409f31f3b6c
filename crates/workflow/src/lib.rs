#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod assemble;
mod compile;
pub mod output_folder;
mod placeholder;
pub mod validate;
pub mod workflow;

pub use assemble::{AssembleError, Assembled};
pub use output_folder::OutputFolder;
pub use validate::validate;
pub use workflow::{Workflow, Workflows};
