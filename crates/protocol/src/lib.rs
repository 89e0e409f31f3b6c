#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod graph;
pub mod history;
pub mod json;
pub mod message;
mod model_file;
pub mod object_info;
pub mod output;
pub mod preview;
pub mod prompt;
pub mod queue;
mod queue_reader;

pub use graph::{Graph, GraphError, Link, Node, NodeId};
pub use history::{History, HistoryEntry, HistoryStatus};
pub use message::{Message, MessageError, NodeProgress, NodeState};
pub use model_file::is_model_file;
pub use object_info::{
    Autogrow, DynamicInput, DynamicOption, DynamicSlot, ExpandedInput, Expansion, InputKind, InputSpec,
    MatchTemplate, NodeInputs, NodeSchema, ObjectInfo, Requirement, union_of_schemas,
};
pub use output::{Media, NodeOutput, OutputFile};
pub use preview::{BinaryFrame, FrameError, ImageFormat, Preview, PreviewMetadata};
pub use prompt::{
    InputError, NodeError, NodeErrors, PromptAccepted, PromptError, PromptRefused, PromptRequest,
};
pub use queue::{Queue, QueueItem};
