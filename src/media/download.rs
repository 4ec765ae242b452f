//! One attempt to download a medium: from public addresses only, without a proxy, and every redirect is
//! checked like the link itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use sha2::{Digest, Sha256};
use url::{Origin, Url};

use super::PublicResolver;
use super::address::{NotPublic, is_allowed};
use crate::domain::{ContentHash, Media};
use crate::error::{Code, Error};
use crate::net;
use crate::secret::Secret;
use crate::telnyx::BaseUrl;
use crate::tls;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent, and how long a download may take.
const SILENCE: Duration = Duration::from_secs(20);
const DOWNLOAD_TIME: Duration = Duration::from_secs(120);
/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3_600);
/// The domain of Telnyx's servers, which get the API key if they ask for it.
const TELNYX: &str = "telnyx.com";

/// Downloads media.
#[derive(Clone, Debug)]
pub struct Downloader {
    /// For public addresses; `None` where Telnyx is simulated: nothing is then fetched from elsewhere.
    public: Option<Client>,
    /// For a simulated Telnyx on this machine.
    simulated: Option<(Origin, Client)>,
    api_key: Option<Secret>,
    max_size: usize,
}

/// Why a download failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DownloadFailure {
    /// It has more than the limit.
    TooLarge,
    /// The link, or a redirect, leads to an address that is not allowed.
    NotAllowed,
    /// The server says that it is gone for good.
    Gone,
    /// It may succeed later.
    Again { error: String, asked: Option<Duration> },
}

impl DownloadFailure {
    fn again(error: impl Into<String>) -> Self {
        Self::Again { error: error.into(), asked: None }
    }
}

impl Downloader {
    /// Does not connect yet. `base_url` is that of Telnyx, or of a simulated one on this machine, whose
    /// media are fetched although its address is not public, and no others.
    ///
    /// # Errors
    /// `not_configured` if TLS cannot be set up.
    pub fn new(
        base_url: &BaseUrl,
        api_key: Option<Secret>,
        max_size: usize,
    ) -> Result<Self, Error> {
        tls::install();
        let builder = || {
            Client::builder()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(SILENCE)
                .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")))
        };
        let failed = |error: reqwest::Error| {
            let what = format!("TLS cannot be set up: {}", net::cause(&error));
            Error::new(Code::NotConfigured, what).hint("install the system's CA certificates")
        };
        let (simulated, public) = if base_url.is_loopback() {
            let origin = Url::parse(base_url.as_str()).map_err(|_| Error::internal())?.origin();
            // Does not load the system's certificates, of which there may be none.
            let plain = builder().tls_certs_only([]).build().map_err(failed)?;
            (Some((origin, plain)), None)
        } else {
            let public = builder().https_only(true).dns_resolver(PublicResolver).build();
            (None, Some(public.map_err(failed)?))
        };
        Ok(Self { public, simulated, api_key, max_size })
    }

    /// Downloads what is at a URL.
    pub(super) async fn download(&self, url: &str) -> Result<Bytes, DownloadFailure> {
        match tokio::time::timeout(DOWNLOAD_TIME, self.follow(url)).await {
            Ok(ended) => ended,
            Err(_) => Err(DownloadFailure::again("the download took too long")),
        }
    }

    async fn follow(&self, url: &str) -> Result<Bytes, DownloadFailure> {
        let mut url = Url::parse(url).map_err(|_| DownloadFailure::NotAllowed)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url).await?;
            if !response.status().is_redirection() {
                return self.receive(response).await;
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let target = location.and_then(|to| url.join(to).ok());
            url = target.ok_or_else(|| DownloadFailure::again("a redirect leads nowhere"))?;
        }
        Err(DownloadFailure::again("too many redirects"))
    }

    /// Requests a URL; with the API key if it is one of Telnyx that asks for it.
    async fn ask(&self, url: &Url) -> Result<Response, DownloadFailure> {
        let client = self.client(url).ok_or(DownloadFailure::NotAllowed)?;
        let response = client.get(url.clone()).send().await.map_err(|error| failure(&error))?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_telnyx(url) {
            return Ok(response);
        }
        let Some(key) = &self.api_key else { return Ok(response) };
        let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", key.expose())) else {
            return Ok(response);
        };
        bearer.set_sensitive(true);
        let request = client.get(url.clone()).header(AUTHORIZATION, bearer);
        request.send().await.map_err(|error| failure(&error))
    }

    /// The client for a URL; `None` if it must not be asked.
    fn client(&self, url: &Url) -> Option<&Client> {
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        match &self.simulated {
            Some((origin, client)) if url.origin() == *origin => Some(client),
            _ => self.public.as_ref().filter(|_| is_allowed(url)),
        }
    }

    /// Whether a URL that may be asked is of Telnyx, or of the simulated one.
    fn is_telnyx(&self, url: &Url) -> bool {
        let is_simulated =
            self.simulated.as_ref().is_some_and(|(origin, _)| url.origin() == *origin);
        let host = url.host_str().unwrap_or_default();
        let is_below = host.strip_suffix(TELNYX).is_some_and(|rest| rest.ends_with('.'));
        is_simulated || (url.scheme() == "https" && (host == TELNYX || is_below))
    }

    async fn receive(&self, mut response: Response) -> Result<Bytes, DownloadFailure> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Err(DownloadFailure::Gone),
            status => {
                let error = format!("the server answered {}", status.as_u16());
                return Err(DownloadFailure::Again { error, asked: asked_pause(&response) });
            }
        }
        let max_size = u64::try_from(self.max_size).unwrap_or(u64::MAX);
        let announced = response.content_length();
        if announced.is_some_and(|length| length > max_size) {
            return Err(DownloadFailure::TooLarge);
        }
        let mut content = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|error| failure(&error))? {
            if content.len() + part.len() > self.max_size {
                return Err(DownloadFailure::TooLarge);
            }
            content.extend_from_slice(&part);
        }
        Ok(content.freeze())
    }
}

