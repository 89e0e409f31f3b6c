#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
mod any_order;
mod assets;
mod cancel;
mod change_log;
mod clients;
mod comfyui;
mod comfyui_state;
mod config;
mod details;
mod dispatch;
mod durations;
mod eligible;
mod file_kind;
mod files;
mod follow;
mod idempotency;
mod job;
mod jobs;
mod lookup;
mod lost_jobs;
mod models;
mod partner_key;
mod persist;
mod place;
mod pool;
mod queue;
mod reconcile;
mod records;
mod refusal;
mod remote_state;
mod retry;
mod settle;
mod submission;
mod submit;
mod supervise;
mod table;
mod upload;
mod uploads;
mod watch;

pub use assets::{AssetError, NewAsset};
pub use cancel::CancelError;
pub use clients::Clients;
pub use comfyui::{ComfyUi, DEFAULT_DEPTH, DEFAULT_MODELS, InvalidName};
pub use comfyui_state::ComfyUiState;
pub use config::{JobsConfig, LostJobs};
pub use eligible::{GraphValidator, Prediction};
pub use files::{BringError, CollectError, Collected, FilesConfig, StoredContent, check_place};
pub use follow::follow;
pub use idempotency::Idempotency;
pub use jobs::Jobs;
pub use lookup::{ResultError, StatusError};
pub use partner_key::{InvalidPartnerKey, PartnerKey};
pub use queue::QueueError;
pub use records::{JobPage, RecordError, timestamp};
pub use refusal::Refusal;
pub use retry::RetryError;
pub use submission::Submission;
pub use submit::SubmitError;
pub use supervise::{FollowError, Stalled};
pub use upload::{UploadError, upload, upload_image};
pub use uploads::{UploadKind, UploadOptions, UploadedError};
pub use watch::{AllJobsSubscription, Preview, PreviewError, Serialized, Subscription, Update, WatchOptions};
