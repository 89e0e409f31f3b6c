//! The command line: commands, arguments and options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use comfy_runner_files::Location;
use comfy_runner_jobs::PartnerKey;
use comfy_runner_scheduler::Priority;
#[cfg(feature = "simulator")]
use comfy_runner_simulator::Version;

use crate::server::{AllowedOrigin, TrustedProxy};

/// Turns a folder of ComfyUI workflows into a typed, tracked HTTP API.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Examples:\n  \
        comfy-runner demo\n  \
        comfy-runner serve --workflows ./workflows --comfyui http://127.0.0.1:8188\n  \
        comfy-runner run text-to-image --workflows ./workflows -p prompt=\"a red fox\" -o out"
)]
pub struct Cli {
    /// What is logged to stderr: a level, or tracing directives such as `info,comfy_runner_client=debug` [default: info
    /// for serve, warn for the rest]
    #[arg(long, global = true, env = "COMFY_RUNNER_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// The format of log lines
    #[arg(long, global = true, env = "COMFY_RUNNER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A command.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is read once")]
pub enum Command {
    /// Serve a folder of workflows as an HTTP API
    Serve(Box<Serve>),
    /// Try everything without a ComfyUI: a simulator and a server in one process, and a first image
    #[cfg(feature = "simulator")]
    Demo(Demo),
    /// Try everything without a ComfyUI (not in this build)
    #[cfg(not(feature = "simulator"))]
    Demo(NotInThisBuild),
    /// Run one workflow on a ComfyUI and save its files
    Run(Run),
    /// Print the graph of a request without running it
    Build(Build),
    /// Create a workflow folder from a saved graph, with a manifest whose inputs are detected
    Init(Init),
    /// Convert a saved graph between ComfyUI's UI format and API format
    Convert(Convert),
    /// Check every workflow of a folder
    Validate(Validate),
    /// Run the test cases of workflows, without a ComfyUI
    Test(Test),
    /// Manage the jobs of a running server
    Jobs(Jobs),
    /// Manage the file store of a running server
    Files(Files),
    /// Check a configuration file of `serve`
    Config(Config),
    /// Write the sample workflows into a folder
    Samples(Samples),
    /// Serve a ComfyUI stand-in that needs no models and no GPU
    #[cfg(feature = "simulator")]
    Simulate(Simulate),
    /// Serve a ComfyUI stand-in (not in this build)
    #[cfg(not(feature = "simulator"))]
    Simulate(NotInThisBuild),
}

/// The arguments of a command that this build does not have.
#[cfg(not(feature = "simulator"))]
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct NotInThisBuild {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// The folder of workflows.
#[derive(Debug, Args)]
pub struct WorkflowFolder {
    /// The folder of workflows: a folder each, with a manifest.yaml in it. The folder of one workflow works too
    #[arg(
        long = "workflows",
        env = "COMFY_RUNNER_WORKFLOWS",
        value_name = "DIR",
        default_value = "workflows"
    )]
    pub dir: PathBuf,
}

/// A ComfyUI and how to reach it.
#[derive(Debug, Args)]
pub struct ComfyUi {
    /// The URL of ComfyUI: http or https, with or without a path prefix
    #[arg(
        long = "comfyui",
        env = "COMFYUI_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8188"
    )]
    pub url: String,
    #[command(flatten)]
    pub access: Access,
}

/// What else is needed to reach a ComfyUI.
#[derive(Debug, Args)]
pub struct Access {
    /// A header for every request to ComfyUI, such as `Authorization: Bearer ...`; may be repeated (in the
    /// environment: one per line)
    #[arg(
        long = "comfyui-header",
        env = "COMFYUI_HEADERS",
        value_name = "NAME: VALUE",
        value_delimiter = '\n',
        hide_env_values = true
    )]
    pub headers: Vec<String>,
    /// A PEM file of certificate authorities to trust for https, in addition to the usual ones
    #[arg(long = "comfyui-ca", env = "COMFYUI_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// The ComfyUIs of a server and how to reach them.
#[derive(Debug, Args)]
pub struct ComfyUis {
    /// A ComfyUI: its URL (http or https, with or without a path prefix), or its name and URL; may be repeated, or separated
    /// by commas
    #[arg(
        long = "comfyui",
        env = "COMFYUI_URL",
        value_name = "[NAME=]URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8188"
    )]
    pub urls: Vec<String>,
    #[command(flatten)]
    pub access: Access,
    /// The number of jobs that a ComfyUI gets at once; the others wait in a queue of this server
    #[arg(long = "comfyui-depth", env = "COMFYUI_DEPTH", value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub depth: u16,
    /// The number of models that a ComfyUI keeps in memory: jobs whose models are there are given to it first
    #[arg(long = "comfyui-models", env = "COMFYUI_MODELS", value_name = "N", default_value_t = 1)]
    pub models: u16,
    /// The ComfyUIs of the configuration file.
    #[arg(skip)]
    pub of_file: Vec<ComfyUiTable>,
}

