//! ComfyUI's two formats of a graph, as values of options.

use clap::ValueEnum;

/// ComfyUI's two formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// API format, which ComfyUI runs
    Api,
    /// UI format, which the editor saves and opens
    Workflow,
}
