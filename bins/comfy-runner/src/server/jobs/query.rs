//! The query string of a list of jobs.

use comfy_runner_api::{JobsQuery, Status};
use comfy_runner_store::Filter;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::server::error::ApiError;

/// The default and the maximum number of jobs on a page.
const LIMITS: (u32, u32) = (50, 200);

/// Parses the query string of `GET /api/jobs`.
pub fn filter(query: &JobsQuery) -> Result<Filter, ApiError> {
    let time = |name, text: &Option<String>| text.as_deref().map(|text| read_time(name, text)).transpose();
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    Ok(Filter::default()
        .with_statuses(read_statuses(query.status.as_deref())?)
        .with_workflow_id(query.workflow_id.clone())
        .with_prompt_id_prefix(query.prompt_id_prefix.clone())
        .with_times(time("since", &query.since)?, time("until", &query.until)?)
        .with_page(read_limit(query.limit.as_deref())?, after))
}

fn read_statuses(words: Option<&str>) -> Result<Vec<Status>, ApiError> {
    let words = words.into_iter().flat_map(|words| words.split(',')).map(str::trim);
    let status = |word: &str| {
        serde_json::from_value::<Status>(word.into()).map_err(|_| {
            ApiError::BadRequest(format!(
                "`status` is one or several of pending, running, completed, error and cancelled, with commas \
                 between, not \"{word}\""
            ))
        })
    };
    words.filter(|word| !word.is_empty()).map(status).collect()
}

/// Parses the number of entries on a page.
pub fn read_limit(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(LIMITS.0) };
    let limit = text.parse().ok().filter(|limit| (1..=LIMITS.1).contains(limit));
    limit.ok_or_else(|| {
        ApiError::BadRequest(format!("`limit` is a number from 1 to {}, not \"{text}\"", LIMITS.1))
    })
}

/// Parses a time such as `2026-03-24T14:30:52Z`, or a day, as milliseconds since 1970.
fn read_time(name: &str, text: &str) -> Result<i64, ApiError> {
    // A `+` in a query string is a space.
    let text = text.replace(' ', "+");
    let day = || {
        Date::parse(&text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc())
    };
    let time = OffsetDateTime::parse(&text, &Rfc3339).or_else(|_| day()).map_err(|_| {
        ApiError::BadRequest(format!(
            "`{name}` is a time such as 2026-03-24T14:30:52Z, or a day, not \"{text}\""
        ))
    })?;
    Ok((time.unix_timestamp_nanos() / 1_000_000) as i64)
}

/// Returns the cursor of the next page. Its format is not part of the API.
pub fn cursor(seq: i64) -> String {
    format!("c{seq:x}")
}

/// Parses the cursor of a page.
pub fn read_cursor(text: &str) -> Result<i64, ApiError> {
    let seq = text.strip_prefix('c').and_then(|hex| i64::from_str_radix(hex, 16).ok());
    seq.ok_or_else(|| {
        ApiError::BadRequest("`cursor` is the `next_cursor` of another page, as it came".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_zone_and_days_as_their_begin() {
        let read = |text| read_time("since", text).ok();
        assert_eq!(read("2026-03-24T14:30:52.123Z"), Some(1_774_362_652_123));
        assert_eq!(read("2026-03-24T15:30:52.123 01:00"), Some(1_774_362_652_123));
        assert_eq!(read("2026-03-24"), Some(1_774_310_400_000));
        for bad in ["", "yesterday", "2026-13-01", "1774362652"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cursor_leads_back_to_where_the_page_ended_and_nothing_else_is_one() {
        assert_eq!(read_cursor(&cursor(1234)).ok(), Some(1234));
        for bad in ["", "c", "1234", "cxyz", "c-"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
