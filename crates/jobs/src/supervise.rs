//! Supervision of tasks that run for ever: one that panics or ends is restarted, and reported meanwhile.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep};

/// The pause before a task is restarted: the first one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// A task that has run for this long is healthy again.
const HEALTHY_AFTER: Duration = Duration::from_secs(5);
/// The number of failures without a healthy run in between after which a task is given up.
const MAX_FAILURES: u32 = 6;

/// Why jobs are no longer followed. The process should end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task that {task} failed {MAX_FAILURES} times in a row, at last because {reason}")]
#[non_exhaustive]
pub struct FollowError {
    /// What the task does.
    pub task: &'static str,
    /// Why it failed the last time.
    pub reason: String,
}

/// A task that follows jobs is not running at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task that {task} has failed and is being started again")]
#[non_exhaustive]
pub struct Stalled {
    /// What the task does.
    pub task: &'static str,
}

/// The tasks that failed and have not been healthy since.
#[derive(Debug, Default)]
pub(crate) struct Supervision {
    failed: Mutex<BTreeSet<&'static str>>,
}

impl Supervision {
    /// Runs a task that never ends, which is named by what it does. If it ends or panics, it is restarted after a pause. Returns
    /// when that happens too often.
    pub async fn supervise<F: Future<Output = ()>>(
        &self,
        task: &'static str,
        mut start: impl FnMut() -> F,
    ) -> FollowError {
        let mut failures = 0;
        let mut pause = PAUSES.0;
        loop {
            let started = Instant::now();
            let reason = {
                let running = AssertUnwindSafe(async { start().await }).catch_unwind();
                tokio::pin!(running);
                let ended = tokio::select! {
                    ended = &mut running => ended,
                    () = sleep(HEALTHY_AFTER) => {
                        self.failed().remove(task);
                        running.await
                    }
                };
                match ended {
                    Ok(()) => "it ended".to_owned(),
                    Err(panic) => format!("it panicked: {}", message(&*panic)),
                }
            };
            if started.elapsed() >= HEALTHY_AFTER {
                (failures, pause) = (0, PAUSES.0);
            }
            failures += 1;
            self.failed().insert(task);
            tracing::error!(reason, failures, "the task that {task} has failed");
            if failures == MAX_FAILURES {
                return FollowError { task, reason };
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Checks that no task has failed within the last seconds.
    pub fn check(&self) -> Result<(), Stalled> {
        match self.failed().first() {
            Some(task) => Err(Stalled { task }),
            None => Ok(()),
        }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("for no given reason")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[actix_rt::test]
    async fn a_task_that_panics_or_ends_is_restarted_and_given_up_in_the_end() {
        tokio::time::pause();
        let supervision = Supervision::default();
        let starts = Cell::new(0);
        let error = supervision
            .supervise("counts", || {
                starts.set(starts.get() + 1);
                async {
                    assert!(starts.get() % 2 == 0, "start {}", starts.get());
                    sleep(Duration::from_secs(1)).await;
                }
            })
            .await;
        assert_eq!(starts.get(), 6);
        assert_eq!(error, FollowError { task: "counts", reason: "it ended".to_owned() });
        assert_eq!(supervision.failed().first(), Some(&"counts"));
    }

    #[actix_rt::test]
    async fn a_failure_is_reported_until_the_task_is_healthy_and_counts_no_longer_then() {
        tokio::time::pause();
        let supervision = Supervision::default();
        let starts = Cell::new(0);
        let run = supervision.supervise("counts", || {
            starts.set(starts.get() + 1);
            async { sleep(HEALTHY_AFTER * 2).await }
        });
        let look = async {
            sleep(HEALTHY_AFTER).await;
            assert_eq!(supervision.failed().first(), None);
            for round in 2..20 {
                while starts.get() < round {
                    sleep(Duration::from_millis(100)).await;
                }
                assert_eq!(supervision.failed().first(), Some(&"counts"));
                sleep(HEALTHY_AFTER + Duration::from_secs(1)).await;
                assert_eq!(supervision.failed().first(), None);
            }
        };
        tokio::select! {
            error = run => panic!("given up: {error}"),
            () = look => {}
        }
    }

    #[actix_rt::test]
    async fn a_panic_on_the_way_to_a_future_is_caught_as_well() {
        tokio::time::pause();
        let start = || -> std::future::Ready<()> { panic!("at once") };
        let error = Supervision::default().supervise("never starts", start).await;
        assert_eq!(error.reason, "it panicked: at once");
    }
}
