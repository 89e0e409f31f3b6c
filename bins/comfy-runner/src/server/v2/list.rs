//! Lists of jobs.

use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api_v2::{Code, JobList, JobStatus, JobUrls, Links, ListQuery, ListedJob};
use comfy_runner_store::{Filter, Summary};

use super::error::V2Error;
use super::jobs::answer;
use crate::server::State;
use crate::server::jobs::query::{cursor, read_cursor};

/// `GET /api/v2/jobs`
pub async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, V2Error> {
    let pairs: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).collect();
    let query = ListQuery::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))?;
    let wrong_cursor =
        |_| V2Error::new(Code::InvalidCursor, "`cursor` is the `next_cursor` of another page, as it came");
    let after = query.cursor.as_deref().map(read_cursor).transpose().map_err(wrong_cursor)?;
    let Some(statuses) = query.own_statuses() else {
        return answer(HttpResponse::Ok(), &JobList { jobs: Vec::new(), next_cursor: None });
    };
    let filter = Filter::default()
        .with_statuses(statuses)
        .with_labels(query.labels.clone())
        .with_page(query.limit, after);
    let page = state.jobs.summaries(filter).await?;
    let links = state.public_url.links(&request);
    let jobs = page.jobs.into_iter().map(|summary| listed(summary, &links));
    let jobs = jobs.filter(|job| query.wants(job.status)).collect();
    answer(HttpResponse::Ok(), &JobList { jobs, next_cursor: page.next.map(cursor) })
}

fn listed(summary: Summary, links: &Links) -> ListedJob {
    let Summary { prompt_id, queued_at, metadata, outcome, .. } = summary;
    let status = JobStatus::new(outcome.status, outcome.cancel_asked);
    let has_logs = outcome.error.is_some() || !outcome.warnings.is_empty();
    let urls = JobUrls::new(&prompt_id, links, has_logs);
    let times = (queued_at, outcome.started_at, outcome.finished_at);
    ListedJob::new(prompt_id, status, times, metadata, urls)
}
