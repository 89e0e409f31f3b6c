//! Tokens: short-lived permissions to read, for requests whose headers a browser does not let a page set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::token::{DEFAULT_LIFETIME, LONGEST_LIFETIME};
use comfy_runner_api::{IssuedToken, Timestamp, TokenRequest};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::State;
use super::error::ApiError;
use super::request_params::{Encoding, read_body};

/// The version of the format, and the first part of every token.
const VERSION: &str = "cr1";

/// What a token permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The streams, previews, results and files of every job.
    Read,
    /// The streams, preview, result and files of one job.
    Job(String),
}

/// Why a token does not permit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token of this process.
    #[error(
        "the token is not valid here; get one with POST /api/token (a restart of the server ends all tokens)"
    )]
    Invalid,
    /// Its time is over.
    #[error("the token has expired; get another with POST /api/token")]
    Expired,
    /// The request is not one of those that a token permits.
    #[error(
        "a token permits the streams, preview and result of a job and /api/comfyui/view; send X-API-Key for the rest"
    )]
    NotForThis,
    /// The request is about another job.
    #[error("the token is for another job")]
    OtherJob,
}

/// Issues tokens and verifies them. The secret is random and lasts as long as the process.
pub struct Tokens {
    secret: [u8; 32],
}

impl Tokens {
    /// Generates a secret.
    pub fn new() -> Self {
        Self { secret: rand::random() }
    }

    /// Writes a token: `cr1.EXPIRY.read.SIGNATURE` or `cr1.EXPIRY.job-PROMPT_ID.SIGNATURE`, where the expiry is in seconds
    /// since 1970 and the signature is HMAC-SHA256 in hex.
    fn issue(&self, scope: &Scope, expires_at: u64) -> String {
        let scope = match scope {
            Scope::Read => "read".to_owned(),
            Scope::Job(prompt_id) => format!("job-{prompt_id}"),
        };
        let signed = format!("{VERSION}.{expires_at}.{scope}");
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{signature:x}")
    }

    /// Reads what a token permits at a time.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Scope, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let signature = parse_hex(signature).ok_or(TokenError::Invalid)?;
        // In constant time.
        self.mac(signed).verify_slice(&signature).map_err(|_| TokenError::Invalid)?;
        let mut parts = signed.splitn(3, '.').skip(1);
        let expires_at: u64 = parts.next().and_then(|part| part.parse().ok()).ok_or(TokenError::Invalid)?;
        if UNIX_EPOCH + Duration::from_secs(expires_at) <= now {
            return Err(TokenError::Expired);
        }
        match parts.next() {
            Some("read") => Ok(Scope::Read),
            Some(job) => {
                job.strip_prefix("job-").map(|id| Scope::Job(id.to_owned())).ok_or(TokenError::Invalid)
            }
            None => Err(TokenError::Invalid),
        }
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.secret)
            .expect("HMAC takes a key of any length")
            .chain_update(signed.as_bytes())
    }
}

impl Scope {
    /// Checks that this scope permits a GET of `path` with `query`, both as they were sent. The files of `view` are not
    /// checked here: their job must be looked up.
    pub fn check(&self, path: &str, query: &str) -> Result<(), TokenError> {
        let job = match path.strip_prefix("/api/") {
            Some("comfyui/view") => return Ok(()),
            Some("run/ws") => job_of_socket(query),
            Some(path) => {
                let of = |kind| path.strip_prefix(kind).map(str::to_owned);
                let job = of("run/events/").or_else(|| of("run/preview/")).or_else(|| of("run/result/"));
                Some(job.filter(|job| is_plain(job)).ok_or(TokenError::NotForThis)?)
            }
            None => return Err(TokenError::NotForThis),
        };
        match self {
            Self::Read => Ok(()),
            Self::Job(permitted) if job.is_some_and(|job| same_job(permitted, &job)) => Ok(()),
            Self::Job(_) => Err(TokenError::OtherJob),
        }
    }
}

/// The one job that a WebSocket is opened for, by prompt id or client id.
fn job_of_socket(query: &str) -> Option<String> {
    let mut jobs = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "prompt_id" || name == "client_id")
        .map(|(_, value)| value.into_owned());
    let job = jobs.next();
    job.filter(|_| jobs.next().is_none())
}

/// A client id is the prompt id without hyphens.
fn same_job(permitted: &str, job: &str) -> bool {
    permitted == job || permitted.replace('-', "") == job
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| byte(pair).filter(|_| pair.len() == 2)).collect()
}

