//! Settings: flags over environment over `.env`, read here and nowhere else.

mod source;
mod token;
mod values;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::server::{Limits, Stop};
use crate::store::{Location, Mode};
use crate::threading::Policy;
pub use source::{SECRETS, Source, VARIABLES};
pub use token::{ApiToken, Scope};

/// Telnyx's v2 API.
const TELNYX_API: &str = "https://api.telnyx.com/v2";
/// Where the threads are by default, and where play is.
const DATABASE: &str = "sqlite:///conversations.db";
const SANDBOX_DATABASE: &str = "sqlite:///sandbox.db";
/// Where `serve` listens by default.
const LISTEN: &str = "127.0.0.1:5000";
/// A text that must never be shown: `Debug` prints a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the command line says; it wins over every variable.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--sandbox`.
    pub sandbox: bool,
    /// `--server`.
    pub server: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
}

/// What the user asked for, resolved and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the threads are kept.
    pub database: Location,
    /// Our key to Telnyx's API.
    pub api_key: Option<Secret>,
    /// The public keys that sign webhooks, as configured (base64 of 32 bytes).
    pub public_keys: Vec<String>,
    /// Our own numbers; the first is the default sender.
    pub numbers: Vec<PhoneNumber>,
    /// Telnyx's v2 API, without a final slash.
    pub telnyx_base_url: String,
    /// Where `serve` listens, as `host:port`.
    pub listen: String,
    /// The convo server to talk to instead of the database, without a final slash.
    pub server: Option<String>,
    /// Tokens of the REST API: a server accepts each, a client uses the first.
    pub api_tokens: Vec<ApiToken>,
    /// The filter of the log.
    pub log: Option<String>,
    /// Play mode: a simulated Telnyx and a database of its own.
    pub sandbox: bool,
    /// How sends are made.
    pub policy: Policy,
    /// What callers of a server may take.
    pub limits: Limits,
    /// How a server stops.
    pub stop: Stop,
    /// How long the start of a server waits for a database that is away.
    pub start_timeout: Duration,
    /// Whether systemd started this program.
    pub under_systemd: bool,
    /// Whether it passed sockets to it.
    pub has_sockets: bool,
}

impl Config {
    /// Resolves every setting.
    ///
    /// # Errors
    /// `not_configured` for a value that makes no sense, naming its variable; `invalid_request`
    /// for flags that contradict each other.
    pub fn resolve(flags: &Flags, source: &Source) -> Result<Self, Error> {
        let mut config = if flags.sandbox { sandbox(source)? } else { real(source)? };
        config.under_systemd = source.under_systemd();
        config.has_sockets = source.has_sockets();
        if let Some(listen) = flags.listen.clone().or(source.text("CONVO_LISTEN")?) {
            config.listen = listen;
        }
        if let Some(server) = &flags.server {
            if flags.sandbox {
                return Err(Error::invalid("--server and --sandbox contradict each other")
                    .hint("a sandbox server is used like any other: leave --sandbox out"));
            }
            config.server = Some(server.clone());
        }
        config.server = config.server.map(|url| url.trim_end_matches('/').to_owned());
        Ok(config)
    }

    /// Whether real threads or play.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.sandbox { Mode::Sandbox } else { Mode::Real }
    }
}

fn real(source: &Source) -> Result<Config, Error> {
    let (database, base) =
        source.located("DATABASE_URL")?.unwrap_or((DATABASE.to_owned(), source.directory()));
    Ok(Config {
        database: Location::parse(&database, &base)?,
        api_key: source.text("TELNYX_API_KEY")?.map(Secret),
        public_keys: list(source.text("TELNYX_PUBLIC_KEY")?),
        numbers: numbers(source.text("TELNYX_PHONE_NUMBER")?)?,
        telnyx_base_url: match source.text("TELNYX_BASE_URL")? {
            Some(url) => base_url(&url)?,
            None => TELNYX_API.to_owned(),
        },
        server: source.text("CONVO_SERVER")?,
        api_tokens: match source.text("CONVO_API_TOKEN")? {
            Some(tokens) => token::parse_tokens(&tokens)?,
            None => Vec::new(),
        },
        log: source.text("CONVO_LOG")?,
        policy: values::policy(source)?,
        limits: values::limits(source)?,
        stop: values::stop(source)?,
        start_timeout: values::start_timeout(source)?,
        ..empty(source.directory().as_path(), DATABASE)?
    })
}

