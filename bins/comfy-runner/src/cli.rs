//! The command line: what can be typed, and what it means.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
#[cfg(feature = "simulator")]
use comfy_runner_simulator::Version;

use crate::server::AllowedOrigin;

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
    /// How log lines are written
    #[arg(long, global = true, env = "COMFY_RUNNER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line that a person reads.
    Text,
    /// A JSON object a line.
    Json,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a folder of workflows as an HTTP API
    Serve(Serve),
    /// Try everything without a ComfyUI: a simulator and a server in one process, and a first image
    #[cfg(feature = "simulator")]
    Demo(Demo),
    /// Try everything without a ComfyUI (not in this build)
    #[cfg(not(feature = "simulator"))]
    Demo(NotInThisBuild),
    /// Run one workflow on a ComfyUI and save what it makes
    Run(Run),
    /// Print the graph that a request makes, without running it
    Build(Build),
    /// Make a workflow folder from a saved graph, with a manifest whose inputs are found by themselves
    Init(Init),
    /// Convert a saved graph between ComfyUI's UI format and API format
    Convert(Convert),
    /// Check every workflow of a folder
    Validate(Validate),
    /// Run the test cases of workflows, without a ComfyUI
    Test(Test),
    /// Manage the jobs of a running server
    Jobs(Jobs),
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

/// Where workflows are.
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

/// Which ComfyUI, and how to reach it.
#[derive(Debug, Args)]
pub struct ComfyUi {
    /// Where ComfyUI listens; http or https, a path prefix is fine
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

/// What it takes to reach a ComfyUI, beside its address.
#[derive(Debug, Args)]
pub struct Access {
    /// A header for every request to ComfyUI, such as `Authorization: Bearer ...`; may be given more than once (in the
    /// environment: one a line)
    #[arg(
        long = "comfyui-header",
        env = "COMFYUI_HEADERS",
        value_name = "NAME: VALUE",
        value_delimiter = '\n',
        hide_env_values = true
    )]
    pub headers: Vec<String>,
    /// A PEM file of certificate authorities to trust for https, beside the usual ones
    #[arg(long = "comfyui-ca", env = "COMFYUI_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// `comfy-runner serve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner serve --workflows ./workflows\n  \
    comfy-runner serve --workflows ./workflows --comfyui https://pod.example/comfy --listen 0.0.0.0:8080 --api-key SECRET\n\n\
    Without an API key the server listens on loopback only.")]
pub struct Serve {
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    #[command(flatten)]
    pub comfyui: ComfyUi,
    /// Where to listen
    #[arg(long, env = "COMFY_RUNNER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// A key that callers send as `X-API-Key`; may be given more than once, or separated by commas. Others of this
    /// machine can see a command line: the environment is the better place
    #[arg(
        long = "api-key",
        env = "COMFY_RUNNER_API_KEY",
        value_name = "KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub api_keys: Vec<String>,
    /// An origin whose pages may use the API, such as https://app.example; may be given more than once, or separated by
    /// commas. `*` allows every origin and needs an API key
    #[arg(
        long = "allow-origin",
        env = "COMFY_RUNNER_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allow_origins: Vec<AllowedOrigin>,
    /// The largest file that may be uploaded: bytes, or with a unit such as 100MiB
    #[arg(long, env = "COMFY_RUNNER_MAX_UPLOAD", value_name = "SIZE", default_value = "100MiB", value_parser = parse_size)]
    pub max_upload: u64,
    /// Threads that answer requests
    #[arg(long, env = "COMFY_RUNNER_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub workers: Option<u16>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub records: Records,
}

