#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod build;
pub mod cancel;
pub mod comfyui;
pub mod details;
pub mod error;
pub mod events;
pub mod execute;
pub mod files;
pub mod health;
pub mod inspect;
pub mod jobs;
pub mod manifest;
pub mod models;
pub mod queue;
pub mod session;
pub mod status;
pub mod timestamp;
pub mod token;
pub mod uploads;
pub mod workflows;

pub use build::{BuildQuery, GraphFormat};
pub use cancel::Cancellation;
pub use comfyui::{ComfyUiInfo, ComfyUiStatus, ComfyUis, DrainedComfyUi};
pub use details::{JobDetails, NodeRef, ProgressDetails, ReportedNode};
pub use error::{ErrorBody, UnknownWord};
pub use events::{
    Event, EventData, EventKind, EventOutcome, FlatStatus, FollowQuery, JobMessage, JobUpdate, OutputUpdate,
    PreviewUpdate, Severity, Update,
};
pub use execute::{ExecuteQuery, ExecuteRequest, FinishedJob, FinishedJobs, Submitted, SubmittedJobs};
pub use files::{JobFile, JobFiles, JobText, ResultQuery, ViewQuery};
pub use health::{Health, HealthStatus, Readiness, ReadinessStatus};
pub use inspect::{Finding, FindingSeverity, InspectQuery, Inspection};
pub use jobs::{DeleteJobQuery, DeletedJob, JobList, JobRecord, JobSummary, JobsQuery};
pub use manifest::{
    Input, InputEntry, InputGroup, InputOption, InputType, LabelledOption, Manifest, ManifestQuery,
    NodeField, NodeNumber, Output, PerScene, Preset, Presets, RequiredFile, Version,
};
pub use models::{ModelList, ModelLists, ModelPlaces};
pub use queue::{Queue, QueuedJob};
pub use session::{Session, SignIn};
pub use status::{
    CompletedStatus, FailedStatus, JobStatus, NodeFiles, PendingStatus, ReportedFile, RunningStatus, Status,
};
pub use timestamp::Timestamp;
pub use token::{IssuedToken, TokenRequest};
pub use uploads::{
    CollectFilesQuery, CollectedFiles, DeletedFile, FileFate, Uploaded, UploadedFile, UploadedFiles,
    UploadedFilesQuery,
};
pub use workflows::{
    BrokenWorkflow, BrokenWorkflows, EditedManifest, ManifestEdit, Missing, NewWorkflow, RESERVED_IDS,
    UnsavedRun, WorkflowCheck, WorkflowKind, WorkflowList, WorkflowReadiness, WorkflowSummary,
    WorkflowsQuery,
};
