//! The priority of a request's jobs.

use actix_web::HttpRequest;
use comfy_runner_scheduler::Priority;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::error::ApiError;

/// The header with the priority.
const HEADER: &str = "X-Priority";
/// The priority's name among the params.
const PARAM: &str = "_priority";

/// Takes the priority out of the params. The header takes precedence. Without either it is 0, or what the caller may use if that
/// is less.
///
/// # Errors
/// It is no integer from -10 to 10, or higher than the caller may use.
pub fn take(
    request: &HttpRequest,
    caller: &Caller,
    params: &mut Map<String, Value>,
) -> Result<Priority, ApiError> {
    let param = params.shift_remove(PARAM);
    let header = request.headers().get(HEADER).map(|value| value.to_str().unwrap_or_default());
    let (place, text) = match (header, param) {
        (Some(text), _) => (HEADER, text.to_owned()),
        (None, None | Some(Value::Null)) => return Ok(Priority::default().min(caller.max_priority)),
        (None, Some(Value::String(text))) => (PARAM, text),
        (None, Some(other)) => (PARAM, other.to_string()),
    };
    let priority: Priority =
        text.parse().map_err(|error| ApiError::BadRequest(format!("`{place}`: {error}")))?;
    match priority > caller.max_priority {
        true => Err(ApiError::BadRequest(format!(
            "`{place}`: {} is higher than this API key may use; its limit is {}",
            priority.get(),
            caller.max_priority.get()
        ))),
        false => Ok(priority),
    }
}
