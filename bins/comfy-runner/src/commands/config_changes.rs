//! Changes of the configuration file while `serve` runs.

use std::path::PathBuf;
use std::time::Duration;

use comfy_runner_jobs::Jobs;

use super::serve::comfyuis;
use crate::cli::Command;
use crate::config_file::parse_args;
use crate::terminal::error_chain;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Uses the ComfyUIs of the configuration file whenever it changes. A file with mistakes changes nothing.
pub async fn follow_config(file: Option<PathBuf>, jobs: Jobs) {
    let Some(file) = file else { return std::future::pending().await };
    let read = || std::fs::read(&file).ok();
    let mut contents = Contents::new(read());
    loop {
        actix_rt::time::sleep(LOOK).await;
        if !contents.is_change(read()) {
            continue;
        }
        let parsed = parse_args(std::env::args_os());
        if !contents.are_still(read()) {
            continue;
        }
        let changed = match parsed.map(|cli| cli.command) {
            Ok(Command::Serve(options)) => comfyuis(&options).and_then(|new| Ok(jobs.set_comfyuis(new)?)),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        let file = file.display();
        match changed {
            Ok(()) => tracing::info!(
                %file,
                "the configuration file changed: its ComfyUIs are in use; other options need a restart"
            ),
            Err(error) => tracing::error!(
                %file,
                error = error_chain(&error),
                "the configuration file changed and has mistakes: the ComfyUIs stay as they were"
            ),
        }
    }
}

/// What looks at the file have found; `None` is a file that cannot be read.
struct Contents {
    used: Option<Vec<u8>>,
    found: Option<Vec<u8>>,
}

impl Contents {
    fn new(used: Option<Vec<u8>>) -> Self {
        Self { found: used.clone(), used }
    }

    /// Returns whether the file has changed and can be used. One that differs from the look before may be half written: an
    /// empty one has no mistakes, and would take the jobs of every ComfyUI away.
    fn is_change(&mut self, found: Option<Vec<u8>>) -> bool {
        let is_written = found.is_some() && found == self.found;
        self.found = found;
        let is_change = is_written && self.found != self.used;
        if is_change {
            self.used.clone_from(&self.found);
        }
        is_change
    }

    /// Returns whether the file is still as it was found. If not, what was read meanwhile is not used.
    fn are_still(&mut self, found: Option<Vec<u8>>) -> bool {
        let are_still = found == self.found;
        if !are_still {
            self.used = None;
        }
        are_still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Vec<u8>> {
        Some(text.into())
    }

    #[test]
    fn a_change_is_used_once_when_two_looks_have_found_the_same() {
        let mut contents = Contents::new(text("old"));
        let looks = [text("old"), text("new"), text("new"), text("new"), text("old"), text("old")];
        assert_eq!(looks.map(|found| contents.is_change(found)), [false, false, true, false, false, true]);
    }

    #[test]
    fn a_file_that_is_half_written_or_gone_for_a_moment_is_not_used() {
        let mut contents = Contents::new(text("old"));
        let looks = [text(""), text("ne"), text("new"), text("new"), None, None, text("new"), text("new")];
        let used = looks.map(|found| contents.is_change(found));
        assert_eq!(used, [false, false, false, true, false, false, false, false]);
    }

    #[test]
    fn a_file_that_changes_while_it_is_parsed_is_read_again() {
        let mut contents = Contents::new(text("old"));
        assert!(!contents.is_change(text("new")) && contents.is_change(text("new")));
        assert!(!contents.are_still(text("")));
        assert!(contents.is_change(text("new")) && contents.are_still(text("new")));
        assert!(!contents.is_change(text("new")));
    }
}
