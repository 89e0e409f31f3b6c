//! TLS for the client: rustls on ring, with the public roots and those of the configuration.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{Config, ConfigError};

/// Creates the TLS configuration for a ComfyUI. It is for HTTP/1.1 only: a WebSocket needs it, and ComfyUI has no other
/// version.
pub(crate) fn client_config(config: &Config) -> Result<Arc<ClientConfig>, ConfigError> {
    match config.root_certificates() {
        [] => public_config(),
        more => with_roots(more),
    }
}

/// Returns the TLS configuration for the public internet. All clients share it, as there may be hundreds of them.
pub(crate) fn public_config() -> Result<Arc<ClientConfig>, ConfigError> {
    static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(public) = PUBLIC.get() {
        return Ok(Arc::clone(public));
    }
    let public = with_roots(&[])?;
    Ok(Arc::clone(PUBLIC.get_or_init(|| public)))
}

fn with_roots(more: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, ConfigError> {
    let unusable = |error: rustls::Error| ConfigError::Certificate(error.to_string());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in more {
        roots.add(certificate.clone()).map_err(unusable)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}
