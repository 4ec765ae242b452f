//! Who is a program on this machine that speaks to convo directly: the only caller that a server
//! without a token serves. Not a web page in a local browser, whatever name it made this machine
//! known by (DNS rebinding), and not a proxy or tunnel that happens to end here.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{FORWARDED, HOST, HeaderName, ORIGIN, VIA};
use http::{HeaderMap, HeaderValue};

use super::Caller;

/// What proxies, tunnels and content networks put into the requests that they pass on, beside the
/// standard headers. None of it is believed; that it is there is enough.
const OF_PROXIES: [&str; 6] = [
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "fly-client-ip",
    "fastly-client-ip",
];
const OF_PROXIES_BEGIN: [&str; 4] = ["x-forwarded-", "x-original-", "x-envoy-", "cf-"];

/// Why a caller is not a program on this machine that speaks to convo directly.
pub(super) fn stranger(caller: Option<&Caller>, headers: &HeaderMap) -> Option<&'static str> {
    let Some(caller) = caller else { return Some("the peer is not known") };
    if !caller.peer.ip().to_canonical().is_loopback() {
        return Some("the peer is another machine");
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_loopback_host(host.as_bytes()) => {}
        _ => return Some("the Host header is not this machine"),
    }
    if caller.authority.as_ref().is_some_and(|a| !is_loopback_host(a.as_str().as_bytes())) {
        return Some("the request line names another host");
    }
    if headers.contains_key(ORIGIN) || headers.get_all("sec-fetch-site").iter().any(is_cross_site) {
        return Some("a web page asks");
    }
    headers.keys().any(is_of_a_proxy).then_some("a proxy is in between")
}

fn is_cross_site(value: &HeaderValue) -> bool {
    value.as_bytes() != b"none"
}

fn is_of_a_proxy(name: &HeaderName) -> bool {
    *name == VIA
        || *name == FORWARDED
        || OF_PROXIES.contains(&name.as_str())
        || OF_PROXIES_BEGIN.iter().any(|begin| name.as_str().starts_with(begin))
}

/// Whether a `Host` is `localhost`, `127.0.0.0/8` or `[::1]`, with or without a port. Anything
/// that only begins like one is a name that somebody else may own.
fn is_loopback_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let Some(name) = without_port(host) else { return false };
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| IpAddr::V4(ip).is_loopback())
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
