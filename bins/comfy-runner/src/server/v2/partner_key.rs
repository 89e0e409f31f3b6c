//! The key for partner nodes that a job brings.

use comfy_runner_api_v2::{Code, Error};
use comfy_runner_jobs::PartnerKey;

/// Checks a key.
pub fn parse(key: Option<&str>) -> Result<Option<PartnerKey>, Error> {
    let key = key.map(PartnerKey::new).transpose();
    key.map_err(|error| {
        Error::new(Code::InvalidRequest, format!("`extra_data.api_key_comfy_org`: {error}")).with_status(400)
    })
}
