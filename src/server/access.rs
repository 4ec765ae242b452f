//! Who may call. With tokens configured, whoever brings one that has the scope. Without any, only
//! a program on this machine that speaks to it directly. The webhook is guarded by its signature
//! instead.

mod attempts;
mod local;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::Authority;
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{ApiToken, Scope};
use crate::error::{Code, Error};
use crate::metrics;
use attempts::{Attempts, Hold, Verdict};
use local::stranger;

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
    tokens: Arc<[Known]>,
    attempts: Attempts,
}

/// A token as the server keeps it.
#[derive(Debug)]
struct Known {
    /// Its SHA-256: comparing hashes tells nothing of a token's length.
    hash: [u8; 32],
    name: Arc<str>,
    scopes: Vec<Scope>,
}

/// What a request brings that decides whether it may pass.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the route wants its caller to be allowed.
    pub scope: Scope,
    /// Its method.
    pub method: &'a Method,
    /// Who asks; who is not known is a stranger.
    pub caller: Option<&'a Caller>,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// A refusal.
#[derive(Debug)]
pub struct Denied {
    /// What the caller is told.
    pub error: Error,
    /// What the refusal waits for before it is told.
    pub hold: Option<Hold>,
    /// What its token is known by, if that was a good one.
    pub token: Option<Arc<str>>,
}

impl Access {
    /// The rule for the configured tokens.
    #[must_use]
    pub fn new(tokens: &[ApiToken]) -> Self {
        let known = tokens.iter().map(|token| Known {
            hash: Sha256::digest(token.secret.expose()).into(),
            name: token.name.as_str().into(),
            scopes: token.scopes.clone(),
        });
        Self { tokens: known.collect(), attempts: Attempts::default() }
    }

    /// Lets a request pass, telling what its token is known by if it needed one, or says why not.
    ///
    /// # Errors
    /// `unauthorized` or `too_many_attempts` for a missing or wrong token, `forbidden` for one
    /// without the scope; `forbidden` or `unsupported_media_type` where only local programs are
    /// served.
    pub fn check(&self, asked: &Asked<'_>, now: Instant) -> Result<Option<Arc<str>>, Denied> {
        if self.tokens.is_empty() {
            return check_local(asked).map(|()| None).map_err(Denied::at_once);
        }
        let Some(token) = bearer(asked.headers) else {
            metrics::unauthorized("no_token");
            let error = Error::new(Code::Unauthorized, "an API token is needed");
            return Err(Denied::at_once(error.hint("send it as 'Authorization: Bearer <token>'")));
        };
        let known = self.find(token).ok_or_else(|| self.wrong(asked.caller, now))?;
        if known.scopes.contains(&asked.scope) {
            return Ok(Some(Arc::clone(&known.name)));
        }
        let scope = asked.scope.as_str();
        let message = format!("this API token lacks the scope '{scope}'");
        let hint = "use one that has it; as NAME:read+send:TOKEN in the server's CONVO_API_TOKEN, \
                    a token has both";
        let error = Error::new(Code::Forbidden, message).hint(hint);
        Err(Denied { token: Some(Arc::clone(&known.name)), ..Denied::at_once(error) })
    }

    /// Compares with every token, always, so that the time taken tells nothing.
    fn find(&self, token: &[u8]) -> Option<&Known> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let (mut found, mut place) = (Choice::from(0), 0);
        for (at, known) in (0_u64..).zip(self.tokens.iter()) {
            let equal = known.hash.ct_eq(&presented);
            found |= equal;
            place.conditional_assign(&at, equal);
        }
        let place = usize::try_from(place).ok()?;
        bool::from(found).then(|| self.tokens.get(place)).flatten()
    }

    fn wrong(&self, caller: Option<&Caller>, now: Instant) -> Denied {
        metrics::unauthorized("wrong_token");
        match self.attempts.fail(caller.map(|caller| caller.peer.ip()), now) {
            Verdict::Fair => {
                let error = Error::new(Code::Unauthorized, "the API token is wrong");
                Denied::at_once(error.hint("use one of the tokens in CONVO_API_TOKEN"))
            }
            Verdict::TooMany { wait, hold } => {
                let message = "too many wrong API tokens came from this address";
                let error = Error::new(Code::TooManyAttempts, message)
                    .hint("correct the token: a right one is served at once")
                    .with(|extra| extra.retry_after = Some(whole_seconds(wait)));
                Denied { hold, ..Denied::at_once(error) }
            }
        }
    }
}

impl Denied {
    fn at_once(error: Error) -> Self {
        Self { error, hold: None, token: None }
    }
}

/// Rounded up: who comes again after that is not too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn check_local(asked: &Asked<'_>) -> Result<(), Error> {
    if let Some(reason) = stranger(asked.caller, asked.headers) {
        tracing::debug!(reason, "refused a caller without a token");
        let message = "without an API token only programs on the server's machine are served";
        return Err(Error::new(Code::Forbidden, message).hint(SET_TOKEN));
    }
    // A web page may make a browser post anything but JSON without asking the server first.
    if *asked.method == Method::POST && !is_json(asked.headers) {
        return Err(not_json());
    }
    Ok(())
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

/// Whether the tokens are long enough for an address. Where strangers connect, a token that can
/// be guessed is as good as none; on this machine alone it is worth a warning.
///
/// # Errors
/// `not_configured`, naming the first weak token.
pub fn are_strong_enough(addr: SocketAddr, tokens: &[ApiToken]) -> Result<(), Error> {
    const LONGER: &str =
        "give it at least 16 characters, for example those of: openssl rand -hex 16";
    let Some(weak) = tokens.iter().find(|token| token.is_weak()) else { return Ok(()) };
    let name = weak.name.as_str();
    if addr.ip().to_canonical().is_loopback() {
        tracing::warn!(token = name, "an API token is so short that it can be guessed: {LONGER}");
        return Ok(());
    }
    let message =
        format!("the API token '{name}' is so short that strangers who reach {addr} can guess it");
    Err(Error::new(Code::NotConfigured, message).hint(LONGER))
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

#[cfg(test)]
mod tests;