/// What connections and callers may use up.
#[derive(Debug, Args)]
pub struct Limits {
    /// The most connections at a time; 0 is any number. Further ones are answered with 503
    #[arg(long, env = "COMFY_RUNNER_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096)]
    pub max_connections: u32,
    /// The most connections at a time from one address, or from one /64 network of IPv6; 0 is any number. Loopback
    /// addresses are exempt
    #[arg(long, env = "COMFY_RUNNER_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = 256)]
    pub max_connections_per_address: u32,
    /// Seconds that the head of a request may take
    #[arg(long, env = "COMFY_RUNNER_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub header_timeout: u16,
    /// Seconds that a caller may take for the next kilobyte of a request's body; after that it is answered with 408
    // ComfyUI's client gives an upload up 60 seconds after its last progress: the caller must be given up before that.
    #[arg(long, env = "COMFY_RUNNER_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub body_timeout: u16,
    /// Seconds that a caller may read nothing of an answer before its connection is closed
    #[arg(long, env = "COMFY_RUNNER_WRITE_TIMEOUT", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub write_timeout: u16,
    /// Wrong API keys from one address within a minute that are answered with 401; further ones get 429
    #[arg(long, env = "COMFY_RUNNER_MAX_FAILED_KEYS", value_name = "N", default_value_t = 20)]
    pub max_failed_keys: u32,
}

/// What is remembered of jobs.
#[derive(Debug, Args)]
pub struct Records {
    /// The folder for what is remembered of jobs; `:memory:` forgets it all at the end [default: comfy-runner in the
    /// platform's data folder]
    #[arg(long, env = "COMFY_RUNNER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// What becomes of jobs that ComfyUI loses as it restarts: they fail, or are submitted again, once, with the same
    /// seeds
    #[arg(long, env = "COMFY_RUNNER_LOST_JOBS", value_enum, default_value_t = LostJobs::Fail)]
    pub lost_jobs: LostJobs,
    /// Forget jobs that have been over for so many days; their files stay [default: never]
    #[arg(long, env = "COMFY_RUNNER_KEEP_DAYS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: Option<u32>,
    /// Remember at most so many jobs that are over, the newest; the files of others stay [default: all]
    #[arg(long, env = "COMFY_RUNNER_KEEP_JOBS", value_name = "N")]
    pub keep_jobs: Option<u32>,
}

/// What becomes of jobs that ComfyUI loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LostJobs {
    /// Submitted again, once, with the same seeds.
    Retry,
    /// Ended as errors.
    Fail,
}

/// `comfy-runner demo`
#[cfg(feature = "simulator")]
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  comfy-runner demo\n  comfy-runner demo --once --output pictures")]
pub struct Demo {
    /// Where the API listens (a loopback address; port 0 takes a free one)
    #[arg(long, env = "COMFY_RUNNER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Exit when the picture is made, rather than staying up
    #[arg(long, env = "COMFY_RUNNER_DEMO_ONCE")]
    pub once: bool,
    /// The folder for the picture
    #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = "comfy-runner-demo")]
    pub output: PathBuf,
}

/// `comfy-runner run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner run text-to-image --workflows ./workflows -p prompt=\"a red fox\" -p steps=30\n  \
    comfy-runner run image-to-image --workflows ./workflows --image photo.png -p denoise=0.6 -o out\n  \
    comfy-runner run text-to-image --workflows ./workflows --params @params.json")]
pub struct Run {
    #[command(flatten)]
    pub request: Request,
    #[command(flatten)]
    pub comfyui: ComfyUi,
    /// A file for an image, video, audio or mask input: the input's id and the file, or only the file for the first
    /// such input
    #[arg(long = "image", value_name = "[ID=]FILE")]
    pub images: Vec<String>,
    /// The folder for what the workflow makes
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
    /// What the graph is written in. The editor's format, and workflows that are kept in it, need node schemas
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
    /// A value for an input. What reads as JSON is taken as such (30, true, {"w": 832}), anything else as text
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub param: Vec<String>,
    /// The values as a JSON object, or @ and a file that holds it; -p goes over it
    #[arg(long, value_name = "JSON|@FILE", env = "COMFY_RUNNER_PARAMS")]
    pub params: Option<String>,
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
    /// Print JSON: of a graph, what ComfyUI's POST /prompt would answer; of workflows, a list of findings
    #[arg(long)]
    pub json: bool,
    /// Node schemas to check against: what ComfyUI's /object_info returned
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE", conflicts_with = "comfyui")]
    pub object_info: Option<PathBuf>,
    /// A ComfyUI whose node schemas, models and nodes to check against
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
    /// Node schemas, for workflows in UI format: what ComfyUI's /object_info returned
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
}