/// The real configuration is ignored, so that play never mixes with real threads.
fn sandbox(source: &Source) -> Result<Config, Error> {
    // No balancer stands before play.
    let stop = Stop { drain: Duration::ZERO, ..Stop::default() };
    let empty = empty(source.directory().as_path(), SANDBOX_DATABASE)?;
    Ok(Config { sandbox: true, stop, ..empty })
}

fn empty(directory: &Path, database: &str) -> Result<Config, Error> {
    Ok(Config {
        database: Location::parse(database, directory)?,
        api_key: None,
        public_keys: Vec::new(),
        numbers: Vec::new(),
        telnyx_base_url: TELNYX_API.to_owned(),
        listen: LISTEN.to_owned(),
        server: None,
        api_tokens: Vec::new(),
        log: None,
        sandbox: false,
        policy: Policy::default(),
        limits: Limits::default(),
        stop: Stop::default(),
        start_timeout: values::START_TIMEOUT,
        under_systemd: false,
        has_sockets: false,
    })
}

/// The entries of a comma-separated value.
fn list(value: Option<String>) -> Vec<String> {
    let value = value.unwrap_or_default();
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}

fn numbers(value: Option<String>) -> Result<Vec<PhoneNumber>, Error> {
    let parse = |number: String| {
        PhoneNumber::parse_sender(&number).map_err(|error| {
            Error::new(Code::NotConfigured, format!("TELNYX_PHONE_NUMBER: {error}"))
                .hint(error.hint())
        })
    };
    list(value).into_iter().map(parse).collect()
}