/// Whether content is what the event about its message announced.
pub(super) fn is_as_announced(content: &[u8], medium: &Media) -> bool {
    let announced = medium.sha256.as_deref().and_then(ContentHash::parse);
    let found = announced.and_then(|_| ContentHash::from_bytes(&Sha256::digest(content)));
    medium.size.is_none_or(|size| size == content.len() as u64) && announced == found
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    after.trim().parse().ok().map(Duration::from_secs).map(|asked| asked.min(LONGEST_ASKED))
}

fn failure(error: &reqwest::Error) -> DownloadFailure {
    let is_refusal =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<NotPublic>().is_some();
    if net::causes(error).any(is_refusal) {
        return DownloadFailure::NotAllowed;
    }
    DownloadFailure::again(if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connect() {
        "the server could not be reached"
    } else {
        "the connection broke off"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn downloader(base_url: &str) -> Downloader {
        let base_url = BaseUrl::parse(base_url).expect("a base URL");
        Downloader::new(&base_url, Some(Secret::new("KEY")), 1_000).expect("a client")
    }

    #[test]
    fn the_key_is_for_telnyx_alone() {
        let real = downloader(BaseUrl::TELNYX);
        let is_telnyx = |url: &str| real.is_telnyx(&Url::parse(url).expect("a URL"));
        assert!(is_telnyx("https://telnyx.com/a") && is_telnyx("https://media.telnyx.com/a"));
        for url in [
            "http://media.telnyx.com/a",
            "https://eviltelnyx.com/",
            "https://telnyx.com.example/",
            "https://example.com/telnyx.com",
        ] {
            assert!(!is_telnyx(url), "{url}");
        }
    }

    #[tokio::test]
    async fn this_machine_is_not_asked_unless_telnyx_is_simulated_there() {
        let simulated = downloader("http://127.0.0.1:9/v2");
        let may_ask = |url: &str| simulated.client(&Url::parse(url).expect("a URL")).is_some();
        assert!(may_ask("http://127.0.0.1:9/picture.png"));
        assert!(!may_ask("http://127.0.0.1:10/"), "another port");
        assert!(!may_ask("https://127.0.0.1:9/"), "another scheme");
        assert!(!may_ask("http://localhost:9/"), "another name");
        assert!(!may_ask("https://media.telnyx.com/"), "nothing leaves this machine");
        let real = downloader(BaseUrl::TELNYX);
        assert!(real.client(&Url::parse("https://media.telnyx.com/").expect("a URL")).is_some());
        for url in [
            "http://127.0.0.1:9/",
            "https://127.0.0.1:9/",
            "https://localhost:9/",
            "https://user:secret@media.telnyx.com/",
            "no URL",
        ] {
            assert_eq!(real.download(url).await, Err(DownloadFailure::NotAllowed), "{url}");
        }
    }

    #[test]
    fn content_is_held_against_what_was_announced() {
        let digest = ContentHash::from_bytes(&Sha256::digest(b"abc")).expect("a hash").to_string();
        let announced = |size, sha256: Option<&str>| Media {
            size,
            sha256: sha256.map(str::to_owned),
            ..Media::at("https://example.com/")
        };
        assert!(is_as_announced(b"abc", &announced(None, None)));
        assert!(is_as_announced(b"abc", &announced(Some(3), Some(&digest))));
        assert!(is_as_announced(b"abc", &announced(None, Some("unreadable"))));
        assert!(!is_as_announced(b"ab", &announced(Some(3), None)));
        assert!(!is_as_announced(b"abd", &announced(Some(3), Some(&digest))));
    }
}
