//! The API keys of the configuration file.

use std::fmt;

use comfy_runner_scheduler::Priority;

/// An API key in the configuration file: `[[api-key]]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeyTable {
    /// The key.
    pub key: String,
    /// The highest priority that its holder may give to jobs.
    pub max_priority: Option<Priority>,
}

impl fmt::Debug for ApiKeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyTable").field("max_priority", &self.max_priority).finish_non_exhaustive()
    }
}
