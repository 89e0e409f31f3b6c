//! ComfyUI's UI format: the graphs that people save, share and see in the editor.

mod drawn;
mod edition;
pub mod from_api;
pub mod graph;
pub mod layout;
pub mod misfit;
pub mod picture;
mod primitive;
mod promoted;
pub mod saved;
mod sheet;
mod size;
mod text;
pub mod to_api;
mod trace;