/// Our key must not travel in the clear, so plain http is for this machine alone.
fn base_url(value: &str) -> Result<String, Error> {
    let refuse = || {
        Error::new(Code::NotConfigured, "TELNYX_BASE_URL is neither https nor on this machine")
            .hint(format!("leave it out for Telnyx itself ({TELNYX_API})"))
    };
    let url = url::Url::parse(value).map_err(|_| refuse())?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(refuse());
    }
    Ok(value.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], flags: &Flags) -> Result<Config, Error> {
        Config::resolve(flags, &Source::of(variables, Path::new("/base")))
    }

    fn real(variables: &[(&str, &str)]) -> Result<Config, Error> {
        resolve(variables, &Flags::default())
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let config = real(&[]).expect("defaults");
        assert_eq!(config.database.path(), Some(Path::new("/base/conversations.db")));
        assert_eq!(config.listen, "127.0.0.1:5000");
        assert_eq!(config.telnyx_base_url, "https://api.telnyx.com/v2");
        assert!(config.api_key.is_none() && config.server.is_none());
    }

    #[test]
    fn lists_and_numbers_are_read() {
        let config = real(&[
            ("TELNYX_PHONE_NUMBER", "+1 555 123 4567, +15557654321"),
            ("TELNYX_PUBLIC_KEY", "a, b,"),
            ("CONVO_API_TOKEN", "one,two"),
        ])
        .expect("good values");
        assert_eq!(config.numbers[0].as_str(), "+15551234567");
        assert_eq!((config.public_keys.len(), config.api_tokens.len()), (2, 2));
        assert!(!format!("{config:?}").contains("two"), "secrets are hidden");
    }

    #[test]
    fn nonsense_names_its_variable() {
        for (name, value) in [
            ("TELNYX_PHONE_NUMBER", "5551234567"),
            ("TELNYX_BASE_URL", "http://example.com/v2"),
            ("TELNYX_BASE_URL", "http://127.0.0.1.example.com/v2"),
            ("TELNYX_BASE_URL", "ftp://localhost"),
            ("CONVO_SEND_TIMEOUT", "31"),
            ("CONVO_TAG", "maybe"),
            ("CONVO_SETTLE_WINDOW", "-1"),
            ("CONVO_SETTLE_WINDOW", "86401"),
            ("CONVO_MAX_CONNECTIONS", "0"),
            ("CONVO_MAX_SENDS", "many"),
            ("CONVO_QUEUE", "-1"),
            ("CONVO_MAX_BODY", "1 GiB"),
            ("CONVO_MAX_BODY", "100"),
            ("CONVO_REQUEST_TIMEOUT", "0"),
            ("CONVO_KEEP_ALIVE", "inf"),
            ("CONVO_WEBHOOK_TIMEOUT", "2"),
            ("CONVO_START_TIMEOUT", "NaN"),
            ("CONVO_DRAIN", "10"),
            ("CONVO_SHUTDOWN_TIMEOUT", "0.5"),
            ("DATABASE_URL", "mysql://u:secret@h/d"),
        ] {
            let error = real(&[(name, value)]).expect_err(value);
            assert_eq!(error.code(), Code::NotConfigured, "{value}");
            assert!(error.to_string().contains(name) || name == "DATABASE_URL", "{error}");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(real(&[("TELNYX_BASE_URL", "http://127.0.0.1:12111/v2/")]).is_ok());
        assert!(real(&[("TELNYX_BASE_URL", "http://[::1]:12111/v2")]).is_ok());
    }

    #[test]
    fn limits_are_read() {
        let config = real(&[
            ("CONVO_MAX_CONNECTIONS", "2000"),
            ("CONVO_MAX_BODY", "256KiB"),
            ("CONVO_WEBHOOK_TIMEOUT", "0.75"),
            ("CONVO_KEEP_ALIVE", "90s"),
            ("CONVO_DRAIN", "20"),
            ("CONVO_SHUTDOWN_TIMEOUT", "40"),
        ])
        .expect("good values");
        assert_eq!((config.limits.connections, config.limits.body), (2_000, 256 * 1024));
        assert_eq!(config.limits.webhook_time, Duration::from_millis(750));
        assert_eq!(config.limits.keep_alive, Duration::from_secs(90));
        assert_eq!(config.limits.sends, Limits::default().sends);
        assert_eq!(config.stop.drain, Duration::from_secs(20));
        let short = real(&[("CONVO_SHUTDOWN_TIMEOUT", "2")]).expect("a short deadline");
        assert!(short.stop.drain < short.stop.deadline, "the default drain gives way");
    }

    #[test]
    fn play_ignores_the_real_configuration() {
        let variables = [
            ("DATABASE_URL", "sqlite:////real.db"),
            ("TELNYX_API_KEY", "KEY"),
            ("TELNYX_BASE_URL", "https://api.telnyx.com/v2"),
            ("CONVO_SERVER", "https://example.com"),
            ("CONVO_API_TOKEN", "token"),
            ("CONVO_LISTEN", "127.0.0.1:5050"),
        ];
        let flags = Flags { sandbox: true, ..Flags::default() };
        let config = resolve(&variables, &flags).expect("play");
        assert_eq!(config.database.path(), Some(Path::new("/base/sandbox.db")));
        assert!(
            config.api_key.is_none() && config.server.is_none() && config.api_tokens.is_empty()
        );
        assert_eq!(config.listen, "127.0.0.1:5050");
        let both = Flags { server: Some("http://localhost:5000".into()), ..flags };
        assert_eq!(resolve(&[], &both).expect_err("contradiction").code(), Code::InvalidRequest);
    }

    #[test]
    fn flags_win() {
        let flags = Flags {
            server: Some("http://localhost:1/".into()),
            listen: Some("[::1]:7".into()),
            ..Flags::default()
        };
        let variables = [("CONVO_SERVER", "http://localhost:2"), ("CONVO_LISTEN", "x:1")];
        let config = resolve(&variables, &flags).expect("good flags");
        assert_eq!(config.server.as_deref(), Some("http://localhost:1"));
        assert_eq!(config.listen, "[::1]:7");
    }
}
