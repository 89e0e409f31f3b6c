//! Requests to `execute` that wait for the end of their job.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use comfy_runner_api::execute::LONGEST_WAIT;
use comfy_runner_api::{
    ExecuteQuery, FinishedJob, FinishedJobs, JobFiles, JobStatus, Submitted, SubmittedJobs,
};
use comfy_runner_client::encode;
use comfy_runner_jobs::WatchOptions;
use comfy_runner_protocol::Media;

use super::State;
use super::download::stream_result;
use super::error::ApiError;
use super::jobs::files_and_texts;
use super::stop::stopped;

/// How long to wait, and what to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    time: Duration,
    /// The result file is the answer; one of this kind if there is one.
    result: Option<Media>,
    /// The time comes from `Prefer`, and the answer says that it was applied.
    preferred: bool,
}

impl Wait {
    /// Returns whether the answer is the result file.
    pub fn is_for_result(self) -> bool {
        self.result.is_some()
    }

    /// Reads the query string and the header `Prefer`. The query string takes precedence.
    pub fn from_request(request: &HttpRequest, query: &ExecuteQuery) -> Result<Option<Self>, ApiError> {
        let result = match query.result.as_deref() {
            None | Some("0" | "false") => None,
            Some("1" | "true") => Some(query.output_type.unwrap_or(Media::Video)),
            Some(other) => return Err(ApiError::BadRequest(format!("`result` is 1 or 0, not \"{other}\""))),
        };
        let (seconds, preferred) = match &query.wait {
            Some(wait) => (Some(parse_wait(wait)?), false),
            None => (preferred_wait(request.headers()), true),
        };
        match seconds {
            Some(seconds) => Ok(Some(Self { time: Duration::from_secs(seconds), result, preferred })),
            None if result.is_some() => {
                Err(ApiError::BadRequest("`result` needs `wait`: write ?wait=60&result=1".to_owned()))
            }
            None => Ok(None),
        }
    }
}

fn parse_wait(wait: &str) -> Result<u64, ApiError> {
    wait.parse().ok().filter(|seconds| (1..=LONGEST_WAIT).contains(seconds)).ok_or_else(|| {
        ApiError::BadRequest(format!(
            "`wait` is a number of seconds from 1 to {LONGEST_WAIT}, not \"{wait}\""
        ))
    })
}

/// The `wait` of `Prefer` (RFC 7240). A preference that cannot be honoured is ignored.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        let seconds: u64 = seconds.trim().parse().ok().filter(|seconds| is_wait && *seconds > 0)?;
        Some(seconds.min(LONGEST_WAIT))
    })
}

/// Answers a request whose job was submitted: at once, or when the job is over.
pub async fn answer(
    state: &State,
    wait: Option<Wait>,
    submitted: Submitted,
) -> Result<HttpResponse, ApiError> {
    let Some(wait) = wait else { return Ok(HttpResponse::Ok().json(submitted)) };
    let prompt_id = submitted.prompt_id.clone();
    let mut subscription = state.jobs.watch(&state.clients, &prompt_id, WatchOptions::new()).await?;
    tokio::select! {
        () = subscription.until_over() => {}
        () = tokio::time::sleep(wait.time) => {}
        () = stopped(state.shutdown.clone()) => {}
    }
    let status = state.jobs.status(&state.clients, &prompt_id).await?;
    let mut response = match (wait.result, &status) {
        (Some(media), JobStatus::Completed(_)) => result(state, &prompt_id, media).await?,
        (Some(_), JobStatus::Error(failed)) => {
            let reason = failed.error.as_deref().unwrap_or("the reason is unknown");
            return Err(ApiError::ComfyUi(format!("the job {prompt_id} failed: {reason}")));
        }
        (Some(_), JobStatus::Cancelled(_)) => {
            return Err(ApiError::Conflict(format!("the job {prompt_id} was cancelled")));
        }
        _ => finished(state, submitted, status).await?,
    };
    if wait.preferred {
        let applied = format!("wait={}", wait.time.as_secs());
        response.headers_mut().insert("preference-applied".parse().expect("a name"), header(&applied));
    }
    Ok(response)
}

