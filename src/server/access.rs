//! Access control of the REST API. If tokens are configured, a request needs one with the route's
//! scope. Otherwise only programs on this machine that connect directly are served. The webhook is
//! authenticated by its signature instead.

mod attempts;
mod local;
mod peer;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::Authority;
use http::{HeaderMap, Method, Version};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::error::{Code, Error};
use crate::metrics::{self, AuthFailure};
use crate::net::is_loopback;
use attempts::{Attempts, FailedAttempt, RefusalDelay};
use local::why_not_local;
pub(super) use peer::PeerSocket;
pub(crate) use token::parse_tokens;
pub use token::{ApiToken, Scope};

/// The hint for callers whom only a token would help.
const SET_TOKEN: &str = "set CONVO_API_TOKEN on the server and send it as 'Authorization: Bearer'";

/// The origin of a request, added to its extensions by the service of its connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The connection that it came on.
    pub(super) socket: Arc<PeerSocket>,
    /// The version of HTTP.
    pub(super) version: Version,
    /// The host in the request line, which takes precedence over `Host`.
    pub(super) authority: Option<Authority>,
}

/// Decides who may call the REST API.
#[derive(Clone, Debug, Default)]
pub struct Access {
    tokens: Arc<[KnownToken]>,
    attempts: Attempts,
}

/// A token as the server keeps it.
#[derive(Debug)]
struct KnownToken {
    /// SHA-256: comparing hashes does not reveal the length of a token.
    hash: [u8; 32],
    name: Arc<str>,
    scopes: Vec<Scope>,
}

/// What access depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessRequest<'a> {
    /// The scopes of which the route requires one.
    pub(super) scopes: &'static [Scope],
    pub(super) method: &'a Method,
    /// `None` counts as another machine.
    pub(super) caller: Option<&'a Caller>,
    pub(super) headers: &'a HeaderMap,
}

/// A refused request.
#[derive(Debug)]
pub(super) struct AccessDenied {
    pub(super) error: Error,
    pub(super) delay: Option<RefusalDelay>,
    /// The name of the token, if it is a valid one without the scope.
    pub(super) token: Option<Arc<str>>,
}

impl Access {
    /// Without tokens, access is for local programs only.
    #[must_use]
    pub fn new(tokens: &[ApiToken]) -> Self {
        let known = tokens.iter().map(|token| KnownToken {
            hash: Sha256::digest(token.secret.expose()).into(),
            name: token.name.as_str().into(),
            scopes: token.scopes.clone(),
        });
        Self { tokens: known.collect(), attempts: Attempts::default() }
    }

    /// Admits a request and returns the name of its token, or `None` if none is needed.
    pub(super) async fn check(
        &self,
        request: &AccessRequest<'_>,
        now: Instant,
    ) -> Result<Option<Arc<str>>, AccessDenied> {
        if self.tokens.is_empty() {
            return check_local(request).await.map(|()| None).map_err(AccessDenied::from);
        }
        let Some(token) = bearer_token(request.headers) else {
            metrics::unauthorized(AuthFailure::NoToken);
            let error = Error::new(Code::Unauthorized, "an API token is required");
            return Err(error.hint("send it as 'Authorization: Bearer <token>'").into());
        };
        let known = self.find(token).ok_or_else(|| self.wrong_token(request.caller, now))?;
        if request.scopes.iter().any(|scope| known.scopes.contains(scope)) {
            return Ok(Some(Arc::clone(&known.name)));
        }
        let scope = request.scopes.first().copied().map_or("", Scope::as_str);
        let message = format!("this API token lacks the scope '{scope}'");
        let hint = "use a token that has it; in the server's CONVO_API_TOKEN, \
                    NAME:read+send:TOKEN gives a token both scopes";
        let error = Error::new(Code::Forbidden, message).hint(hint);
        Err(AccessDenied { token: Some(Arc::clone(&known.name)), ..error.into() })
    }

    /// As [`check`](Self::check), for a route that is open to everyone and tells more to those who
    /// have access. Returns whether this caller has; only a wrong token is refused.
    pub(super) async fn check_open(
        &self,
        request: &AccessRequest<'_>,
        now: Instant,
    ) -> Result<(bool, Option<Arc<str>>), AccessDenied> {
        if !self.tokens.is_empty() && bearer_token(request.headers).is_none() {
            return Ok((false, None));
        }
        match self.check(request, now).await {
            Ok(token) => Ok((true, token)),
            Err(denied) if denied.error.code() == Code::Forbidden => Ok((false, denied.token)),
            Err(denied) => Err(denied),
        }
    }