/// `comfy-runner init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner init portrait saved.json --workflows ./workflows --comfyui http://127.0.0.1:8188\n  \
    comfy-runner init portrait ComfyUI_00001_.png --workflows ./workflows --object-info nodes.json")]
pub struct Init {
    /// The workflow's id: the name of the folder to make
    pub id: String,
    /// A graph in either format, or an image, video or sound that ComfyUI wrote one into (PNG, WebP, JPEG,
    /// MP4, WebM, FLAC, MP3, Opus)
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
    /// The folder of workflows. Files that are there already are kept as they are, and end the command
    #[arg(value_name = "DIR", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub dir: PathBuf,
}

/// `comfy-runner convert`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner convert saved.json --to api --comfyui http://127.0.0.1:8188 > graph.json\n  \
    comfy-runner convert graph.json --to workflow --object-info nodes.json -o drawn.json\n  \
    comfy-runner convert ComfyUI_00001_.png --to api")]
pub struct Convert {
    /// A graph in either format, or an image, video or sound that ComfyUI wrote one into (PNG, WebP, JPEG,
    /// MP4, WebM, FLAC, MP3, Opus)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The format to convert to; a graph that has it already is only written anew
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: GraphFormat,
    #[command(flatten)]
    pub schemas: NodeSchemas,
    /// The file to write, whole or not at all; one that is there is replaced [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON: the graph (or the file that it is in) and the findings
    #[arg(long)]
    pub json: bool,
}

/// ComfyUI's two formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// What ComfyUI runs: nodes with their values by name
    Api,
    /// What the editor saves and opens: nodes with their places
    Workflow,
}

/// Where node schemas come from.
#[derive(Debug, Args)]
pub struct NodeSchemas {
    /// A file with what ComfyUI's /object_info returned; it goes over --comfyui
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
    /// The ComfyUI to ask for its node schemas
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
    /// What is to be done.
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// Which server, and the key to it.
#[derive(Debug, Args)]
pub struct ServerAddress {
    /// Where `comfy-runner serve` listens
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

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Print the jobs, newest first
    List(JobsList),
    /// Print all that is kept of a job
    Show {
        /// The job's id
        prompt_id: String,
        /// Print the record as JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop jobs that wait or run
    Cancel {
        /// The jobs' ids
        #[arg(required = true)]
        prompt_ids: Vec<String>,
        /// Print the answers as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Run a job once more, with the same values and seeds, and print its id
    Retry {
        /// The job's id
        prompt_id: String,
        /// Follow the new job to its end
        #[arg(long)]
        watch: bool,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a job to its end, or tell of all jobs until stopped
    Watch {
        /// The job's id; without it, all jobs
        prompt_id: Option<String>,
        /// Print messages as JSON, one a line
        #[arg(long)]
        json: bool,
    },
}

/// `comfy-runner jobs list`
#[derive(Debug, Args)]
pub struct JobsList {
    /// Only with these statuses: pending, running, completed, error, cancelled, with commas between
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only of this workflow
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only queued at this time or later: 2026-03-24T14:30:52Z, or a day in UTC
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only queued before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Every job there is
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// `comfy-runner simulate`
#[cfg(feature = "simulator")]
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comfy-runner simulate --listen 127.0.0.1:8188")]
pub struct Simulate {
    /// Where to listen
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8188", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The folder for inputs and outputs; without it a temporary one, gone at the end
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The version of ComfyUI to speak as: 0.33.0 or 0.3.64
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_SPEAK_AS", value_name = "VERSION", default_value_t = Version::default())]
    pub speak_as: Version,
    /// Milliseconds that a step of a model stand-in takes
    #[arg(long, env = "COMFY_RUNNER_SIMULATE_STEP_MS", value_name = "MS", default_value_t = 60)]
    pub step_ms: u64,
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
        _ => return Err(format!("\"{unit}\" is no unit; use B, KB, MB, GB, KiB, MiB or GiB")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number * factor <= 2f64.powi(53) => {
            Ok((number * factor) as u64)
        }
        _ => Err(format!("\"{text}\" is no size; write bytes, or a number with a unit such as 100MiB")),
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
