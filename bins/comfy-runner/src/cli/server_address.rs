//! The options for a running server.

use clap::Args;

/// The server and its API key.
#[derive(Debug, Args)]
pub struct ServerAddress {
    /// The URL of a running `comfy-runner serve`
    #[arg(
        long,
        global = true,
        env = "COMFY_RUNNER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: String,
    /// The server's API key
    #[arg(long, global = true, env = "COMFY_RUNNER_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub api_key: Option<String>,
}
