//! The options of `build`.

use clap::Args;

use super::{GraphFormat, NodeSchemas, Request};

/// `comfy-runner build`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  comfy-runner build text-to-image --workflows ./workflows -p prompt=\"a red fox\" > graph.json\n  \
        comfy-runner build text-to-image --workflows ./workflows --format workflow --comfyui http://127.0.0.1:8188 > drawn.json"
)]
pub struct Build {
    #[command(flatten)]
    pub request: Request,
    /// The format of the graph. UI format, and workflows whose graph is in UI format, need node schemas
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = GraphFormat::Api)]
    pub format: GraphFormat,
    #[command(flatten)]
    pub schemas: NodeSchemas,
}
