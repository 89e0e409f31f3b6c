#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod annotations;
pub mod assemble;
pub mod case;
mod compile;
mod dynamic;
pub mod output_folder;
mod placeholder;
pub mod request;
pub mod scaffold;
pub mod validate;
pub mod workflow;

pub use assemble::{AssembleError, Assembled};
pub use dynamic::{Limits, StageError};
pub use output_folder::OutputFolder;
pub use request::{Request, RequestError, RequestParams};
pub use scaffold::{Scaffold, ScaffoldError, scaffold, scaffold_file};
pub use validate::{Release, Validator, Verdict, validate};
pub use workflow::{Workflow, Workflows};
