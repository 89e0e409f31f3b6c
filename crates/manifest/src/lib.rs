#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod check;
pub mod count;
pub mod diagnostic;
mod fields;
pub mod file_source;
pub mod first_ten;
mod gates;
pub mod input;
pub mod library;
pub mod lines;
mod lora_pairs;
pub mod manifest;
pub mod nearest;
mod older_dialect;
pub mod params;
mod params_schema;
pub mod preset;
pub mod seed;
pub mod stage;
pub mod workflow_dir;
pub mod yaml;

pub use count::{COUNT_KEY, MOST_JOBS, params_of_jobs};
pub use diagnostic::{Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics, Severity};
pub use fields::typo;
pub use file_source::FileSource;
pub use first_ten::FirstTen;
pub use input::{Choice, Input, InputKind, NodeField};
pub use library::{Compile, Compiled, Library, LibraryError, Listed, Listing};
pub use lines::Lines;
pub use lora_pairs::LORA_PAIRS_FILE;
pub use manifest::{MANIFEST_FILE, Manifest, Output, RESERVED_IDS, WorkflowKind, refuse_id};
pub use params::{InvalidParam, Params, ParamsError, Uploads};
pub use preset::{PRESET_KEY, PRESETS_FILE, Preset};
pub use seed::{SEED_LIMIT, SeedRange};
pub use stage::{Connection, ConnectionSource, LoraInjection, LoraPair, Repeat, Stage, StageModels, Switch};
pub use workflow_dir::{LARGEST_FILE, WorkflowDir};
