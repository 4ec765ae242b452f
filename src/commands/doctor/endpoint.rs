//! The webhook URL of the messaging profile: whether a server on this database is behind it, asked
//! through the URL itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::redirect;
use url::{Host, Url};

use super::checks::{Installation, NO_DATABASE};
use super::finding::Finding;
use crate::clock;
use crate::error::{Code, Error};
use crate::net::{cause, is_loopback_host, refuse_socks_proxy};
use crate::telnyx::account::MessagingProfile;
use crate::telnyx::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::threading::{EndpointAnswer, EndpointKey};

const WEBHOOK_URL: &str = "webhook_url";
const VERSION: &str = "webhook_version";
/// The path of the route.
const PATH: &str = "/webhooks/sms";
/// The time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long, Telnyx gives up.
const TELNYX_PATIENCE: Duration = Duration::from_secs(2);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// The webhook URL for the address of a server: the address itself if it has a path.
pub(in crate::commands) fn webhook_path(mut url: Url) -> Url {
    if url.path() == "/" {
        url.set_path(PATH);
    }
    url
}

/// What was found, and the version of the server that was reached through the URL.
pub(super) async fn check(
    installation: &Installation<'_>,
    profiles: &[MessagingProfile],
) -> (Vec<Finding>, Option<String>) {
    if profiles.is_empty() {
        let skipped = [WEBHOOK_URL, VERSION];
        let skipped = skipped.map(|check| Finding::skipped(check, "no messaging profile is known"));
        return (skipped.into(), None);
    }
    let (mut findings, mut reached, mut asked) = (Vec::new(), None, HashSet::new());
    for profile in profiles.iter().filter(|profile| asked.insert(&profile.webhook_url)) {
        let (finding, version) = webhook_url(installation, profile).await;
        findings.push(finding);
        reached = reached.or(version);
    }
    findings.push(api_version(profiles));
    (findings, reached)
}

fn api_version(profiles: &[MessagingProfile]) -> Finding {
    let other = profiles.iter().find(|profile| !profile.has_our_version());
    let Some(other) = other else { return Finding::ok(VERSION, "API version 2") };
    let version = other.webhook_version.as_deref().unwrap_or("unknown");
    let seen = format!("the webhooks of '{}' have API version {version}", other.name);
    let mend = "set the webhook API version of the messaging profile to 2, in the Telnyx portal or with \
                convo setup";
    Finding::failure(VERSION, Code::NotConfigured, seen, mend)
}

async fn webhook_url(
    installation: &Installation<'_>,
    profile: &MessagingProfile,
) -> (Finding, Option<String>) {
    let failure = |seen: String, mend: &str| {
        (Finding::failure(WEBHOOK_URL, Code::NotConfigured, seen, mend), None)
    };
    let set = "set the profile's webhook URL to https://HOST/webhooks/sms, in the Telnyx portal or with \
               convo setup";
    let Some(text) = &profile.webhook_url else {
        return failure(format!("'{}' has no webhook URL: nothing arrives", profile.name), set);
    };
    let Some(url) = Url::parse(text).ok().filter(is_http) else {
        return failure("the webhook URL is not one of http or https".to_owned(), set);
    };
    let text = shown(&url);
    if !is_simulated(installation) && !is_public(&url) {
        return failure(format!("Telnyx cannot reach {text}, which is not a public address"), set);
    }
    let key = match installation.conversations() {
        None => return (Finding::skipped(WEBHOOK_URL, format!("{text}; {NO_DATABASE}")), None),
        Some(conversations) => match conversations.endpoint_key().await {
            Ok(Some(key)) => key,
            Ok(None) => {
                let seen = format!("{text}; no server of this version has run on this database");
                return failure(seen, "start convo serve, and run convo doctor again");
            }
            Err(error) => return (Finding::from_error(WEBHOOK_URL, &error), None),
        },
    };
    let reached = match ask(&url, &key).await {
        Ok(reached) => reached,
        Err(error) => return (Finding::from_error(WEBHOOK_URL, &error), None),
    };
    (judge(&url, reached.time), Some(reached.version))
}

/// A URL that leads to the right server may still not be a good one.
fn judge(url: &Url, time: Duration) -> Finding {
    let shown = shown(url);
    let seen = format!("{shown} leads to a server on this database ({} ms)", time.as_millis());
    if url.scheme() == "http" && !is_here(url) {
        let mend = "use https: without it, anybody on the way can read the texts";
        return Finding::warning(WEBHOOK_URL, format!("{seen}, unencrypted"), mend);
    }
    if time > TELNYX_PATIENCE {
        let mend = "make the way to the server faster: Telnyx waits for 2 s";
        return Finding::warning(WEBHOOK_URL, seen, mend);
    }
    Finding::ok(WEBHOOK_URL, seen)
}

/// A server on this database that has answered.
#[derive(Debug)]
pub(super) struct ReachedServer {
    pub version: String,
    time: Duration,
}

