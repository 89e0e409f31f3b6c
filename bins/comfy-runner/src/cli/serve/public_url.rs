//! The address under which callers reach the server.

/// Reads an address of this server.
pub(super) fn parse_public_url(text: &str) -> Result<url::Url, String> {
    let wrong =
        || format!("\"{text}\" is no address: write http://HOST or https://HOST/PATH, without a query");
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if fits { Ok(url) } else { Err(wrong()) }
}
