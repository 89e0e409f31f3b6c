//! Where a job stands.

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits in the queue.
    Pending,
    /// It runs.
    Running,
    /// It ended with every output made.
    Completed,
    /// It failed.
    Error,
    /// Somebody took it out of the queue or interrupted it.
    Cancelled,
}

impl Status {
    /// Whether the job is over, well or not.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Error | Self::Cancelled)
    }

    /// The word that `/status` uses: `pending`, `running`, `completed`, `error` or `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}
