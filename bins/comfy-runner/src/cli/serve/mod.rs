//! The options of `serve`.

mod api_keys;
mod comfyuis;
mod file_storage;
mod limits;
mod public_url;
mod queue;
mod records;
mod size;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use comfy_runner_jobs::PartnerKey;

use super::WorkflowFolder;
use super::listen::parse_listen;
use crate::server::{AllowedOrigin, TrustedProxy};
pub use api_keys::ApiKeyTable;
pub use comfyuis::{ComfyUiTable, ComfyUis};
pub use file_storage::FileStorage;
pub use limits::Limits;
use public_url::parse_public_url;
pub use queue::Queue;
pub use records::{LostJobs, Records};
use size::parse_size;

/// `comfy-runner serve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner serve --workflows ./workflows\n  \
    comfy-runner serve --config comfy-runner.toml\n  \
    comfy-runner serve --workflows ./workflows --comfyui https://pod.example/comfy --listen 0.0.0.0:8080 --api-key SECRET\n\n\
    Without an API key the server listens on loopback only.")]
pub struct Serve {
    /// A TOML file with options, by their long names: `listen = "0.0.0.0:8080"`. The command line and the environment take
    /// precedence
    #[arg(long, env = "COMFY_RUNNER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    #[command(flatten)]
    pub comfyuis: ComfyUis,
    /// The address and port to listen on
    #[arg(long, env = "COMFY_RUNNER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// A key that callers send as `X-API-Key`; may be repeated, or separated by commas. Other users of
    /// this machine can see the command line; the environment is safer
    #[arg(
        long = "api-key",
        env = "COMFY_RUNNER_API_KEY",
        value_name = "KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub api_keys: Vec<String>,
    /// The API keys of the configuration file that are tables.
    #[arg(skip)]
    pub keys_of_file: Vec<ApiKeyTable>,
    /// An origin whose pages may use the API, such as `https://app.example`; may be repeated, or separated by
    /// commas. `*` allows every origin and needs an API key
    #[arg(
        long = "allow-origin",
        env = "COMFY_RUNNER_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allow_origins: Vec<AllowedOrigin>,
    /// The address under which callers reach the server, such as `https://render.example/comfy`, for the links in answers
    /// of the Comfy API v2. Without it they have the host of the request
    #[arg(long, env = "COMFY_RUNNER_PUBLIC_URL", value_name = "URL", value_parser = parse_public_url)]
    pub public_url: Option<url::Url>,
    /// A proxy whose `X-Forwarded-Proto`, `-Host` and `-Prefix` headers are believed for these links: an IP address, or a
    /// network such as `10.0.0.0/8`; may be repeated, or separated by commas
    #[arg(
        long = "trusted-proxy",
        env = "COMFY_RUNNER_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The key for partner (API) nodes, sent to ComfyUI with every job that brings none of its own. Others on this machine
    /// can see a command line: the environment is the better place
    #[arg(long, env = "COMFY_RUNNER_COMFY_API_KEY", value_name = "KEY", value_parser = PartnerKey::new, hide_env_values = true)]
    pub comfy_api_key: Option<PartnerKey>,
    /// The maximum size of an uploaded file: bytes, or a number with a unit such as 100MiB
    #[arg(long, env = "COMFY_RUNNER_MAX_UPLOAD", value_name = "SIZE", default_value = "100MiB", value_parser = parse_size)]
    pub max_upload: u64,
    /// A host from which a caller may have a file fetched by its URL although its address is not public: a name or an IP
    /// address, as in the URL; may be repeated, or separated by commas
    #[arg(
        long = "allow-input-host",
        env = "COMFY_RUNNER_ALLOW_INPUT_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub allow_input_hosts: Vec<String>,
    /// Callers may add workflows to the library, over HTTP and on the page
    #[arg(long, env = "COMFY_RUNNER_ALLOW_EDIT")]
    pub allow_edit: bool,
    /// ComfyUI's input folder, if it is on this machine: callers may delete the files that they uploaded
    #[arg(long, env = "COMFYUI_INPUT_DIR", value_name = "DIR")]
    pub comfyui_input_dir: Option<PathBuf>,
    /// ComfyUI's output folder, if it is on this machine: callers may delete the files of jobs
    #[arg(long, env = "COMFYUI_OUTPUT_DIR", value_name = "DIR")]
    pub comfyui_output_dir: Option<PathBuf>,
    /// The number of threads that answer requests
    #[arg(long, env = "COMFY_RUNNER_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub workers: Option<u16>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub queue: Queue,
    #[command(flatten)]
    pub records: Records,
    #[command(flatten)]
    pub files: FileStorage,
}
