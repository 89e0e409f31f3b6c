#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod annotations;
mod autogrow;
mod compose;
pub mod diagnostics;
pub mod embedded;
mod enclosure;
pub mod file;
pub mod from_api;
pub mod frontend;
pub mod graph;
pub mod layout;
mod links;
mod node_builder;
mod node_ids;
mod node_shape;
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
pub use from_api::{from_api, from_api_for};
pub use frontend::FrontendVersion;
pub use graph::UiGraph;
pub use saved::Saved;
pub use to_api::{to_api, to_api_for};
