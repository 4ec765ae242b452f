//! Where events are forwarded to, as the settings say: names, URLs, secrets, filters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::filter;
use super::signature::{SigningSecret, is_secret_length};
use crate::domain::FeedFilter;
use crate::domain::forward::is_forward_name;
use crate::error::{Code, Error};
use crate::net::{RootUrl, UrlFault};

/// The variables, as errors name them.
const URL: &str = "CONVO_FORWARD_URL";
const SECRET: &str = "CONVO_FORWARD_SECRET";
const FILTER: &str = "CONVO_FORWARD_FILTER";
/// The name of an only URL.
const DEFAULT_NAME: &str = "default";
/// The most names. Each reads the feed by itself.
const MAX_TARGETS: usize = 32;
/// How a secret begins.
const SECRET_PREFIX: &str = "whsec_";

/// A receiver of events. `Debug` shows neither its secrets nor the query of its URL.
#[derive(Clone, Debug)]
pub struct ForwardTarget {
    /// Its place and state in the database belong to this name.
    pub name: String,
    pub(super) url: TargetUrl,
    pub(super) secrets: Vec<SigningSecret>,
    pub(super) filter: FeedFilter,
}

/// A URL that events are posted to. Its query may hold a secret.
#[derive(Clone)]
pub(super) struct TargetUrl {
    full: Url,
    shown: String,
    pub(super) is_loopback: bool,
    pub(super) is_encrypted: bool,
}

impl std::fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Parses the values of the three variables.
///
/// # Errors
/// `not_configured`. No error repeats a URL or a secret.
pub(crate) fn parse_targets(
    urls: &str,
    secrets: Option<&str>,
    filters: Option<&str>,
) -> Result<Vec<ForwardTarget>, Error> {
    let mut targets: Vec<ForwardTarget> = Vec::new();
    for entry in urls.split_whitespace() {
        let (name, url) = named(entry, '=');
        let name = name.unwrap_or(DEFAULT_NAME).to_owned();
        if targets.iter().any(|target| target.name == name) {
            return Err(refuse(URL, &format!("has two URLs for the name '{name}'"))
                .hint("write several as NAME=URL, each with another name"));
        }
        let url = TargetUrl::parse(url).map_err(|why| refuse(URL, why))?;
        let (secrets, filter) = (Vec::new(), FeedFilter::default());
        targets.push(ForwardTarget { name, url, secrets, filter });
    }
    if targets.len() > MAX_TARGETS {
        return Err(refuse(URL, &format!("has more than {MAX_TARGETS} URLs")));
    }
    for (name, secret) in secrets.unwrap_or_default().split_whitespace().map(|e| named(e, '=')) {
        let secrets = secret.split(',').map(parse_secret).collect::<Result<Vec<_>, _>>()?;
        set(&mut targets, SECRET, name, |target| target.secrets.clone_from(&secrets))?;
    }
    for (name, filter) in filters.unwrap_or_default().split_whitespace().map(|e| named(e, ':')) {
        let filter = filter::parse(filter).map_err(|why| refuse(FILTER, &why))?;
        set(&mut targets, FILTER, name, |target| target.filter.clone_from(&filter))?;
    }
    if let Some(target) = targets.iter().find(|target| target.secrets.is_empty()) {
        let what = format!("{SECRET} has no secret for '{}', which {URL} names", target.name);
        return Err(Error::new(Code::NotConfigured, what).hint(
            "set it to whsec_ and the base64 of 24 to 64 random bytes: \
             echo whsec_$(head -c 32 /dev/urandom | base64)",
        ));
    }
    Ok(targets)
}

/// The name before a separator, if there is one, and the rest.
fn named(entry: &str, separator: char) -> (Option<&str>, &str) {
    match entry.split_once(separator) {
        Some((name, rest)) if is_forward_name(name) && !name.starts_with(SECRET_PREFIX) => {
            (Some(name), rest)
        }
        _ => (None, entry),
    }
}

/// Changes the target of a name; without one, all that no entry names.
fn set(
    targets: &mut [ForwardTarget],
    variable: &str,
    name: Option<&str>,
    change: impl Fn(&mut ForwardTarget),
) -> Result<(), Error> {
    let Some(name) = name else {
        targets.iter_mut().for_each(change);
        return Ok(());
    };
    let Some(target) = targets.iter_mut().find(|target| target.name == name) else {
        let what = format!("names '{name}', which {URL} does not");
        return Err(refuse(variable, &what).hint("names are case-sensitive"));
    };
    change(target);
    Ok(())
}

