#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
mod body;
mod client;
mod config;
mod defragmenter;
mod endpoint;
mod error;
mod exchange;
mod fetch;
pub mod handle;
mod identify;
mod object_info_cache;
mod probe;
mod public_address;
mod remote_job;
mod socket;
mod tls;
mod transport;
mod upload;
mod view;

pub use client::{Client, SystemStats};
pub use config::{Config, ConfigError, SocketConfig, Timeouts};
pub use endpoint::{Endpoint, EndpointError, encode};
pub use error::{ClientError, PromptError, Unreachable};
pub use fetch::{FetchError, Fetched, Fetcher};
pub use handle::ClientHandle;
pub use object_info_cache::{ObjectInfoCache, SharedObjectInfo};
pub use probe::Probe;
pub use public_address::is_public;
pub use remote_job::{JobState, Supported};
pub use socket::{Events, SocketEvent};
pub use upload::{StoredFile, Upload};
pub use view::{FileBody, FileQuery, FileReply};
