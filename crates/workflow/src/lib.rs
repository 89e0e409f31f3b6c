#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod annotations;
pub mod assemble;
pub mod case;
mod dynamic;
mod instance_seeds;
mod message;
mod options;
pub mod output_folder;
pub mod request;
pub mod scaffold;
mod static_workflow;
mod template;
pub mod validate;
pub mod workflow;

pub use assemble::{AssembleError, Assembled, BlockNodes};
pub use dynamic::{Limits, StageError};
pub use output_folder::OutputFolder;
pub use request::{Request, RequestError, RequestParams};
pub use scaffold::{Scaffold, ScaffoldError, scaffold, scaffold_file};
pub use validate::{Release, Validator, Verdict, validate};
pub use workflow::{Workflow, Workflows};
