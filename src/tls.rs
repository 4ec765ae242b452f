//! The one TLS stack: rustls with ring's cryptography.

/// Makes ring the cryptography of every TLS connection of this process.
///
/// reqwest is built without a provider of its own, so that no second one is compiled in; it panics
/// when none is installed, also for plain http. Call this before making a client, as often as you
/// like: only the first call does something.
pub fn install() {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
