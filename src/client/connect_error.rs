//! Why a connection failed, and what to do about it.

use rustls::CertificateError;

use crate::net::{cause, causes};

/// What to do about a failed connection, where the cause shows it.
pub(super) fn hint(error: &reqwest::Error) -> Option<&'static str> {
    // hyper-util's DNS errors have no public type.
    if causes(error).any(|cause| cause.to_string().starts_with("dns error")) {
        return Some("check the host name in CONVO_SERVER, and this machine's network");
    }
    match causes(error).find_map(tls_error)? {
        rustls::Error::InvalidCertificate(_) => Some(
            "this machine does not trust its certificate: renew it, or add its issuer to the \
             system's CA certificates",
        ),
        _ => Some(
            "the TLS handshake failed: check CONVO_SERVER, and whether the server speaks https",
        ),
    }
}

/// Why a connection failed. rustls describes certificate errors for programmers only.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let Some(rustls::Error::InvalidCertificate(error)) = causes(error).find_map(tls_error) else {
        return cause(error);
    };
    let reason = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another host name"
        }
        CertificateError::UnknownIssuer => "its certificate is from an unknown issuer",
        _ => "its certificate is invalid",
    };
    reason.to_owned()
}

/// Whether the peer sent something that is not HTTP.
pub(super) fn is_not_http(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_parse))
}

/// The TLS error inside any number of I/O errors.
fn tls_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut inner = cause;
    while let Some(outer) = inner.downcast_ref::<std::io::Error>() {
        inner = outer.get_ref()?;
    }
    inner.downcast_ref()
}
