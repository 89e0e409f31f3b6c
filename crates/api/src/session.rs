//! `GET`, `POST` and `DELETE /api/session`: signing in on the server's own page.
//!
//! A page must not keep a key, so it exchanges the key for a cookie that no script can read. Programs send the key itself.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | `GET` | 200 | [`Session`] |
//! | `POST` | 200 | [`Session`], and the cookie; the request is a [`SignIn`] |
//! | `POST` | 401 | [`ErrorBody`](crate::ErrorBody): the key is not known |
//! | `DELETE` | 204 | none; the cookie is deleted |

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// How long a session lasts, in seconds.
pub const LIFETIME: u64 = 7 * 24 * 60 * 60;

/// The request to sign in, as JSON. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// An API key.
    pub key: String,
}

/// Whether the caller is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Whether the server has keys.
    pub required: bool,
    /// Whether requests with the caller's cookie are accepted, or every request is.
    pub signed_in: bool,
    /// When the session ends. None without a session.
    pub expires_at: Option<Timestamp>,
    /// Whether callers may add workflows to the library and edit them.
    #[serde(default)]
    pub allow_edit: bool,
}
