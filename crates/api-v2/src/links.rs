//! Absolute URLs of this server.

/// The address under which a caller reaches the server, for the links in responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    base: String,
}

impl Links {
    /// Takes the address, with scheme and perhaps with a path: `https://render.example/comfy`.
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// Returns the URL of a job, or of something below it.
    pub fn job(&self, id: &str, below: &str) -> String {
        format!("{}/api/v2/jobs/{id}{below}", self.base)
    }

    /// Returns the URL of an asset's bytes.
    pub fn asset_content(&self, id: &str) -> String {
        format!("{}/api/v2/assets/{id}/content", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_absolute_and_keep_a_path_before_the_api() {
        let links = Links::new("https://render.example/comfy/");
        assert_eq!(links.job("j", "/events"), "https://render.example/comfy/api/v2/jobs/j/events");
        assert_eq!(links.asset_content("j.1"), "https://render.example/comfy/api/v2/assets/j.1/content");
    }
}
