//! Who may call. With tokens configured, whoever brings one. Without any, only a program on this
//! machine that speaks to it directly: not a web page in a local browser, not a proxy or tunnel
//! that happens to end here. The webhook is guarded by its signature instead.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use http::header::{AUTHORIZATION, CONTENT_TYPE, FORWARDED, HOST, HeaderName, ORIGIN, VIA};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::config::Secret;
use crate::error::{Code, Error};
use crate::metrics;

/// What to do about a refusal for want of a token.
const SET_TOKEN: &str = "set CONVO_API_TOKEN on the server and send it as 'Authorization: Bearer'";

/// Who asks: put into each request by the accept loop.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The host in the request line, where proxies get it instead of in `Host`.
    pub authority: Option<Authority>,
    /// When the request began to arrive.
    pub arrived: Instant,
}

/// The rule who may call the REST API.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// SHA-256 of each token: comparing hashes tells nothing of a token's length.
    tokens: Vec<[u8; 32]>,
}

impl Access {
    /// The rule for the configured tokens. Empty ones do not count.
    #[must_use]
    pub fn new(tokens: &[Secret]) -> Self {
        let tokens = tokens.iter().map(Secret::expose).filter(|token| !token.is_empty());
        Self { tokens: tokens.map(|token| Sha256::digest(token).into()).collect() }
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Lets a request pass or says why not. A caller that is not known is a stranger.
    ///
    /// # Errors
    /// `unauthorized` for a missing or wrong token; `forbidden` or `unsupported_media_type` where
    /// only local programs are served.
    pub fn check(
        &self,
        method: &Method,
        caller: Option<&Caller>,
        headers: &HeaderMap,
    ) -> Result<(), Error> {
        if self.has_tokens() {
            return self.check_token(headers);
        }
        if let Some(reason) = stranger(caller, headers) {
            tracing::debug!(reason, "refused a caller without a token");
            let message = "without an API token only programs on the server's machine are served";
            return Err(Error::new(Code::Forbidden, message).hint(SET_TOKEN));
        }
        // A web page may make a browser post anything but JSON without asking the server first.
        if method == Method::POST && !is_json(headers) {
            return Err(not_json());
        }
        Ok(())
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Error> {
        let (reason, message, hint) = match bearer(headers) {
            Some(token) if self.knows(token) => return Ok(()),
            Some(_) => (
                "wrong_token",
                "the API token is wrong",
                "use one of the tokens in CONVO_API_TOKEN",
            ),
            None => {
                let hint = "send it as 'Authorization: Bearer <token>'";
                ("no_token", "an API token is needed", hint)
            }
        };
        metrics::unauthorized(reason);
        Err(Error::new(Code::Unauthorized, message).hint(hint))
    }

    /// Compares with every token, always, so that the time taken tells nothing.
    fn knows(&self, token: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let equal = |known: &[u8; 32]| known.ct_eq(&presented);
        self.tokens.iter().map(equal).fold(Choice::from(0), |any, one| any | one).into()
    }
}

/// Whether a server may listen at an address: without a token only where no stranger can reach
/// it, and never as a service, which is not for trying out.
///
/// # Errors
/// `not_configured`, naming the variable to set.
pub fn may_bind(addr: SocketAddr, has_tokens: bool, under_systemd: bool) -> Result<(), Error> {
    let refuse = |message: String| {
        Err(Error::new(Code::NotConfigured, message)
            .hint("set CONVO_API_TOKEN, or listen on 127.0.0.1 for trying out"))
    };
    if has_tokens {
        Ok(())
    } else if !addr.ip().to_canonical().is_loopback() {
        refuse(format!("listening on {addr} without an API token would let strangers in"))
    } else if under_systemd {
        refuse("a service needs an API token".to_owned())
            .map_err(|error| error.hint("set CONVO_API_TOKEN"))
    } else {
        Ok(())
    }
}

/// Whether the body is declared to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The refusal of a body that is not declared to be JSON.
pub(super) fn not_json() -> Error {
    Error::new(Code::UnsupportedMediaType, "the body must be JSON")
        .hint("send the header 'Content-Type: application/json'")
}

/// The token of the one `Authorization` header; several are as good as none.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Why a caller is not a program on this machine that speaks to convo directly.
fn stranger(caller: Option<&Caller>, headers: &HeaderMap) -> Option<&'static str> {
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
        || name.as_str() == "x-real-ip"
        || name.as_str().starts_with("x-forwarded-")
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:40000";

    fn caller(peer: &str) -> Option<Caller> {
        let peer = peer.parse().expect("an address");
        Some(Caller { peer, authority: None, arrived: Instant::now() })
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            headers.append(*name, value);
        }
        headers
    }