/// A ComfyUI in the configuration file: `[[comfyui]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComfyUiTable {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Headers for every request to it: `Name: value`.
    pub headers: Vec<String>,
    /// A PEM file of certificate authorities.
    pub ca: Option<PathBuf>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of jobs that it gets at once.
    pub depth: Option<u16>,
    /// The number of models that it keeps in memory.
    pub models: Option<u16>,
}

/// An API key in the configuration file: `[[api-key]]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeyTable {
    /// The key.
    pub key: String,
    /// The highest priority that its holder may give to jobs.
    pub max_priority: Option<Priority>,
}

impl std::fmt::Debug for ApiKeyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyTable").field("max_priority", &self.max_priority).finish_non_exhaustive()
    }
}

/// Waiting jobs.
#[derive(Debug, Args)]
pub struct Queue {
    /// The number of jobs that may wait for a ComfyUI; further ones get 429
    #[arg(long, env = "COMFY_RUNNER_MAX_QUEUE", value_name = "N", default_value_t = 10_000)]
    pub max_queue: u32,
    /// The number of jobs of one API key that may wait; further ones get 429 [default: that of --max-queue]
    #[arg(long, env = "COMFY_RUNNER_MAX_QUEUE_PER_KEY", value_name = "N")]
    pub max_queue_per_key: Option<u32>,
    /// Accept jobs while no ComfyUI can be reached
    #[arg(long, env = "COMFY_RUNNER_QUEUE_WHILE_DOWN")]
    pub queue_while_down: bool,
    /// The highest priority that callers may give to jobs, from -10 to 10. A key in the configuration file can have a limit of
    /// its own
    #[arg(
        long,
        env = "COMFY_RUNNER_MAX_PRIORITY",
        value_name = "N",
        default_value = "10",
        allow_negative_numbers = true
    )]
    pub max_priority: Priority,
    /// Seconds after which the jobs of a ComfyUI that cannot be reached are given to another one
    #[arg(long, env = "COMFY_RUNNER_FAILOVER_AFTER", value_name = "SECONDS", default_value_t = 10)]
    pub failover_after: u16,
}

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

/// Limits on connections and callers.
#[derive(Debug, Args)]
pub struct Limits {
    /// The maximum number of simultaneous connections; 0 for no limit. Further ones get 503
    #[arg(long, env = "COMFY_RUNNER_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096)]
    pub max_connections: u32,
    /// The maximum number of simultaneous connections from one address, or from one IPv6 /64 network; 0 for no limit.
    /// Loopback addresses are exempt
    #[arg(long, env = "COMFY_RUNNER_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = 256)]
    pub max_connections_per_address: u32,
    /// Seconds in which the head of a request must arrive
    #[arg(long, env = "COMFY_RUNNER_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub header_timeout: u16,
    /// Seconds in which each kilobyte of a request's body must arrive; otherwise the caller gets 408
    // ComfyUI's client gives an upload up 60 seconds after its last progress: the caller must be given up before that.
    #[arg(long, env = "COMFY_RUNNER_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub body_timeout: u16,
    /// Seconds after which a connection is closed whose caller reads nothing of the response
    #[arg(long, env = "COMFY_RUNNER_WRITE_TIMEOUT", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub write_timeout: u16,
    /// The number of wrong API keys per minute and address that get 401; further ones get 429
    #[arg(long, env = "COMFY_RUNNER_MAX_FAILED_KEYS", value_name = "N", default_value_t = 20)]
    pub max_failed_keys: u32,
}

/// Records of jobs.
#[derive(Debug, Args)]
pub struct Records {
    /// The folder for the records of jobs; `:memory:` keeps them until the process ends [default: comfy-runner in the
    /// platform's data folder]
    #[arg(long, env = "COMFY_RUNNER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// What to do with jobs whose ComfyUI restarts or cannot be reached any more: let them fail, or submit them again with the
    /// same seeds, at most twice [default: retry if another ComfyUI can run them, else fail]
    #[arg(long, env = "COMFY_RUNNER_LOST_JOBS", value_enum)]
    pub lost_jobs: Option<LostJobs>,
    /// Delete the records of jobs this many days after their end; their files stay [default: never]
    #[arg(long, env = "COMFY_RUNNER_KEEP_DAYS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: Option<u32>,
    /// Keep the records of only this many jobs that are over, the newest; all files stay [default: all]
    #[arg(long, env = "COMFY_RUNNER_KEEP_JOBS", value_name = "N")]
    pub keep_jobs: Option<u32>,
}

