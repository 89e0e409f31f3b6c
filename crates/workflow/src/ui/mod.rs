//! ComfyUI's UI format: the graphs that people save, share and see in the editor.

mod drawn;
pub mod graph;
pub mod layout;
pub mod picture;
mod primitive;
mod promoted;
mod sheet;
mod text;
pub mod to_api;
mod trace;
