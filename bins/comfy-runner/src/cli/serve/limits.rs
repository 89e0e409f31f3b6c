//! The limits on connections and callers.

use clap::Args;

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