    /// What a caller without a token is told on a server that has none.
    fn local(method: &Method, caller: Option<&Caller>, lines: &[(&'static str, &str)]) -> String {
        let checked = Access::new(&[]).check(method, caller, &headers(lines));
        checked.map_or_else(|error| error.code().as_str(), |()| "served".to_owned())
    }

    fn get(lines: &[(&'static str, &str)]) -> String {
        local(&Method::GET, caller(HERE).as_ref(), lines)
    }

    #[test]
    fn a_local_program_is_served_without_a_token() {
        for peer in [HERE, "127.8.9.1:1", "[::1]:40000", "[::ffff:127.0.0.1]:40000"] {
            let host = [("host", "localhost:5000")];
            assert_eq!(local(&Method::GET, caller(peer).as_ref(), &host), "served", "{peer}");
        }
    }

    #[test]
    fn another_machine_and_an_unknown_peer_are_strangers() {
        let host = [("host", "localhost:5000")];
        for peer in ["192.0.2.1:1", "10.0.0.5:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"] {
            assert_eq!(local(&Method::GET, caller(peer).as_ref(), &host), "forbidden", "{peer}");
        }
        assert_eq!(local(&Method::GET, None, &host), "forbidden");
    }

    #[test]
    fn the_host_must_be_this_machine() {
        for host in [
            "localhost",
            "localhost:5000",
            "LOCALHOST:5000",
            "127.0.0.1",
            "127.0.0.1:5000",
            "127.1.2.3:80",
            "[::1]",
            "[::1]:5000",
        ] {
            assert_eq!(get(&[("host", host)]), "served", "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.evil.com",
            "localhost:5000.evil.com",
            "evil.com#localhost",
            "evil.com:localhost",
            "me@localhost",
            "127.0.0.1.evil.com",
            "127.0.0.1:5000:80",
            "127.1",
            "0127.0.0.1",
            "2130706433",
            "0.0.0.0",
            "192.0.2.1",
            "::1",
            "[::1].evil.com",
            "[::1",
            "[::2]:5000",
            "localhost:",
            "localhost:99999",
            "xn--localhost",
            "localhost, evil.com",
            "loc\u{e4}lhost",
        ] {
            assert_eq!(get(&[("host", host)]), "forbidden", "{host}");
        }
        assert_eq!(get(&[]), "forbidden");
        assert_eq!(get(&[("host", "localhost"), ("host", "evil.com")]), "forbidden");
        assert_eq!(get(&[("host", "localhost"), ("host", "localhost")]), "forbidden");
    }

    #[test]
    fn a_host_in_the_request_line_counts_too() {
        let with = |authority: &'static str| Caller {
            peer: HERE.parse().expect("an address"),
            authority: Some(Authority::from_static(authority)),
            arrived: Instant::now(),
        };
        let host = [("host", "localhost")];
        assert_eq!(local(&Method::GET, Some(&with("evil.com")), &host), "forbidden");
        assert_eq!(local(&Method::GET, Some(&with("localhost:5000")), &host), "served");
    }

    #[test]
    fn web_pages_and_proxies_are_strangers() {
        for (name, value) in [
            ("origin", "http://localhost:5000"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-origin"),
            ("via", "1.1 proxy"),
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-anything", ""),
            ("x-real-ip", "127.0.0.1"),
        ] {
            assert_eq!(get(&[("host", "localhost"), (name, value)]), "forbidden", "{name}");
        }
        assert_eq!(get(&[("host", "localhost"), ("sec-fetch-site", "none")]), "served");
        let both = [("host", "localhost"), ("sec-fetch-site", "none"), ("sec-fetch-site", "x")];
        assert_eq!(get(&both), "forbidden");
    }

    #[test]
    fn without_a_token_only_json_may_be_posted() {
        let post = |kinds: &[&str]| {
            let mut lines = vec![("host", "localhost")];
            lines.extend(kinds.iter().map(|kind| ("content-type", *kind)));
            local(&Method::POST, caller(HERE).as_ref(), &lines)
        };
        assert_eq!(post(&["application/json"]), "served");
        assert_eq!(post(&["Application/JSON; charset=utf-8"]), "served");
        for kinds in [
            &[][..],
            &["text/plain"],
            &["application/x-www-form-urlencoded"],
            &["application/jsonp"],
            &["text/plain; application/json"],
            &["application/json", "text/plain"],
        ] {
            assert_eq!(post(kinds), "unsupported_media_type", "{kinds:?}");
        }
    }

    #[test]
    fn any_of_the_tokens_opens_and_nothing_else_does() {
        let access = Access::new(&[Secret::new("first"), Secret::new(""), Secret::new("second")]);
        let ask = |lines: &[(&'static str, &str)]| {
            let remote = caller("192.0.2.1:1");
            access.check(&Method::POST, remote.as_ref(), &headers(lines)).map_err(|e| e.code())
        };
        for good in ["Bearer first", "bearer second", "BEARER  second "] {
            assert_eq!(ask(&[("authorization", good)]), Ok(()), "{good}");
        }
        for bad in ["", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer firstx", "Basic first"]
        {
            assert_eq!(ask(&[("authorization", bad)]), Err(Code::Unauthorized), "{bad}");
        }
        assert_eq!(ask(&[]), Err(Code::Unauthorized));
        let twice = [("authorization", "Bearer first"), ("authorization", "Bearer first")];
        assert_eq!(ask(&twice), Err(Code::Unauthorized));
    }

    #[test]
    fn with_a_token_being_local_does_not_help() {
        let access = Access::new(&[Secret::new("first")]);
        let local = headers(&[("host", "localhost")]);
        let refused = access.check(&Method::GET, caller(HERE).as_ref(), &local);
        assert_eq!(refused.map_err(|error| error.code()), Err(Code::Unauthorized));
    }

    #[test]
    fn tokens_are_not_shown() {
        assert!(!format!("{:?}", Access::new(&[Secret::new("first")])).contains("first"));
    }

    #[test]
    fn a_server_for_strangers_or_a_service_needs_a_token() {
        let bind = |addr: &str, tokens, systemd| {
            may_bind(addr.parse().expect("an address"), tokens, systemd).map_err(|e| e.exit_code())
        };
        for local in [HERE, "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
            assert_eq!(bind(local, false, false), Ok(()), "{local}");
            assert_eq!(bind(local, false, true), Err(4), "{local}");
        }
        for public in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000"] {
            assert_eq!(bind(public, false, false), Err(4), "{public}");
            assert_eq!(bind(public, true, true), Ok(()), "{public}");
        }
    }
}