    /// Always compares with every token, in constant time.
    fn find(&self, token: &[u8]) -> Option<&KnownToken> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let mut found = Choice::from(0);
        let mut position = 0;
        for (index, known) in (0_u64..).zip(self.tokens.iter()) {
            let equal = known.hash.ct_eq(&presented);
            found |= equal;
            position.conditional_assign(&index, equal);
        }
        let position = usize::try_from(position).ok()?;
        bool::from(found).then(|| self.tokens.get(position)).flatten()
    }

    fn wrong_token(&self, caller: Option<&Caller>, now: Instant) -> AccessDenied {
        metrics::unauthorized(AuthFailure::WrongToken);
        match self.attempts.fail(caller.map(|caller| caller.socket.peer.ip()), now) {
            FailedAttempt::WithinLimit => {
                let error = Error::new(Code::Unauthorized, "the API token is wrong");
                error.hint("use one of the tokens in CONVO_API_TOKEN").into()
            }
            FailedAttempt::TooMany { retry_after, delay } => {
                let message = "too many wrong API tokens from this address";
                let error = Error::new(Code::TooManyAttempts, message)
                    .hint("correct the token: a valid one is accepted immediately")
                    .with(|extra| extra.retry_after = Some(whole_seconds(retry_after)));
                AccessDenied { delay, ..error.into() }
            }
        }
    }
}

impl From<Error> for AccessDenied {
    fn from(error: Error) -> Self {
        Self { error, delay: None, token: None }
    }
}

/// Rounded up, so that a caller that waits this long is not too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

async fn check_local(request: &AccessRequest<'_>) -> Result<(), Error> {
    if let Some(reason) = why_not_local(request.caller, request.headers).await {
        tracing::debug!(reason, "refused a caller without a token");
        let message = "without an API token, only programs on the server's machine are served";
        return Err(Error::new(Code::Forbidden, message).hint(SET_TOKEN));
    }
    // A web page can make a browser post other content types without a CORS preflight.
    if *request.method == Method::POST && !is_json(request.headers) {
        return Err(not_json());
    }
    Ok(())
}

/// Checks whether a server may listen at an address. Without a token it may only listen on a
/// loopback address, and not at all as a service.
///
/// # Errors
/// `not_configured`, naming the variable to set.
pub(crate) fn may_bind(
    addr: SocketAddr,
    has_tokens: bool,
    under_systemd: bool,
) -> Result<(), Error> {
    let refuse = |message: String| {
        Err(Error::new(Code::NotConfigured, message)
            .hint("set CONVO_API_TOKEN, or listen on 127.0.0.1 to try convo out"))
    };
    if has_tokens {
        Ok(())
    } else if !is_loopback(addr.ip()) {
        refuse(format!("listening on {addr} without an API token would give anyone access"))
    } else if under_systemd {
        refuse("an API token is required under systemd".to_owned())
            .map_err(|error| error.hint("set CONVO_API_TOKEN"))
    } else {
        Ok(())
    }
}

/// Checks whether the tokens are long enough for an address. Reachable from other machines, a token
/// that can be guessed is as bad as none; on a loopback address it only causes a warning.
///
/// # Errors
/// `not_configured`, naming the first weak token.
pub(crate) fn are_strong_enough(addr: SocketAddr, tokens: &[ApiToken]) -> Result<(), Error> {
    const LONGER: &str =
        "use at least 16 random characters, for example from: openssl rand -hex 16";
    let Some(weak) = tokens.iter().find(|token| token.is_weak()) else { return Ok(()) };
    let name = weak.name.as_str();
    if is_loopback(addr.ip()) {
        tracing::warn!(token = name, "an API token is so short that it can be guessed: {LONGER}");
        return Ok(());
    }
    let message =
        format!("the API token '{name}' is so short that anyone who can reach {addr} can guess it");
    Err(Error::new(Code::NotConfigured, message).hint(LONGER))
}

/// Whether the `Content-Type` is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The error for a body with another `Content-Type`.
pub(super) fn not_json() -> Error {
    Error::new(Code::UnsupportedMediaType, "the body must be JSON")
        .hint("send the header 'Content-Type: application/json'")
}

/// The token of the `Authorization` header, if there is exactly one.
fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests;
