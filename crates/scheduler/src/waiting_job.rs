//! A job that waits for a ComfyUI.

use std::str::FromStr;
use std::sync::Arc;

/// A job that waits for a ComfyUI.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingJob {
    /// Its prompt id.
    pub id: String,
    /// The caller who takes turns with others: an API key's name, or an empty string for callers without one.
    pub caller: Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub queued_at: i64,
    /// The number of later jobs of the same caller and priority that went first.
    pub overtaken: u32,
}

impl WaitingJob {
    /// Creates a waiting job.
    pub fn new(
        id: impl Into<String>,
        caller: impl Into<Arc<str>>,
        priority: Priority,
        queued_at: i64,
    ) -> Self {
        Self { id: id.into(), caller: caller.into(), priority, queued_at, overtaken: 0 }
    }
}

/// The priority of a job, from -10 to 10. A higher one goes first; 0 is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i8);

/// A priority that is no integer from -10 to 10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePriorityError;

impl std::fmt::Display for ParsePriorityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a priority is an integer from -10 to 10; a higher one goes first")
    }
}

impl std::error::Error for ParsePriorityError {}

impl Priority {
    /// The highest priority.
    pub const MAX: Self = Self(10);
    /// The lowest priority.
    pub const MIN: Self = Self(-10);

    /// Returns the priority as a number.
    pub fn get(self) -> i8 {
        self.0
    }
}

impl TryFrom<i64> for Priority {
    type Error = ParsePriorityError;

    fn try_from(number: i64) -> Result<Self, ParsePriorityError> {
        match i8::try_from(number) {
            Ok(priority @ -10..=10) => Ok(Self(priority)),
            _ => Err(ParsePriorityError),
        }
    }
}

impl FromStr for Priority {
    type Err = ParsePriorityError;

    fn from_str(text: &str) -> Result<Self, ParsePriorityError> {
        text.trim().parse::<i64>().map_err(|_| ParsePriorityError)?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_an_integer_from_minus_ten_to_ten() {
        assert_eq!("10".parse(), Ok(Priority::MAX));
        assert_eq!(" -10 ".parse(), Ok(Priority::MIN));
        assert_eq!("0".parse(), Ok(Priority::default()));
        for wrong in ["11", "-11", "1.5", "", "high", "99999999999999999999"] {
            assert_eq!(wrong.parse::<Priority>(), Err(ParsePriorityError), "{wrong}");
        }
    }
}
