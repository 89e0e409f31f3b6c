#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod annotations;
mod autogrow;
pub mod diagnostics;
pub mod embedded;
pub mod file;
pub mod from_api;
mod frontend;
pub mod graph;
pub mod layout;
mod links;
mod node_builder;
mod node_ids;
mod primitive;
mod promoted;
mod rules;
pub mod saved;
mod size;
mod subgraph;
mod text;
pub mod to_api;
mod widgets;

pub use annotations::{Annotations, NodeGroup};
pub use from_api::from_api;
pub use graph::UiGraph;
pub use saved::Saved;
pub use to_api::to_api;
