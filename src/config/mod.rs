//! Settings: flags override the environment, which overrides the files of settings. Read here and
//! nowhere else.
//!
//! Each setting is looked up and checked when a command asks for it: one that is wrong stops only
//! what needs it.

mod dotenv;
mod explain;
mod exposure;
mod file;
mod layers;
mod media;
mod source;
#[cfg(test)]
mod tests;
mod user_file;
mod values;
mod variables;

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::forwarding::{ForwardTarget, parse_targets};
use crate::media::MediaSettings;
use crate::output::TargetOptions;
use crate::secret::Secret;
use crate::server::access::{ApiToken, parse_tokens};
use crate::server::{Limits, Stop};
use crate::store::{Location, Mode};
use crate::telnyx::BaseUrl;
use crate::threading::Policy;
pub use explain::Setting;
pub use layers::Origin;
pub use source::Source;
use source::{DATABASE, FoundSetting, SERVER, SettingScope};
pub(crate) use values::host_and_port;
pub use variables::{VARIABLES, Variable, Visibility};

/// The default databases, real and sandbox.
const DATABASE_FILE: &str = "sqlite:///conversations.db";
const SANDBOX_FILE: &str = "sqlite:///sandbox.db";
/// Where `serve` listens by default.
const LISTEN: &str = "127.0.0.1:5000";

const API_KEY: &str = "TELNYX_API_KEY";
const BASE_URL: &str = "TELNYX_BASE_URL";
const API_TOKEN: &str = "CONVO_API_TOKEN";
const FORWARD_URL: &str = "CONVO_FORWARD_URL";
const FORWARD_SECRET: &str = "CONVO_FORWARD_SECRET";

/// Settings from the command line; they override every variable.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--sandbox`.
    pub sandbox: bool,
    /// `--server`.
    pub server: Option<String>,
    /// `--local`, or a command that works on the database in any case.
    pub local: bool,
    /// `--listen`.
    pub listen: Option<String>,
}

impl Flags {
    /// What a command has to repeat to reach the same conversations.
    #[must_use]
    pub fn target(&self) -> TargetOptions {
        TargetOptions::new(self.sandbox, self.server.as_deref(), self.local)
    }
}

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Config {
    source: Source,
    flags: Flags,
}

/// A convo server to ask instead of the database.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its URL.
    pub address: String,
    /// The token to send to it.
    pub token: Option<Secret>,
}

/// What it takes to send through Telnyx.
#[derive(Clone, Debug)]
pub struct TelnyxAccess {
    /// Telnyx's API.
    pub base_url: BaseUrl,
    /// Our key to it.
    pub api_key: Option<Secret>,
    /// Our own numbers; the first is the default sender.
    pub numbers: Vec<PhoneNumber>,
}

impl Config {
    /// Combines flags and sources.
    ///
    /// # Errors
    /// `invalid_request` for flags that exclude each other.
    pub fn new(flags: Flags, source: Source) -> Result<Self, Error> {
        let has_server = flags.server.is_some();
        if has_server && flags.sandbox {
            return Err(Error::invalid("--server and --sandbox cannot be used together")
                .hint("to use a sandbox server, leave out --sandbox"));
        }
        if has_server && flags.local {
            return Err(Error::invalid("--server and --local cannot be used together")
                .hint("leave out one of them"));
        }
        Ok(Self { source, flags })
    }

    /// The same settings for the sandbox.
    #[must_use]
    pub fn for_sandbox(&self) -> Self {
        let flags = Flags { sandbox: true, server: None, ..self.flags.clone() };
        Self { source: self.source.clone(), flags }
    }

