//! A job's progress for people: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal as _;

use comfy_runner_api::JobStatus;
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::{errln, one_line};

/// The progress of a job.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Report {
    /// 0 to 100.
    pub percent: u64,
    /// The current node, or the status.
    pub doing: String,
    /// The steps of the current node so far and in total, if it counts steps.
    pub steps: Option<(u64, u64)>,
    /// The estimated seconds to the end, if known.
    pub eta_seconds: Option<u64>,
}

impl From<&JobStatus> for Report {
    fn from(status: &JobStatus) -> Self {
        match status {
            JobStatus::Running(running) => Self {
                percent: running.percent.into(),
                doing: running.node_title.as_deref().unwrap_or("starting").to_owned(),
                steps: (running.total_steps > 1).then_some((running.step, running.total_steps)),
                eta_seconds: running.eta_seconds,
            },
            other => Self {
                percent: if other.status().is_over() { 100 } else { 0 },
                doing: other.status().to_string(),
                ..Self::default()
            },
        }
    }
}

/// Shows reports on stderr.
pub struct Display {
    bar: Option<ProgressBar>,
    shown: Option<Report>,
}

impl Display {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:32.cyan/blue} {pos:>3}%  {msg}");
            ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, shown: None }
    }

    pub fn show(&mut self, report: Report) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(report.percent);
                bar.set_message(describe(&report));
            }
            None if self.is_worth_a_line(&report) => {
                errln!("{:>3}%  {}", report.percent, describe(&report));
                self.shown = Some(report);
            }
            None => {}
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Returns whether the node has changed or the percentage has grown by ten.
    fn is_worth_a_line(&self, report: &Report) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| shown.doing != report.doing || report.percent >= shown.percent + 10)
    }
}

fn describe(report: &Report) -> String {
    let mut text = one_line(&report.doing);
    if let Some((step, total)) = report.steps {
        text += &format!(" {step}/{total}");
    }
    if let Some(seconds) = report.eta_seconds {
        text += &format!(", {} left", duration(seconds));
    }
    text
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}