/// Answers a request whose jobs were submitted: at once, or when all of them are over.
pub async fn answer_all(
    state: &State,
    wait: Option<Wait>,
    jobs: Vec<Submitted>,
) -> Result<HttpResponse, ApiError> {
    let first = jobs.first().cloned().unwrap_or_default();
    let Some(wait) = wait else { return Ok(HttpResponse::Ok().json(SubmittedJobs { first, jobs })) };
    let all_over = async {
        for job in &jobs {
            let options = WatchOptions::new();
            state.jobs.watch(&state.clients, &job.prompt_id, options).await?.until_over().await;
        }
        Ok::<(), ApiError>(())
    };
    tokio::select! {
        over = all_over => over?,
        () = tokio::time::sleep(wait.time) => {}
        () = stopped(state.shutdown.clone()) => {}
    }
    let mut finished = Vec::with_capacity(jobs.len());
    for job in jobs {
        let status = state.jobs.status(&state.clients, &job.prompt_id).await?;
        finished.push(finished_job(state, job, status).await?);
    }
    let is_over = finished.iter().all(|job| job.status.status().is_over());
    let mut response = if is_over { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    if wait.preferred {
        response.insert_header(("preference-applied", format!("wait={}", wait.time.as_secs())));
    }
    let answer = FinishedJobs { first, jobs: finished };
    Ok(response.insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// Returns a job with this status, and with its files and texts if it is over.
async fn finished_job(
    state: &State,
    submitted: Submitted,
    status: JobStatus,
) -> Result<FinishedJob, ApiError> {
    if !status.status().is_over() {
        return Ok(FinishedJob { submitted, status, files: None, texts: Vec::new() });
    }
    let JobFiles { files, texts } = files_and_texts(state, &submitted.prompt_id).await?;
    Ok(FinishedJob { submitted, status, files: Some(files), texts })
}

async fn finished(state: &State, submitted: Submitted, status: JobStatus) -> Result<HttpResponse, ApiError> {
    let mut response = if status.status().is_over() { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    if !status.status().is_over() {
        response.insert_header((LOCATION, format!("/api/run/status/{}", encode(&submitted.prompt_id))));
    }
    let job = finished_job(state, submitted, status).await?;
    Ok(response.insert_header((CACHE_CONTROL, "no-store")).json(job))
}

async fn result(state: &State, prompt_id: &str, media: Media) -> Result<HttpResponse, ApiError> {
    let mut response = stream_result(state, prompt_id, media, &Method::GET, &HeaderMap::new()).await?;
    let path = format!("/api/run/result/{}?output_type={}", encode(prompt_id), media.as_str());
    response.headers_mut().insert(CONTENT_LOCATION, header(&path));
    Ok(response)
}

fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn wait(query: &str, prefer: Option<&str>) -> Result<Option<Wait>, String> {
        let query = actix_web::web::Query::<ExecuteQuery>::from_query(query).unwrap().into_inner();
        let mut request = TestRequest::post();
        if let Some(prefer) = prefer {
            request = request.insert_header(("Prefer", prefer));
        }
        Wait::from_request(&request.to_http_request(), &query).map_err(|error| error.to_string())
    }

    fn seconds(time: u64, result: Option<Media>, preferred: bool) -> Result<Option<Wait>, String> {
        Ok(Some(Wait { time: Duration::from_secs(time), result, preferred }))
    }

    #[test]
    fn the_query_or_a_preference_says_how_long_to_wait() {
        assert_eq!(wait("", None), Ok(None));
        assert_eq!(wait("wait=60", Some("wait=5")), seconds(60, None, false));
        assert_eq!(wait("", Some("respond-async, Wait = 5; x")), seconds(5, None, true));
        assert_eq!(wait("", Some("wait=99999")), seconds(3600, None, true));
        assert_eq!(wait("", Some("wait=soon")), Ok(None));
        assert_eq!(wait("wait=9&result=1", None), seconds(9, Some(Media::Video), false));
        assert_eq!(wait("wait=9&result=true&output_type=image", None), seconds(9, Some(Media::Image), false));
    }

    #[test]
    fn a_wait_that_cannot_be_is_refused() {
        for (query, part) in [
            ("wait=0", "from 1 to 3600"),
            ("wait=3601", "from 1 to 3600"),
            ("wait=", "from 1 to 3600"),
            ("wait=1&result=yes", "`result` is 1 or 0"),
            ("result=1", "needs `wait`"),
        ] {
            let error = wait(query, None).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
