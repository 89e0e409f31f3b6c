//! `POST /api/token`: a short-lived permission to read.
//!
//! A browser lets a page set no header on an event stream, a WebSocket, an image or a video. A token takes the place of
//! the API key there: it is sent as the query parameter `token` of a `GET`.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`IssuedToken`] |
//! | 400 | [`ErrorBody`](crate::ErrorBody): the body is wrong |
//! | 401 | [`ErrorBody`](crate::ErrorBody): no API key, or a wrong one |
//! | 404 | [`ErrorBody`](crate::ErrorBody): there is no such job |
//!
//! A request with a token that is invalid or has expired is 401; one that the token does not permit is 403.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// How long a token is valid when the request does not say, in seconds.
pub const DEFAULT_LIFETIME: u64 = 600;
/// The longest that a token can be valid, in seconds.
pub const LONGEST_LIFETIME: u64 = 24 * 60 * 60;

/// The request for a token, as JSON. The body may be absent. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The job whose streams, preview, result and files the token permits; those of every job if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// How long the token is valid, in seconds: 1 to 86,400, 600 if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = LONGEST_LIFETIME)))]
    pub expires_in: Option<u64>,
}

/// The response to a request for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IssuedToken {
    /// The token: letters, digits, `.`, `-` and `_`, so that it needs no escape in a query string.
    pub token: String,
    /// When it expires. Streams that are open then stay open.
    pub expires_at: Timestamp,
}