fn parse_secret(text: &str) -> Result<SigningSecret, Error> {
    let decoded = text.strip_prefix(SECRET_PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
    decoded.filter(|key| is_secret_length(key.len())).map(SigningSecret::new).ok_or_else(|| {
        refuse(SECRET, "is not a secret of Standard Webhooks").hint(
            "write it as whsec_ and the base64 of 24 to 64 bytes; separate several secrets of one \
             name with commas",
        )
    })
}

fn refuse(variable: &str, why: &str) -> Error {
    Error::new(Code::NotConfigured, format!("{variable} {why}"))
}

impl TargetUrl {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let full =
            Url::parse(text).map_err(|_| "is not a URL of https, or of http on this machine")?;
        let mut bare = full.clone();
        bare.set_query(None);
        let root = RootUrl::parse(bare.as_str()).map_err(|fault| match fault {
            UrlFault::NotHttp => "is not a URL of https, or of http on this machine",
            UrlFault::Credentials => {
                "has a user name or password in a URL: receivers check the signature"
            }
            UrlFault::QueryOrFragment => "has a URL with a fragment (#)",
        })?;
        if !root.is_private() {
            return Err("would send messages unencrypted over a network: use https");
        }
        let (is_loopback, is_encrypted) = (root.is_loopback(), root.is_encrypted());
        Ok(Self { full, shown: bare.into(), is_loopback, is_encrypted })
    }

    pub(super) fn full(&self) -> &Url {
        &self.full
    }

    /// Without the query.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FeedKind;

    const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(urls: &str, secrets: &str, filters: &str) -> Result<Vec<ForwardTarget>, String> {
        parse_targets(urls, Some(secrets), Some(filters)).map_err(|error| error.to_string())
    }

    #[test]
    fn one_url_is_the_default() {
        let targets = parse("https://example.com/hook?token=x", ONE, "").expect("a target");
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].name, "default");
        assert_eq!(targets[0].url.shown(), "https://example.com/hook");
        assert_eq!(targets[0].url.full().as_str(), "https://example.com/hook?token=x");
        assert!(!format!("{targets:?}").contains("token"));
    }

    #[test]
    fn several_urls_have_names_secrets_and_filters_of_their_own() {
        let urls = "crm=https://a.example/?x=y\n audit=http://127.0.0.1:9/h";
        let secrets = format!("{ONE} audit={OTHER},{ONE}");
        let targets = parse(urls, &secrets, "audit:kind=message,status").expect("two targets");
        let secrets: Vec<_> = targets.iter().map(|target| target.secrets.len()).collect();
        assert_eq!((targets[0].name.as_str(), targets[1].name.as_str()), ("crm", "audit"));
        assert_eq!(secrets, [1, 2]);
        assert_eq!(targets[0].filter, FeedFilter::default());
        assert_eq!(targets[1].filter.kinds, [FeedKind::Message, FeedKind::Status]);
        let targets = parse("a=https://a b=https://b", ONE, "direction=inbound").expect("targets");
        assert!(targets.iter().all(|target| target.filter.direction.is_some()));
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        for (urls, secrets, filters) in [
            ("http://example.com/secret", ONE, ""),
            ("http://10.0.0.1/secret", ONE, ""),
            ("https://user:secret@example.com", ONE, ""),
            ("https://example.com/#secret", ONE, ""),
            ("ftp://secret", ONE, ""),
            ("https://a https://b", ONE, ""),
            ("https://a", "", ""),
            ("a=https://a b=https://b", "a=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
            ("https://a", "whsec_c2VjcmV0", ""),
            ("https://a", "secret", ""),
            ("https://a", "b=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
            ("https://a", ONE, "kind=secret"),
            ("https://a", ONE, "b:kind=message"),
            ("https://a", ONE, "colour=red"),
        ] {
            let error = parse(urls, secrets, filters).expect_err(urls);
            assert!(error.starts_with("CONVO_FORWARD_"), "{error}");
            assert!(!error.contains("secret@") && !error.contains("/secret"), "{error}");
        }
    }
}