    /// Whether this is the sandbox: a simulated Telnyx and a separate database.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.flags.sandbox
    }

    /// What a command has to repeat to reach the same conversations.
    #[must_use]
    pub fn target(&self) -> TargetOptions {
        self.flags.target()
    }

    /// Real or sandbox.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.flags.sandbox { Mode::Sandbox } else { Mode::Real }
    }

    /// The database.
    ///
    /// # Errors
    /// `not_configured` if its URL is invalid, or from a `.env` that may not have the password.
    pub fn database(&self) -> Result<Location, Error> {
        let Some(found) = self.find(DATABASE)? else {
            let usual = if self.flags.sandbox { SANDBOX_FILE } else { DATABASE_FILE };
            return Location::parse(usual, &self.source.directory());
        };
        let base = found.base.clone().unwrap_or_default();
        let location = Location::parse(&found.value, &base)?;
        exposure::check_database_password(&found, &location, &self.source)?;
        Ok(location)
    }

    /// The convo server to use instead of the database.
    ///
    /// # Errors
    /// `not_configured` if the token is invalid, or may not be sent to this address.
    pub fn remote(&self) -> Result<Option<Remote>, Error> {
        let named = match &self.flags.server {
            None if self.flags.local => None,
            None => self.find(SERVER)?,
            Some(url) => Some(FoundSetting {
                value: url.clone(),
                origin: Origin::Flag("--server"),
                base: None,
                file: None,
            }),
        };
        let Some(server) = named else { return Ok(None) };
        let token = self.find(API_TOKEN)?;
        if let Some(token) = &token {
            exposure::check((SERVER, &server), (API_TOKEN, token))?;
        }
        let tokens = token.map(|token| parse_tokens(&token.value)).transpose()?;
        let token = tokens.and_then(|tokens| tokens.into_iter().next());
        let address = server.value.trim_end_matches('/').to_owned();
        Ok(Some(Remote { address, token: token.map(|token| token.secret) }))
    }

    /// Makes sure that a command which works on the database alone is meant to: with a server
    /// configured, the database here is probably another one.
    ///
    /// # Errors
    /// `invalid_request` if a server is configured and `--local` is missing.
    pub fn require_database(&self) -> Result<(), Error> {
        if self.flags.local {
            return Ok(());
        }
        let Some(server) = self.find(SERVER)? else { return Ok(()) };
        let what = format!(
            "CONVO_SERVER is set ({}), but this command only works on a database on this machine",
            server.origin
        );
        Err(Error::invalid(what).hint(
            "run it on the server's machine, or add --local if the database here is the one you mean",
        ))
    }

    /// What sending needs. Whatever is missing is missed only by who sends.
    ///
    /// # Errors
    /// `not_configured` for an invalid value, or a key that may not be sent to this address.
    pub fn telnyx(&self) -> Result<TelnyxAccess, Error> {
        let (url, key) = (self.find(BASE_URL)?, self.find(API_KEY)?);
        if let (Some(url), Some(key)) = (&url, &key) {
            exposure::check((BASE_URL, url), (API_KEY, key))?;
        }
        let api_key = key.map(|key| Secret::new(key.value));
        Ok(TelnyxAccess { base_url: self.base_url()?, api_key, numbers: self.numbers()? })
    }

    /// Telnyx's API for a key that a person has just typed.
    ///
    /// # Errors
    /// `not_configured` for an invalid URL, or if it is from a `.env`, which does not hold this key.
    pub fn telnyx_for_typed_key(&self, key: Secret) -> Result<TelnyxAccess, Error> {
        if let Some(url) = &self.find(BASE_URL)? {
            let typed = FoundSetting {
                value: String::new(),
                origin: Origin::Typed,
                base: None,
                file: None,
            };
            exposure::check((BASE_URL, url), (API_KEY, &typed))?;
        }
        Ok(TelnyxAccess { base_url: self.base_url()?, api_key: Some(key), numbers: Vec::new() })
    }

    fn base_url(&self) -> Result<BaseUrl, Error> {
        let url = self.text(BASE_URL)?.unwrap_or_else(|| BaseUrl::TELNYX.to_owned());
        BaseUrl::parse(&url).map_err(|why| {
            Error::new(Code::NotConfigured, format!("{BASE_URL} {why}"))
                .hint(format!("unset it to use Telnyx itself ({})", BaseUrl::TELNYX))
        })
    }

    /// The path of the user's own file of settings, which need not exist.
    ///
    /// # Errors
    /// `not_configured` if neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn user_file(&self) -> Result<PathBuf, Error> {
        self.source.user_file().ok_or_else(|| {
            Error::new(Code::NotConfigured, "cannot tell where the settings file belongs")
                .hint("set HOME or XDG_CONFIG_HOME to an absolute path")
        })
    }

    /// Sets values in the user's own file of settings; see [`user_file`](Self::user_file).
    ///
    /// # Errors
    /// `not_configured` if it cannot be written.
    pub fn write_user_file(&self, values: &[(&str, &str)]) -> Result<(), Error> {
        user_file::write(&self.user_file()?, values)
    }

    /// Our own numbers; the first is the default sender.
    ///
    /// # Errors
    /// `not_configured` if one is not a phone number.
    pub fn numbers(&self) -> Result<Vec<PhoneNumber>, Error> {
        let parse = |number: String| {
            PhoneNumber::parse_sender(&number).map_err(|error| {
                Error::new(Code::NotConfigured, format!("TELNYX_PHONE_NUMBER: {error}"))
                    .hint(error.hint())
            })
        };
        list(self.text("TELNYX_PHONE_NUMBER")?).into_iter().map(parse).collect()
    }

    /// The public keys that verify webhooks, as configured (base64 of 32 bytes).
    ///
    /// # Errors
    /// `not_configured` if a file of them cannot be read.
    pub fn public_keys(&self) -> Result<Vec<String>, Error> {
        Ok(list(self.text("TELNYX_PUBLIC_KEY")?))
    }

    /// The tokens that a server accepts.
    ///
    /// # Errors
    /// `not_configured` if one is invalid.
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, Error> {
        let tokens = self.text(API_TOKEN)?.map(|tokens| parse_tokens(&tokens));
        Ok(tokens.transpose()?.unwrap_or_default())
    }

    /// Where events are forwarded to.
    ///
    /// # Errors
    /// `not_configured` for an invalid value, or secrets that may not be used for these addresses.
    pub fn forwarding(&self) -> Result<Vec<ForwardTarget>, Error> {
        let Some(urls) = self.find(FORWARD_URL)? else { return Ok(Vec::new()) };
        let secrets = self.find(FORWARD_SECRET)?;
        if let Some(secrets) = &secrets {
            exposure::check((FORWARD_URL, &urls), (FORWARD_SECRET, secrets))?;
        }
        let secrets = secrets.map(|found| found.value);
        let filters = self.text("CONVO_FORWARD_FILTER")?;
        parse_targets(&urls.value, secrets.as_deref(), filters.as_deref())
    }

    /// Where media are kept.
    ///
    /// # Errors
    /// `not_configured` for an invalid value, or a bucket that a `.env` names.
    pub fn media(&self) -> Result<MediaSettings, Error> {
        media::settings(self)
    }

    /// Where `serve` listens, as `host:port`.
    ///
    /// # Errors
    /// `not_configured` if it is not of this form.
    pub fn listen(&self) -> Result<String, Error> {
        if let Some(listen) = &self.flags.listen {
            return Ok(listen.clone());
        }
        let listen = self.text("CONVO_LISTEN")?.unwrap_or_else(|| LISTEN.to_owned());
        host_and_port(&listen).map_err(|hint| {
            let what = format!("CONVO_LISTEN is not an address to listen on: '{listen}'");
            Error::new(Code::NotConfigured, what).hint(hint)
        })
    }

    /// The filter of the log.
    ///
    /// # Errors
    /// `not_configured` if it might be in a file that cannot be read.
    pub fn log(&self) -> Result<Option<String>, Error> {
        self.text("CONVO_LOG")
    }

    /// How sends are made.
    ///
    /// # Errors
    /// `not_configured` for an invalid value.
    pub fn policy(&self) -> Result<Policy, Error> {
        values::policy(self)
    }

    /// What a server accepts at once, and for how long it waits.
    ///
    /// # Errors
    /// `not_configured` for an invalid value.
    pub fn limits(&self) -> Result<Limits, Error> {
        values::limits(self)
    }

    /// How long a server takes to stop. A sandbox has no load balancer that must notice.
    ///
    /// # Errors
    /// `not_configured` for an invalid value.
    pub fn stop(&self) -> Result<Stop, Error> {
        if self.flags.sandbox {
            return Ok(Stop { drain: Duration::ZERO, ..Stop::default() });
        }
        values::stop(self)
    }

    /// How long a starting server waits for an unreachable database.
    ///
    /// # Errors
    /// `not_configured` for an invalid value.
    pub fn start_timeout(&self) -> Result<Duration, Error> {
        values::start_timeout(self)
    }

    /// Whether systemd started this program.
    #[must_use]
    pub fn under_systemd(&self) -> bool {
        self.source.under_systemd()
    }

    /// Whether systemd passed listening sockets to this process.
    #[must_use]
    pub fn has_sockets(&self) -> bool {
        self.source.has_sockets()
    }

    fn find(&self, name: &str) -> Result<Option<FoundSetting>, Error> {
        let Flags { sandbox, local, server, .. } = &self.flags;
        let scope = SettingScope {
            sandbox: *sandbox,
            database_alone: *local,
            has_server: server.is_some(),
        };
        self.source.find(name, scope)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.find(name)?.map(|found| found.value))
    }
}

/// The entries of a comma-separated value.
fn list(value: Option<String>) -> Vec<String> {
    let value = value.unwrap_or_default();
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}
