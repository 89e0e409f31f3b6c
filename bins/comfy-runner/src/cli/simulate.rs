//! The options of `simulate`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use comfy_runner_simulator::Version;

use super::listen::parse_listen;

/// `comfy-runner simulate`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comfy-runner simulate --listen 127.0.0.1:8188")]
pub struct Simulate {
    /// The address and port to listen on
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8188", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The folder for inputs and outputs [default: a temporary one]
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The version of ComfyUI to speak as: 0.33.0 or 0.3.64
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_SPEAK_AS", value_name = "VERSION", default_value_t = Version::default())]
    pub speak_as: Version,
    /// Milliseconds per step of a simulated model
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_STEP_MS", value_name = "MS", default_value_t = 60)]
    pub step_ms: u64,
    /// Milliseconds to load a simulated model that is not in memory
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_MODEL_LOAD_MS", value_name = "MS", default_value_t = 0)]
    pub model_load_ms: u64,
    /// The number of models that stay in memory
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_VRAM", value_name = "MODELS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub vram: u16,
    /// The name of a model file that it does not have; may be repeated, or separated by commas
    #[arg(
        long = "without-model",
        env = "COMFY_RUNNER_SIMULATE_WITHOUT_MODEL",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub without_models: Vec<String>,
    /// How many times as fast as that the models are
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_SPEED", value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
}

/// Reads a speed.
fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (0.001..=1000.0).contains(speed));
    speed.ok_or_else(|| "write a number from 0.001 to 1000; 2 is twice as fast".to_owned())
}
