//! The address under which a caller reaches the server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use comfy_runner_api_v2::Links;

/// A proxy whose `X-Forwarded-*` headers are trusted: an address, or a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy {
    address: IpAddr,
    prefix: u8,
}

/// Why a string names no proxy.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no IP address or network; write 10.0.0.7 or 10.0.0.0/8")]
pub struct ParseProxyError(String);

impl TrustedProxy {
    fn contains(&self, address: IpAddr) -> bool {
        let equal_bits = |a: u128, b: u128, bits: u8| {
            (a ^ b).checked_shr(u32::from(bits - self.prefix)).unwrap_or_default() == 0
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                equal_bits(u32::from(network).into(), u32::from(address).into(), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                equal_bits(u128::from(network), u128::from(address), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseProxyError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        if prefix > bits { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How the server is reached from outside.
#[derive(Debug, Clone, Default)]
pub struct PublicUrl {
    /// The address; if there is none, it is that of each request.
    pub url: Option<url::Url>,
    /// The proxies that may say under which address a request reached them.
    pub trusted_proxies: Vec<TrustedProxy>,
}

impl PublicUrl {
    /// Returns the links for the response to a request.
    pub fn links(&self, request: &HttpRequest) -> Links {
        if let Some(url) = &self.url {
            return Links::new(url.as_str());
        }
        let peer = request.peer_addr().map(|peer| peer.ip());
        let trusted = peer.is_some_and(|peer| self.trusted_proxies.iter().any(|proxy| proxy.contains(peer)));
        // A proxy appends to what it got, so that the first value is that of the outermost one.
        let forwarded = |name: &str| {
            let value = request.headers().get(name).filter(|_| trusted)?.to_str().ok()?;
            Some(value.split(',').next()?.trim()).filter(|value| !value.is_empty())
        };
        let scheme = match forwarded("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        let own_host = || request.headers().get(HOST)?.to_str().ok();
        let host = forwarded("x-forwarded-host").filter(|host| is_host(host));
        let host = host.or_else(own_host).filter(|host| is_host(host));
        let host = host.map_or_else(|| request.app_config().local_addr().to_string(), str::to_owned);
        let prefix = forwarded("x-forwarded-prefix").filter(|prefix| is_path(prefix)).unwrap_or_default();
        Links::new(&format!("{scheme}://{host}{prefix}"))
    }
}

fn is_host(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn self_url(public: &PublicUrl, peer: &str, headers: &[(&str, &str)]) -> String {
        let mut request = TestRequest::get().peer_addr(peer.parse().unwrap());
        for &(name, value) in headers {
            request = request.insert_header((name, value));
        }
        public.links(&request.to_http_request()).job("j", "")
    }

    fn behind(proxies: &[&str]) -> PublicUrl {
        let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        PublicUrl { url: None, trusted_proxies: proxies }
    }

    #[test]
    fn links_have_the_host_of_the_request() {
        let url = self_url(&behind(&[]), "10.0.0.7:1", &[("host", "render:8080")]);
        assert_eq!(url, "http://render:8080/api/v2/jobs/j");
    }

    #[test]
    fn only_a_trusted_proxy_says_how_the_server_is_reached() {
        let headers = [
            ("host", "127.0.0.1:8080"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "render.example, inner"),
            ("x-forwarded-prefix", "/comfy"),
        ];
        let trusted = behind(&["10.0.0.0/8", "::1"]);
        let public = "https://render.example/comfy/api/v2/jobs/j";
        assert_eq!(self_url(&trusted, "10.200.0.7:1", &headers), public);
        assert_eq!(self_url(&trusted, "[::ffff:10.0.0.7]:1", &headers), public);
        assert_eq!(self_url(&trusted, "[::1]:1", &headers), public);
        let own = "http://127.0.0.1:8080/api/v2/jobs/j";
        assert_eq!(self_url(&trusted, "11.0.0.7:1", &headers), own);
        assert_eq!(self_url(&behind(&[]), "10.0.0.7:1", &headers), own);
    }

    #[test]
    fn the_configured_address_takes_precedence() {
        let public = PublicUrl {
            url: Some("https://render.example/comfy/".parse().unwrap()),
            ..behind(&["10.0.0.7"])
        };
        let url = self_url(&public, "10.0.0.7:1", &[("x-forwarded-host", "other")]);
        assert_eq!(url, "https://render.example/comfy/api/v2/jobs/j");
    }

    #[test]
    fn a_header_cannot_bring_more_than_a_host_into_a_link() {
        let trusted = behind(&["0.0.0.0/0"]);
        for (name, value) in [
            ("x-forwarded-host", "user@evil"),
            ("x-forwarded-host", "a/b"),
            ("x-forwarded-host", "a b"),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-prefix", "//evil"),
            ("x-forwarded-prefix", "?x"),
        ] {
            let url = self_url(&trusted, "10.0.0.7:1", &[("host", "h"), (name, value)]);
            assert_eq!(url, "http://h/api/v2/jobs/j", "{name}: {value}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "proxy", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0.1/-1"] {
            assert!(wrong.parse::<TrustedProxy>().is_err(), "{wrong}");
        }
        let any: TrustedProxy = "0.0.0.0/0".parse().unwrap();
        assert!(any.contains("203.0.113.9".parse().unwrap()));
        assert_eq!("10.0.0.7".parse::<TrustedProxy>().unwrap().to_string(), "10.0.0.7/32");
    }
}