/// The file store.
#[derive(Debug, Args)]
pub struct FileStorage {
    /// Store uploaded files here, and send them to ComfyUI when a job needs them: a folder, or s3://BUCKET/PREFIX, gs:// or
    /// az://, with credentials from the environment [default: uploads go straight to ComfyUI; other files are stored in
    /// `files` in the state folder]
    #[arg(long, env = "COMFY_RUNNER_FILES", value_name = "DIR|URL", value_hint = ValueHint::AnyPath)]
    pub files: Option<Location>,
    /// Copy the outputs of jobs into the file store, so that they can be downloaded when ComfyUI no longer has them
    #[arg(long, env = "COMFY_RUNNER_KEEP_OUTPUTS")]
    pub keep_outputs: bool,
    /// Redirect callers who download a stored file to a URL of its storage that works for an hour; S3 and Google Cloud
    /// Storage have such URLs
    #[arg(long, env = "COMFY_RUNNER_REDIRECT_DOWNLOADS")]
    pub redirect_downloads: bool,
}

/// What to do with jobs that ComfyUI loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LostJobs {
    /// Submit them again, at most twice, with the same seeds.
    Retry,
    /// Let them fail.
    Fail,
}

/// `comfy-runner demo`
#[cfg(feature = "simulator")]
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  comfy-runner demo\n  comfy-runner demo --once --output images")]
pub struct Demo {
    /// The loopback address and port of the API; port 0 takes a free one
    #[arg(long, env = "COMFY_RUNNER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Exit when the images are made
    #[arg(long, env = "COMFY_RUNNER_DEMO_ONCE")]
    pub once: bool,
    /// The folder for the images
    #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = "comfy-runner-demo")]
    pub output: PathBuf,
}

/// `comfy-runner run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner run text-to-image --workflows ./workflows -p prompt=\"a red fox\" -p steps=30\n  \
    comfy-runner run image-to-image --workflows ./workflows --image photo.png -p strength=0.6 -o out\n  \
    comfy-runner run text-to-image --workflows ./workflows --params @params.json")]
pub struct Run {
    #[command(flatten)]
    pub request: Request,
    #[command(flatten)]
    pub comfyui: ComfyUi,
    /// The key for partner (API) nodes, sent to ComfyUI with the job. Others on this machine
    /// can see a command line: the environment is the better place
    #[arg(long, env = "COMFY_RUNNER_COMFY_API_KEY", value_name = "KEY", value_parser = PartnerKey::new, hide_env_values = true)]
    pub comfy_api_key: Option<PartnerKey>,
    /// A file for an image, video, audio or mask input: the input's id and the file, or only the file for the first
    /// such input
    #[arg(long = "image", value_name = "[ID=]FILE")]
    pub images: Vec<String>,
    /// The folder for the files that the workflow makes
    #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
}

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

/// A workflow and the values for its inputs.
#[derive(Debug, Args)]
pub struct Request {
    /// The workflow's id: the name of its folder
    pub id: String,
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    /// A value for an input. Valid JSON (30, true, {"w": 832}) is read as JSON, anything else as a string
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub param: Vec<String>,
    /// The values as a JSON object, or @ and the name of a file with that object; -p takes precedence
    #[arg(long, value_name = "JSON|@FILE", env = "COMFY_RUNNER_PARAMS")]
    pub params: Option<String>,
    /// A preset of the workflow, whose values apply where no others are given
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
}

/// `comfy-runner validate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner validate ./workflows\n  \
    comfy-runner validate ./workflows --comfyui http://127.0.0.1:8188\n  \
    comfy-runner validate ./workflows/text-to-image\n  \
    comfy-runner validate graph.json --comfyui http://127.0.0.1:8188 --json\n  \
    curl -s 127.0.0.1:8188/object_info > nodes.json && comfy-runner validate ./workflows --object-info nodes.json")]
