//! Lists of jobs.

use comfy_runner_api::{Status, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::job::{JobStatus, JobUrls, timestamp};
use crate::labels::label_filters;

/// The number of jobs on a page if the query does not say, and the largest.
const PAGE: (u32, u32) = (50, 100);

/// The query string of `GET /jobs`. Unknown parameters are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListQuery {
    /// The number of jobs on a page.
    pub limit: u32,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only jobs with one of these statuses; all if it is empty.
    pub statuses: Vec<JobStatus>,
    /// Only jobs with each of these labels.
    pub labels: Vec<(String, String)>,
}

impl ListQuery {
    /// Reads the decoded parameters of a query string.
    ///
    /// # Errors
    /// A parameter is wrong.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let limit = value("limit").map_or(Ok(PAGE.0), parse_limit)?;
        let cursor = value("cursor").filter(|cursor| !cursor.is_empty()).map(str::to_owned);
        let statuses = value("status").map_or(Ok(Vec::new()), parse_statuses)?;
        Ok(Self { limit, cursor, statuses, labels: label_filters(pairs.iter().copied())? })
    }

    /// Returns the statuses of our own API that jobs with [`ListQuery::statuses`] may have. `None` if no job has them.
    pub fn own_statuses(&self) -> Option<Vec<Status>> {
        let mut own = Vec::new();
        for status in &self.statuses {
            own.extend_from_slice(match status {
                JobStatus::Queued => &[Status::Pending],
                JobStatus::Running => &[Status::Running],
                JobStatus::Canceling => &[Status::Pending, Status::Running],
                JobStatus::Succeeded => &[Status::Completed],
                JobStatus::Canceled => &[Status::Cancelled],
                JobStatus::Failed => &[Status::Error],
                JobStatus::Expired => &[],
            });
        }
        own.dedup();
        (self.statuses.is_empty() || !own.is_empty()).then_some(own)
    }

    /// Returns whether a job with this status is asked for.
    pub fn wants(&self, status: JobStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}

/// The response of `GET /jobs`: a page of jobs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobList"))]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<ListedJob>,
    /// The `cursor` of the next page; None on the last.
    pub next_cursor: Option<String>,
}

/// A job in a list, without its progress and outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2ListedJob"))]
pub struct ListedJob {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: JobStatus,
    /// When it was accepted. The clients read this field.
    pub create_time: Timestamp,
    /// When its status last changed.
    pub update_time: Timestamp,
    /// The same as `create_time`, as [`Job`](crate::Job) has it.
    pub created_at: Timestamp,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What the caller attached to it.
    pub metadata: Option<Value>,
    /// Where to go on.
    pub urls: JobUrls,
}

impl ListedJob {
    /// Creates the entry of a job. `times` are when it was accepted, when it began to run and when it ended, in milliseconds
    /// since the Unix epoch.
    pub fn new(
        id: String,
        status: JobStatus,
        times: (i64, Option<i64>, Option<i64>),
        metadata: Option<Value>,
        urls: JobUrls,
    ) -> Self {
        let (queued_at, started_at, finished_at) = times;
        let created_at = timestamp(queued_at);
        Self {
            id,
            status,
            create_time: created_at.clone(),
            update_time: timestamp(finished_at.or(started_at).unwrap_or(queued_at)),
            created_at,
            started_at: started_at.map(timestamp),
            completed_at: finished_at.map(timestamp),
            metadata,
            urls,
        }
    }
}

fn parse_limit(limit: &str) -> Result<u32, Error> {
    let wrong = || Error::bad_request(format!("`limit` is a number from 1 to {}", PAGE.1));
    limit.parse().ok().filter(|limit| (1..=PAGE.1).contains(limit)).ok_or_else(wrong)
}

fn parse_statuses(words: &str) -> Result<Vec<JobStatus>, Error> {
    let known = || JobStatus::ALL.map(JobStatus::as_str).join(", ");
    let parse = |word: &str| {
        let status = JobStatus::ALL.into_iter().find(|status| status.as_str() == word.trim());
        status.ok_or_else(|| Error::bad_request(format!("`status` is one or several of {}", known())))
    };
    words.split(',').filter(|word| !word.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query<'a>(pairs: &'a [(&'a str, &'a str)]) -> Result<ListQuery, Error> {
        ListQuery::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn a_query_has_a_limit_a_cursor_statuses_and_labels() {
        let all = query(&[]).unwrap();
        assert_eq!((all.limit, all.cursor.clone(), all.own_statuses()), (50, None, Some(vec![])));
        assert!(all.wants(JobStatus::Failed));
        let some =
            query(&[("limit", "2"), ("cursor", "7"), ("status", "canceling,failed"), ("metadata[a]", "b")]);
        let some = some.unwrap();
        assert_eq!((some.limit, some.cursor.as_deref()), (2, Some("7")));
        assert_eq!(some.own_statuses().unwrap(), [Status::Pending, Status::Running, Status::Error]);
        assert!(some.wants(JobStatus::Canceling) && !some.wants(JobStatus::Running));
        assert_eq!(some.labels, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(query(&[("status", "expired")]).unwrap().own_statuses(), None);
    }

    #[test]
    fn a_wrong_limit_or_status_is_refused() {
        for wrong in [("limit", "0"), ("limit", "101"), ("limit", "x"), ("status", "done")] {
            let error = query(&[wrong]).unwrap_err();
            assert_eq!((error.code.as_str(), error.status), ("invalid_request", 400));
        }
    }
}
