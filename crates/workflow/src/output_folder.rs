//! The folder in ComfyUI's output directory that takes one job's files.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A job's own folder, `<UTC yyyymmdd_hhmmss>_<6 hex>`, below ComfyUI's output directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputFolder(String);

/// The subfolder for files that are not results.
const INTERMEDIATE: &str = "intermediate";

impl OutputFolder {
    /// Creates the folder of a job that starts at this time. The low 24 bits of `random` distinguish jobs of the same
    /// second.
    pub fn new(at: OffsetDateTime, random: u32) -> Self {
        let at = at.checked_to_offset(UtcOffset::UTC).unwrap_or(at);
        let time = at.format(format_description!("[year][month][day]_[hour][minute][second]"));
        // Formatting into a string fails for no date whose parts exist, and these do.
        let time = time.unwrap_or_else(|_| "00000000_000000".to_owned());
        Self(format!("{time}_{:06x}", random & 0x00ff_ffff))
    }

    /// Creates the folder for graphs that are shown or compared but never run. It is always the same.
    pub fn fixed() -> Self {
        Self::new(OffsetDateTime::UNIX_EPOCH, 0)
    }

    /// Returns the folder with this name, or `None` if no job's folder is called so.
    pub fn parse(name: &str) -> Option<Self> {
        let digits =
            |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let mut parts = name.split('_');
        let valid = digits(parts.next()?, 8)
            && digits(parts.next()?, 6)
            && parts.next().is_some_and(|part| part.len() == 6 && part.bytes().all(hex))
            && parts.next().is_none();
        valid.then(|| Self(name.to_owned()))
    }

    /// Returns the folder's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the `filename_prefix` of nodes that save results.
    pub(crate) fn final_prefix(&self) -> String {
        format!("{}/final/final", self.0)
    }

    /// Returns the `filename_prefix` of nodes whose files are not results.
    pub(crate) fn intermediate_prefix(&self) -> String {
        format!("{0}/{INTERMEDIATE}/{INTERMEDIATE}", self.0)
    }
}

impl fmt::Display for OutputFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_folder_is_named_by_the_utc_second_and_six_hex_digits() {
        let folder = OutputFolder::new(datetime!(2026-03-24 15:30:52 +1), 0xffa1_b2c3);
        assert_eq!(folder.as_str(), "20260324_143052_a1b2c3");
        assert_eq!(OutputFolder::parse(folder.as_str()), Some(folder.clone()));
        assert_eq!(folder.final_prefix(), "20260324_143052_a1b2c3/final/final");
        assert_eq!(folder.intermediate_prefix(), "20260324_143052_a1b2c3/intermediate/intermediate");
    }

    #[test]
    fn no_other_name_is_that_of_a_jobs_folder() {
        for name in [
            "",
            "..",
            "20260324_143052",
            "20260324_143052_A1B2C3",
            "20260324_143052_a1b2c3/",
            "a/20260324_143052_a1b2c3",
            "20260324_143052_a1b2c3_",
            "2026032４_143052_a1b2c",
        ] {
            assert_eq!(OutputFolder::parse(name), None, "{name}");
        }
    }
}