pub struct Validate {
    /// The folder of workflows, one workflow's folder, or a graph file (API or UI format, or an image that ComfyUI saved)
    #[arg(value_name = "PATH", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub path: PathBuf,
    /// Print JSON: for a graph, what ComfyUI's POST /prompt would answer; for workflows, a list of findings
    #[arg(long)]
    pub json: bool,
    /// A file with the node schemas to check against: the response of ComfyUI's /object_info
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE", conflicts_with = "comfyui")]
    pub object_info: Option<PathBuf>,
    /// The ComfyUI whose node schemas, models and nodes to check against
    // No COMFYUI_URL here: checking offline must not depend on what is set for `serve`.
    #[arg(long, env = "COMFY_RUNNER_VALIDATE_COMFYUI", value_name = "URL")]
    pub comfyui: Option<String>,
}

/// `comfy-runner test`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner test ./workflows\n  \
    comfy-runner test ./workflows --update\n  \
    comfy-runner test ./workflows --junit report.xml\n\n\
    A case is a file WORKFLOW/tests/NAME.yaml with `params` and what the graph must be; see docs/testing.md.")]
pub struct Test {
    /// The folder of workflows, or the folder of one
    #[arg(value_name = "DIR", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub dir: PathBuf,
    /// Rewrite golden graphs that differ
    #[arg(long)]
    pub update: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the results as a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// A file with node schemas, for workflows in UI format: the response of ComfyUI's /object_info
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
}

/// `comfy-runner init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner init portrait saved.json --workflows ./workflows --comfyui http://127.0.0.1:8188\n  \
    comfy-runner init landscape ComfyUI_00001_.png --workflows ./workflows --object-info nodes.json")]
pub struct Init {
    /// The workflow's id: the name of the folder to create
    pub id: String,
    /// A graph in either format, or an image, video or audio file with an embedded graph (PNG, WebP, JPEG, MP4, WebM,
    /// FLAC, MP3, Opus)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    #[command(flatten)]
    pub schemas: NodeSchemas,
    /// Print JSON: the manifest's path, the number of its inputs, and the findings
    #[arg(long)]
    pub json: bool,
}

/// `comfy-runner samples`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner samples ./workflows\n  \
    comfy-runner serve --workflows ./workflows")]
pub struct Samples {
    /// The folder of workflows. The command fails when a file exists already, and does not change it
    #[arg(value_name = "DIR", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub dir: PathBuf,
}

/// `comfy-runner convert`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner convert saved.json --to api --comfyui http://127.0.0.1:8188 > graph.json\n  \
    comfy-runner convert graph.json --to workflow --object-info nodes.json -o ui-graph.json\n  \
    comfy-runner convert ComfyUI_00001_.png --to api")]
pub struct Convert {
    /// A graph in either format, or an image, video or audio file with an embedded graph (PNG, WebP, JPEG, MP4, WebM,
    /// FLAC, MP3, Opus)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The format to convert to; a graph that is in this format already is only reformatted
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: GraphFormat,
    #[command(flatten)]
    pub schemas: NodeSchemas,
    /// The file to write; an existing one is replaced when the new one is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON: the graph (or the file that it is in) and the findings
    #[arg(long)]
    pub json: bool,
}

/// ComfyUI's two formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// API format, which ComfyUI runs
    Api,
    /// UI format, which the editor saves and opens
    Workflow,
}

/// The source of node schemas.
#[derive(Debug, Args)]
pub struct NodeSchemas {
    /// A file with the response of ComfyUI's /object_info; takes precedence over --comfyui
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
    /// The ComfyUI whose node schemas to use
    #[arg(long, env = "COMFYUI_URL", value_name = "URL")]
    pub comfyui: Option<String>,
    #[command(flatten)]
    pub access: Access,
}

/// `comfy-runner jobs`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner jobs list --status running,pending\n  \
    comfy-runner jobs watch 0f8fad5b-d9cb-469f-a165-70867728950e\n  \
    comfy-runner jobs list --all --json | jq '.jobs[] | select(.status == \"error\")'")]
pub struct Jobs {
    #[command(flatten)]
    pub server: ServerAddress,
    /// The command.
    #[command(subcommand)]
    pub command: JobsCommand,
}

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

