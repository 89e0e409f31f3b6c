//! ComfyUI's UI format: the graphs that people save, share and see in the editor.

pub mod graph;
pub mod layout;
pub mod picture;
pub mod to_api;
pub mod widgets;
