//! The one TLS stack: rustls on ring, as the database's connections use it too.

/// Makes ring the provider of this process. Safe to call again.
pub fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