/// Asks whether a server on this database is behind a webhook URL.
///
/// # Errors
/// `server_unreachable` if nothing answers, `server_mismatch` if something else does.
pub(super) async fn ask(url: &Url, key: &EndpointKey) -> Result<ReachedServer, Error> {
    let question = key.ask(clock::now())?;
    let begun = Instant::now();
    let request = client(url)?
        .post(url.clone())
        .header("content-type", "application/json")
        .header(TIMESTAMP_HEADER, &question.timestamp)
        .header(SIGNATURE_HEADER, &question.signature)
        .body(question.body.clone());
    let mut response = request.send().await.map_err(|error| {
        let what = format!("{} cannot be reached: {}", shown(url), cause(&error));
        Error::new(Code::ServerUnreachable, what)
            .hint("check that the server, the tunnel or proxy, and the DNS name work")
    })?;
    let (status, time) = (response.status(), begun.elapsed());
    let mut body = Vec::new();
    let breaks_off = |_| {
        let what = format!("the answer of {} breaks off", shown(url));
        Error::new(Code::ServerUnreachable, what)
            .hint("check the tunnel or proxy before the server")
    };
    while let Some(part) = response.chunk().await.map_err(breaks_off)? {
        body.extend_from_slice(&part);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    let answer: Option<EndpointAnswer> = serde_json::from_slice(&body).ok();
    match answer.filter(|answer| status.is_success() && key.is_proof(&question, answer)) {
        Some(answer) => Ok(ReachedServer { version: answer.version, time }),
        None => Err(not_ours(url, status.as_u16(), &body)),
    }
}

/// Why another answer is not that of a server on this database.
fn not_ours(url: &Url, status: u16, body: &[u8]) -> Error {
    let refusal = Code::InvalidSignature.as_str().as_bytes();
    let is_convo = body.windows(refusal.len()).any(|part| part == refusal);
    let (code, what, hint) = match status {
        401 if is_convo => (
            Code::ServerMismatch,
            "leads to a convo server on another database, or one that was started by an earlier version",
            "restart the server, or correct the webhook URL or DATABASE_URL; on another machine, compare \
             the clocks",
        ),
        300..=399 => (
            Code::ServerMismatch,
            "redirects, which Telnyx does not follow",
            "set the profile's webhook URL to the address that it redirects to",
        ),
        404 | 405 => (
            Code::ServerMismatch,
            "has no webhook there",
            "correct the path: convo's is /webhooks/sms, below whatever the proxy puts before it",
        ),
        502..=504 => (
            Code::ServerUnreachable,
            "leads to a proxy that does not reach the server",
            "start convo serve, and check the proxy's target",
        ),
        _ => (
            Code::ServerMismatch,
            "does not lead to a server on this database",
            "correct the profile's webhook URL, the tunnel or the proxy",
        ),
    };
    Error::new(code, format!("{} {what} (HTTP {status})", shown(url))).hint(hint)
}

/// A URL as it may be printed: without the password that may be in it.
pub(in crate::commands) fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    // Both succeed for a URL with a host.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url
}

fn client(url: &Url) -> Result<reqwest::Client, Error> {
    crate::tls::install();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")))
        // Telnyx does not follow them either.
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE);
    if is_here(url) {
        builder = builder.no_proxy();
    } else {
        refuse_socks_proxy(url.as_str())?;
    }
    if url.scheme() == "http" {
        // Does not load the system's certificates, of which there may be none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|_| {
        Error::new(Code::NotConfigured, "no CA certificates were found")
            .hint("install this system's CA certificates")
    })
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn is_here(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback_host(&host))
}

/// Whether an address may be reachable from the Internet, as far as the URL itself tells.
pub(in crate::commands) fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name.contains('.')
                && ![".local", ".localhost", ".internal", ".test", ".invalid", ".lan"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
        Some(Host::Ipv4(ip)) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        Some(Host::Ipv6(ip)) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
        None => false,
    }
}

/// Whether Telnyx is a simulated one on this machine, which reaches this machine.
fn is_simulated(installation: &Installation<'_>) -> bool {
    let access = installation.config.telnyx();
    installation.config.is_sandbox() || access.is_ok_and(|access| access.base_url.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::FindingVerdict;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_url_that_is_not_encrypted_or_slow_is_told() {
        let verdict = |text: &str, ms| judge(&url(text), Duration::from_millis(ms)).verdict;
        assert_eq!(verdict("https://a.example/webhooks/sms", 100), FindingVerdict::Ok);
        assert_eq!(verdict("http://127.0.0.1:5000/webhooks/sms", 100), FindingVerdict::Ok);
        assert_eq!(verdict("http://a.example/webhooks/sms", 100), FindingVerdict::Warning);
        assert_eq!(verdict("https://a.example/webhooks/sms", 2_001), FindingVerdict::Warning);
    }

    #[test]
    fn private_addresses_are_recognised() {
        for public in ["https://a.ngrok.io/x", "http://93.184.215.14", "https://[2606:2800::1]/"] {
            assert!(is_public(&url(public)), "{public}");
        }
        for private in [
            "http://localhost:5000",
            "http://127.0.0.1",
            "https://192.168.1.2/webhooks/sms",
            "https://10.0.0.1",
            "http://[::1]",
            "http://[fd00::1]",
            "https://server",
            "https://server.local./",
        ] {
            assert!(!is_public(&url(private)), "{private}");
        }
    }

    #[test]
    fn the_path_is_added_where_there_is_none() {
        for (given, expected) in [
            ("https://a.example", "https://a.example/webhooks/sms"),
            ("https://a.example/", "https://a.example/webhooks/sms"),
            ("https://a.example/sms/webhooks/sms", "https://a.example/sms/webhooks/sms"),
        ] {
            assert_eq!(webhook_path(url(given)).as_str(), expected);
        }
    }
}
