#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod check;
mod fields;
pub mod first_ten;
pub mod folder;
mod gates;
pub mod input;
pub mod library;
pub mod lines;
pub mod manifest;
pub mod nearest;
pub mod params;
pub mod problem;
pub mod stage;
pub mod yaml;

pub use check::refuse_file_name;
pub use first_ten::FirstTen;
pub use folder::{Folder, LARGEST_FILE};
pub use input::{Choice, Input, InputKind, Target};
pub use library::{Compile, Compiled, Library, LibraryError, Listed, Listing};
pub use lines::Lines;
pub use manifest::{MANIFEST_FILE, Manifest, Output, RESERVED_IDS, WorkflowKind, refuse_id};
pub use params::{ParamProblem, Params, ParamsError, SEED_LIMIT, Uploads};
pub use problem::{Problem, ProblemKind, Report, Severity};
pub use stage::{LoraInjection, LoraPair, Repeat, Stage, StageModels, Switch};