/// The token in a query string.
pub fn token_in(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}

/// `POST /api/token`
pub async fn issue(
    state: web::Data<State>,
    tokens: web::Data<Tokens>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let wanted = match Encoding::from_request(&request)? {
        Encoding::Empty => TokenRequest::default(),
        _ => parse(&read_body(body).await?)?,
    };
    let lifetime = wanted.expires_in.unwrap_or(DEFAULT_LIFETIME);
    if !(1..=LONGEST_LIFETIME).contains(&lifetime) {
        return Err(ApiError::BadRequest(format!(
            "`expires_in` is a number of seconds from 1 to {LONGEST_LIFETIME}, not {lifetime}"
        )));
    }
    let scope = match wanted.prompt_id {
        Some(prompt_id) => {
            state.jobs.status(&state.clients, &prompt_id).await?;
            Scope::Job(prompt_id)
        }
        None => Scope::Read,
    };
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(lifetime);
    let seconds = u64::try_from(expires_at.unix_timestamp()).unwrap_or_default();
    let token = tokens.issue(&scope, seconds);
    let expires_at = expires_at.replace_nanosecond(0).unwrap_or(expires_at);
    let expires_at = Timestamp::new(expires_at.format(&Rfc3339).unwrap_or_default());
    let issued = IssuedToken { token, expires_at };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(issued))
}

fn parse(body: &[u8]) -> Result<TokenRequest, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(TokenRequest::default());
    }
    // A list of values would be read as the fields in their order.
    let object = serde_json::from_slice(body).map(serde_json::Value::Object);
    object.and_then(serde_json::from_value).map_err(|error| {
        ApiError::BadRequest(format!(
            "the body is a JSON object that may have `prompt_id` and `expires_in`; this one cannot be read: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "abc12345-6789-4def-8123-456789abcdef";

    fn job() -> Scope {
        Scope::Job(JOB.to_owned())
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_permits_what_it_was_issued_for_until_it_expires() {
        let tokens = Tokens::new();
        for scope in [Scope::Read, job()] {
            let token = tokens.issue(&scope, 1000);
            assert_eq!(tokens.verify(&token, at(999)), Ok(scope));
            assert_eq!(tokens.verify(&token, at(1000)), Err(TokenError::Expired));
        }
    }

    #[test]
    fn a_token_that_was_changed_or_comes_from_another_process_is_invalid() {
        let tokens = Tokens::new();
        let token = tokens.issue(&job(), 1000);
        assert_eq!(Tokens::new().verify(&token, at(0)), Err(TokenError::Invalid));
        for changed in [
            token.replace(".1000.", ".2000."),
            token.replace("job-", "job-x"),
            token.replace(&format!("job-{JOB}"), "read"),
            token[..token.len() - 1].to_owned(),
            format!("{token}0"),
            String::new(),
            "....".to_owned(),
            "cr1.1000.read.é".to_owned(),
        ] {
            assert_eq!(tokens.verify(&changed, at(0)), Err(TokenError::Invalid), "{changed}");
        }
    }

    #[test]
    fn a_token_for_reading_opens_streams_previews_results_and_files_only() {
        for path in ["run/events/x", "run/preview/x", "run/result/x", "run/ws", "comfyui/view"] {
            assert_eq!(Scope::Read.check(&format!("/api/{path}"), ""), Ok(()), "{path}");
        }
        for path in [
            "/api/jobs",
            "/api/run/x",
            "/api/run/x/execute",
            "/api/run/result/",
            "/api/run/result/x/y",
            "/api/run/result/%2e",
            "/health",
        ] {
            assert_eq!(Scope::Read.check(path, ""), Err(TokenError::NotForThis), "{path}");
        }
    }

    #[test]
    fn a_token_for_a_job_opens_no_other() {
        let check = |path: &str, query: &str| job().check(&format!("/api/run/{path}"), query);
        assert_eq!(check(&format!("events/{JOB}"), ""), Ok(()));
        assert_eq!(check("ws", &format!("prompt_id={JOB}")), Ok(()));
        assert_eq!(check("ws", "token=t&client_id=abc1234567894def8123456789abcdef"), Ok(()));
        assert_eq!(check("events/other", ""), Err(TokenError::OtherJob));
        for query in ["", "prompt_id=other", &format!("prompt_id={JOB}&client_id=other")] {
            assert_eq!(check("ws", query), Err(TokenError::OtherJob), "{query}");
        }
    }
}
