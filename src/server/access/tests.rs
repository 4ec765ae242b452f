use futures_util::FutureExt as _;
use http::HeaderValue;

use super::*;
use crate::secret::Secret;

const HERE: &str = "127.0.0.1:40000";

fn caller(peer: &str) -> Option<Caller> {
    Some(from(peer, None))
}

fn from(peer: &str, authority: Option<Authority>) -> Caller {
    // Of no real connection: the system does not tell whose it is.
    let socket = PeerSocket::new(peer.parse().expect("an address"), None);
    Caller { socket: Arc::new(socket), version: Version::HTTP_11, authority }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        headers.append(*name, value);
    }
    headers
}

fn tokens(value: &str) -> Vec<ApiToken> {
    let secrets = value.split(',').map(Secret::new);
    secrets.map(ApiToken::plain).collect()
}

/// Checks a request of a connection of which nothing has to be looked up.
fn decide(
    access: &Access,
    request: &AccessRequest<'_>,
    now: Instant,
) -> Result<Option<Arc<str>>, AccessDenied> {
    access.check(request, now).now_or_never().expect("nothing to wait for")
}

/// The outcome for a caller without a token on a server that has none.
fn local(method: &Method, caller: Option<&Caller>, lines: &[(&'static str, &str)]) -> &'static str {
    let headers = headers(lines);
    let request = AccessRequest { scopes: &[Scope::Read], method, caller, headers: &headers };
    let checked = decide(&Access::new(&[]), &request, Instant::now());
    checked.map_or_else(|denied| denied.error.code().as_str(), |_| "served")
}

fn get(lines: &[(&'static str, &str)]) -> &'static str {
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
fn another_machine_and_an_unknown_peer_are_not_local() {
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
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
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
    let with = |authority| from(HERE, Some(Authority::from_static(authority)));
    let host = [("host", "localhost")];
    assert_eq!(local(&Method::GET, Some(&with("evil.com")), &host), "forbidden");
    assert_eq!(local(&Method::GET, Some(&with("localhost:5000")), &host), "served");
}

#[test]
fn web_pages_and_proxies_are_not_local() {
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
fn a_public_address_or_a_service_needs_a_token() {
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

/// The outcome for a caller with a token, and the token's name.
fn asks(
    access: &Access,
    scopes: &'static [Scope],
    peer: &str,
    authorization: &str,
    now: Instant,
) -> (&'static str, Option<String>) {
    let (caller, headers) = (caller(peer), headers(&[("authorization", authorization)]));
    let method = &Method::GET;
    let request = AccessRequest { scopes, method, caller: caller.as_ref(), headers: &headers };
    match decide(access, &request, now) {
        Ok(name) => ("served", name.map(|name| name.to_string())),
        Err(denied) => (denied.error.code().as_str(), denied.token.map(|name| name.to_string())),
    }
}

#[test]
fn any_configured_token_is_accepted_and_nothing_else() {
    let access = Access::new(&tokens("first,second"));
    let ask = |lines: &[(&'static str, &str)]| {
        let (remote, headers) = (caller("192.0.2.1:1"), headers(lines));
        let caller = remote.as_ref();
        let request = AccessRequest {
            scopes: &[Scope::Send],
            method: &Method::POST,
            caller,
            headers: &headers,
        };
        decide(&access, &request, Instant::now()).map_err(|denied| denied.error.code())
    };
    for good in ["Bearer first", "bearer second", "BEARER  second "] {
        assert!(matches!(ask(&[("authorization", good)]), Ok(Some(_))), "{good}");
    }
    for bad in ["", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer firstx", "Basic first"] {
        assert_eq!(ask(&[("authorization", bad)]), Err(Code::Unauthorized), "{bad}");
    }
    assert_eq!(ask(&[]), Err(Code::Unauthorized));
    let twice = [("authorization", "Bearer first"), ("authorization", "Bearer first")];
    assert_eq!(ask(&twice), Err(Code::Unauthorized));
}

#[test]
fn with_tokens_configured_being_local_does_not_help() {
    let access = Access::new(&tokens("first"));
    let local = headers(&[("host", "localhost")]);
    let caller = caller(HERE);
    let caller = caller.as_ref();
    let request =
        AccessRequest { scopes: &[Scope::Read], method: &Method::GET, caller, headers: &local };
    let refused = decide(&access, &request, Instant::now()).map_err(|denied| denied.error.code());
    assert_eq!(refused, Err(Code::Unauthorized));
}

#[test]
fn a_token_permits_its_scopes_and_is_known_by_its_name() {
    let named = |name: &str, scope, secret: &str| ApiToken {
        name: name.to_owned(),
        scopes: vec![scope],
        secret: Secret::new(secret),
    };
    let mut all = vec![named("reader", Scope::Read, "r"), named("sender", Scope::Send, "s")];
    all.extend(tokens("abc"));
    let access = Access::new(&all);
    let ask =
        |scope, token: &str| asks(&access, scope, HERE, &format!("Bearer {token}"), Instant::now());
    let outcome = |word: &'static str, name: &str| (word, Some(name.to_owned()));
    assert_eq!(ask(&[Scope::Read], "r"), outcome("served", "reader"));
    assert_eq!(ask(&[Scope::Send], "r"), outcome("forbidden", "reader"));
    assert_eq!(ask(&[Scope::Send], "s"), outcome("served", "sender"));
    assert_eq!(ask(&[Scope::Read], "s"), outcome("forbidden", "sender"));
    assert_eq!(ask(&[Scope::Metrics, Scope::Read], "r"), outcome("served", "reader"));
    for scope in [&[Scope::Read], &[Scope::Send], &[Scope::Admin], &[Scope::Metrics]] {
        assert_eq!(ask(scope, "abc"), outcome("served", "ba7816bf"));
        assert_eq!(ask(scope, "abd"), ("unauthorized", None));
    }
}

#[test]
fn wrong_tokens_are_rate_limited_and_valid_ones_are_not() {
    let (access, now) = (Access::new(&tokens("right")), Instant::now());
    let ask =
        |peer: &str, authorization: &str| asks(&access, &[Scope::Read], peer, authorization, now).0;
    let guesser = "192.0.2.1:1";
    let words: Vec<_> = (0..50).map(|_| ask(guesser, "Bearer wrong")).collect();
    let limited = words.iter().position(|word| *word == "too_many_attempts").expect("rate limited");
    assert!(words[..limited].iter().all(|word| *word == "unauthorized"), "{words:?}");
    assert!(words[limited..].iter().all(|word| *word == "too_many_attempts"), "{words:?}");
    // Others behind the same proxy are served like anyone else.
    for peer in [guesser, "192.0.2.1:2", "192.0.2.2:1"] {
        assert_eq!(ask(peer, "Bearer right"), "served");
    }
    assert_eq!(ask(guesser, "Basic x"), "unauthorized", "not counted as a guess");
    assert_eq!(ask("192.0.2.2:1", "Bearer wrong"), "unauthorized");
}

#[test]
fn a_rate_limited_refusal_has_retry_after_and_is_delayed() {
    let (access, now) = (Access::new(&tokens("right")), Instant::now());
    let (caller, headers) = (caller(HERE), headers(&[("authorization", "Bearer wrong")]));
    let caller = caller.as_ref();
    let request =
        AccessRequest { scopes: &[Scope::Read], method: &Method::GET, caller, headers: &headers };
    let mut refusals =
        std::iter::repeat_with(|| decide(&access, &request, now).expect_err("wrong"));
    let limited = refusals.find(|denied| denied.delay.is_some()).expect("rate limited");
    assert_eq!(limited.error.http_status(), 429);
    assert_eq!(limited.error.extra().retry_after, Some(6));
}

#[test]
fn a_public_address_needs_tokens_that_cannot_be_guessed() {
    let strong = |addr: &str, token: &str| {
        are_strong_enough(addr.parse().expect("an address"), &tokens(token))
            .map_err(|error| (error.exit_code(), error.to_string().contains(token)))
    };
    for local in [HERE, "[::1]:5000"] {
        assert_eq!(strong(local, "s3cret"), Ok(()));
    }
    for public in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000"] {
        assert_eq!(strong(public, "s3cret"), Err((4, false)));
        assert_eq!(strong(public, "0123456789abcdef"), Ok(()));
        assert_eq!(strong(public, "0123456789abcdef,s3cret"), Err((4, false)));
    }
}

#[test]
fn tokens_are_not_in_debug_output() {
    assert!(!format!("{:?}", Access::new(&tokens("first"))).contains("first"));
}
