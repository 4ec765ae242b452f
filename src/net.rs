//! What several modules need to know about connections: which hosts are this machine, and why a
//! request failed.

mod root_url;

use std::error::Error as _;
use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;
use url::Host;

use crate::error::{Code, Error};
pub(crate) use root_url::{RootUrl, UrlFault};

/// Whether an address is a loopback address, also as an IPv4-mapped IPv6 address.
#[must_use]
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a host is this machine: `localhost` or a loopback address. No other name is, whatever
/// it resolves to.
#[must_use]
pub(crate) fn is_loopback_host(host: &Host<&str>) -> bool {
    match *host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => is_loopback(address.into()),
        Host::Ipv6(address) => is_loopback(address.into()),
    }
}

/// Refuses a proxy that the environment names for a URL if it is a SOCKS proxy: it would be talked
/// to as if it were an HTTP proxy.
///
/// # Errors
/// `not_configured`.
pub(crate) fn refuse_socks_proxy(url: &str) -> Result<(), Error> {
    let Ok(url) = url.parse() else { return Ok(()) };
    let proxy = Matcher::from_env().intercept(&url);
    let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str()).unwrap_or_default();
    if !scheme.starts_with("socks") {
        return Ok(());
    }
    let what = format!("the environment sets a {scheme}:// proxy, which convo does not support");
    Err(Error::new(Code::NotConfigured, what)
        .hint("set HTTPS_PROXY to an HTTP proxy (http://HOST:PORT), or list the host in NO_PROXY"))
}

/// Why a request is not meant for this machine by one of its programs, as far as its host and origin
/// tell; `None` if it is. A web page in a local browser is not one of them, even under a name that
/// resolves to this machine (DNS rebinding). `authority` is the host in the request line.
#[must_use]
pub(crate) fn why_not_for_this_machine(
    headers: &HeaderMap,
    authority: Option<&Authority>,
) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if names_this_machine(host.as_bytes()) => {}
        _ => return Some("the Host header does not name this machine"),
    }
    if authority.is_some_and(|authority| !names_this_machine(authority.as_str().as_bytes())) {
        return Some("the request line names another host");
    }
    let is_cross_site = |value: &HeaderValue| value.as_bytes() != b"none";
    if headers.contains_key(ORIGIN) || headers.get_all("sec-fetch-site").iter().any(is_cross_site) {
        return Some("the request comes from a web page");
    }
    None
}

/// Whether a `Host` names this machine, with or without a port. Only the usual notation of addresses
/// is accepted: anything else that looks like one could be a domain that somebody else owns.
fn names_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let Some(name) = without_port(host) else { return false };
    if name.starts_with('[') {
        return name == "[::1]";
    }
    is_loopback_host(&name.parse().map_or(Host::Domain(name), Host::Ipv4))
}

fn without_port(host: &str) -> Option<&str> {
    let name_end = host.rfind(']').map_or(0, |at| at + 1);
    match host[name_end..].find(':') {
        None => Some(host),
        Some(colon) => {
            let (name, port) = host.split_at(name_end + colon);
            port[1..].parse::<u16>().is_ok().then_some(name)
        }
    }
}

/// Why a request failed, in a few words: the innermost cause, such as "Connection refused". The
/// outer ones repeat the address, which tells the user nothing.
#[must_use]
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no response in time".to_owned();
    }
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The causes of a failed request, from the outermost on.
pub(crate) fn causes(
    error: &reqwest::Error,
) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_this_machine() {
        let is_local = |host: &str| match Host::parse(host).expect("a host") {
            Host::Domain(name) => is_loopback_host(&Host::Domain(&name)),
            Host::Ipv4(address) => is_loopback_host(&Host::Ipv4(address)),
            Host::Ipv6(address) => is_loopback_host(&Host::Ipv6(address)),
        };
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        assert!(is_local("[::ffff:127.0.0.1]"));
        for host in ["localhost.", "localhost.example", "0.0.0.0", "192.0.2.7", "[::]", "[::2]"] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[tokio::test]
    async fn the_innermost_cause_is_given_without_the_address() {
        crate::tls::install();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
        let refused = client.expect("a client").get("http://127.0.0.1:1/secret").send().await;
        let cause = cause(&refused.expect_err("nobody listens there"));
        assert!(cause.starts_with("Connection refused"), "{cause}");
    }
}