/// A command for jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Print the jobs, newest first
    List(JobsList),
    /// Print the record of a job
    Show {
        /// The job's id, or its first characters
        prompt_id: String,
        /// Print the record as JSON
        #[arg(long)]
        json: bool,
    },
    /// Cancel pending or running jobs
    Cancel {
        /// The jobs' ids, or their first characters
        #[arg(required = true)]
        prompt_ids: Vec<String>,
        /// Print the responses as JSON, one per line
        #[arg(long)]
        json: bool,
    },
    /// Save the files that a job made
    Download {
        /// The job's id, or its first characters
        prompt_id: String,
        /// The folder for the files
        #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = ".")]
        output: PathBuf,
    },
    /// Delete the records of jobs that are over; their files stay without --files
    Delete {
        /// The jobs' ids, or their first characters
        #[arg(required = true)]
        prompt_ids: Vec<String>,
        /// Delete the jobs' output files too. The server must know ComfyUI's output folder
        #[arg(long)]
        files: bool,
    },
    /// Run a job again with the same values and seeds, and print the new id
    Retry {
        /// The job's id, or its first characters
        prompt_id: String,
        /// Follow the new job to its end
        #[arg(long)]
        watch: bool,
        /// Print the response as JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a job to its end, or print the events of all jobs until stopped
    Watch {
        /// The job's id, or its first characters; without it, all jobs
        prompt_id: Option<String>,
        /// Print messages as JSON, one per line
        #[arg(long)]
        json: bool,
    },
}

/// `comfy-runner jobs list`
#[derive(Debug, Args)]
pub struct JobsList {
    /// Only jobs with these statuses: pending, running, completed, error, cancelled (comma-separated)
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only jobs of this workflow
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only jobs queued at this time or later: 2026-03-24T14:30:52Z, or a day in UTC
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only jobs queued before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// The maximum number of jobs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// List every job
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `comfy-runner files`
#[derive(Debug, Args)]
pub struct Files {
    #[command(flatten)]
    pub server: ServerAddress,
    /// The command.
    #[command(subcommand)]
    pub command: FilesCommand,
}

/// A command for the file store.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum FilesCommand {
    /// Delete what no upload and no job refers to any more. The server does this by itself every six hours
    #[command(after_help = "Example:\n  comfy-runner files gc --dry-run")]
    Gc {
        /// Delete nothing, and print what would be deleted
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `comfy-runner config`
#[derive(Debug, Args)]
pub struct Config {
    /// The command.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// A command for configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file, and the options of `serve` that result from it and the environment, without starting
    /// a server
    #[command(after_help = "Example:\n  comfy-runner config check comfy-runner.toml")]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE", env = "COMFY_RUNNER_CONFIG", default_value = "comfy-runner.toml")]
        file: PathBuf,
    },
}

/// `comfy-runner simulate`
#[cfg(feature = "simulator")]
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
#[cfg(feature = "simulator")]
fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (0.001..=1000.0).contains(speed));
    speed.ok_or_else(|| "write a number from 0.001 to 1000; 2 is twice as fast".to_owned())
}

/// Reads an IP address and a port.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let (address, port) = match (text.parse::<u16>(), text.rsplit_once(':')) {
            (Ok(port), _) => ("127.0.0.1", port),
            (Err(_), Some(("" | "localhost", port))) => ("127.0.0.1", port.parse().unwrap_or(8080)),
            _ => ("127.0.0.1", 8080),
        };
        format!("write ADDRESS:PORT with an IP address, for example {address}:{port}")
    })
}

/// Reads an address of this server.
fn parse_public_url(text: &str) -> Result<url::Url, String> {
    let wrong =
        || format!("\"{text}\" is no address: write http://HOST or https://HOST/PATH, without a query");
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if fits { Ok(url) } else { Err(wrong()) }
}

/// Reads `100MiB`, `1.5GB` or a plain number of bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("\"{unit}\" is not a unit; use B, KB, MB, GB, KiB, MiB or GiB")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number * factor <= 2f64.powi(53) => {
            Ok((number * factor) as u64)
        }
        _ => Err(format!("\"{text}\" is not a size; write bytes, or a number with a unit such as 100MiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        assert_eq!(parse_listen("0.0.0.0:80").unwrap(), "0.0.0.0:80".parse().unwrap());
        for (wrong, example) in [
            ("8081", "127.0.0.1:8081"),
            (":8081", "127.0.0.1:8081"),
            ("localhost:8081", "127.0.0.1:8081"),
            ("0.0.0.0", "127.0.0.1:8080"),
        ] {
            let error = parse_listen(wrong).unwrap_err();
            assert!(error.contains("ADDRESS:PORT") && error.ends_with(example), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("100MiB"), Ok(100 << 20));
        assert_eq!(parse_size("1.5 GB"), Ok(1_500_000_000));
        for bad in ["", "MiB", "-1", "0", "1 parsec", "nan"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
