//! The TLS stack: rustls with ring.

/// Installs ring as the crypto provider of this process. Repeated calls have no effect.
///
/// reqwest is built without a provider, so that no second one is compiled in. Building a client
/// panics if none is installed, even for plain http.
pub fn install() {
    // Fails if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
