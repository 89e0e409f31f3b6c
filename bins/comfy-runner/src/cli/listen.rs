//! Addresses to listen on.

use std::net::SocketAddr;

/// Reads an IP address and a port.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let (address, port) = match (text.parse::<u16>(), text.rsplit_once(':')) {
            (Ok(port), _) => ("127.0.0.1", port),
            (Err(_), Some(("" | "localhost", port))) => ("127.0.0.1", port.parse().unwrap_or(8080)),
            _ => ("127.0.0.1", 8080),
        };
        format!("write ADDRESS:PORT with an IP address, for example {address}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        assert_eq!(parse_listen("0.0.0.0:80").unwrap(), "0.0.0.0:80".parse().unwrap());
        for (wrong, example) in [
            ("8081", "127.0.0.1:8081"),
            (":8081", "127.0.0.1:8081"),
            ("localhost:8081", "127.0.0.1:8081"),
            ("0.0.0.0", "127.0.0.1:8080"),
        ] {
            let error = parse_listen(wrong).unwrap_err();
            assert!(error.contains("ADDRESS:PORT") && error.ends_with(example), "{error}");
        }
    }
}
