//! Whether a caller is a program on this machine that connects directly, the only kind that a server
//! without a token serves. A web page in a local browser is not, even under a name that resolves to
//! this machine (DNS rebinding), and neither is a proxy or tunnel that ends here.

use http::header::{FORWARDED, HeaderName, VIA};
use http::{HeaderMap, Version};

use super::Caller;
use crate::net;

/// What proxies, tunnels, load balancers and CDNs add to the requests that they forward, besides the
/// standard headers. Their values are not trusted; their presence is enough.
const PROXY_HEADERS: [&str; 20] = [
    "x-real-ip",
    "x-real-port",
    "x-client-ip",
    "x-client-cert",
    "x-cluster-client-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-request-start",
    "x-scheme",
    "x-host",
    "x-url-scheme",
    "x-varnish",
    "x-cloud-trace-context",
    "client-ip",
    "true-client-ip",
    "remote-addr",
    "cdn-loop",
    "surrogate-capability",
    "front-end-https",
];
const PROXY_HEADER_PREFIXES: [&str; 24] = [
    "proxy-",
    "x-proxy-",
    "x-proxied-",
    "x-forward",
    "x-original-",
    "x-envoy-",
    "x-accel-",
    "x-amzn-",
    "x-amz-cf-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-azure-",
    "x-nf-",
    "x-tunnel-",
    "x-vercel-",
    "akamai-",
    "x-akamai-",
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-",
    "ngrok-",
    "tailscale-",
];
/// How the headers end in which a proxy names its client, whatever they begin with.
const PROXY_HEADER_SUFFIXES: [&str; 3] = ["-client-ip", "-connecting-ip", "-forwarded-for"];

/// Why a caller is not a local program; `None` if it is one.
pub(super) async fn why_not_local(
    caller: Option<&Caller>,
    headers: &HeaderMap,
) -> Option<&'static str> {
    let Some(caller) = caller else { return Some("the peer is unknown") };
    if !net::is_loopback(caller.socket.peer.ip()) {
        return Some("the peer is on another machine");
    }
    if caller.version != Version::HTTP_11 {
        return Some("the request is not of HTTP/1.1, as that of a simple proxy");
    }
    if let Some(reason) = net::why_not_for_this_machine(headers, caller.authority.as_ref()) {
        return Some(reason);
    }
    if headers.keys().any(is_from_proxy) {
        return Some("the request came through a proxy");
    }
    // Last, since it takes longest.
    (!caller.socket.is_of_own_user().await).then_some("the peer's socket belongs to another user")
}

fn is_from_proxy(name: &HeaderName) -> bool {
    *name == VIA
        || *name == FORWARDED
        || PROXY_HEADERS.contains(&name.as_str())
        || PROXY_HEADER_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
        || PROXY_HEADER_SUFFIXES.iter().any(|suffix| name.as_str().ends_with(suffix))
}
