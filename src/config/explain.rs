//! What the settings are and where they come from, for `convo config`.

use serde::Serialize;
use url::Url;

use super::variables::{VARIABLES, Variable, Visibility};
use super::{Config, Origin, SANDBOX_FILE};
use crate::error::Error;

/// What is shown in place of a secret.
const MASK: &str = "********";

/// A setting with its value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The name of its variable.
    pub name: &'static str,
    /// Its value, masked if it is secret; `None` if it is unset or cannot be read.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: String,
    /// Whether it is secret.
    #[serde(skip)]
    pub is_secret: bool,
    /// The file that holds it, if `NAME_FILE` is set instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Config {
    /// Every setting.
    #[must_use]
    pub fn explain(&self) -> Vec<Setting> {
        VARIABLES.iter().map(|variable| self.explain_one(variable)).collect()
    }

    /// Checks every setting, as the commands that use it do.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        self.database()?;
        self.remote()?;
        self.telnyx()?;
        self.public_keys()?;
        self.api_tokens()?;
        self.forwarding()?;
        self.media()?;
        self.listen()?;
        self.log()?;
        self.policy()?;
        self.limits()?;
        self.stop()?;
        self.start_timeout()?;
        Ok(())
    }

    /// Why files of settings that cannot be read are left out. If they are not, [`check`](Self::check)
    /// fails.
    pub fn unread(&self) -> impl Iterator<Item = Error> {
        self.source.unread()
    }

    fn explain_one(&self, variable: &Variable) -> Setting {
        let name = variable.name;
        let is_secret = variable.visibility == Visibility::Hidden;
        let setting = |value, source: &str, file| Setting {
            name,
            value,
            source: source.to_owned(),
            is_secret,
            file,
        };
        if let Some((flag, value)) = self.flag(name) {
            return setting(Some(shown(variable, value)), &Origin::Flag(flag).to_string(), None);
        }
        match self.find(name) {
            Ok(Some(found)) => {
                let file = found.file.map(|file| file.path.display().to_string());
                let value = shown(variable, &found.value);
                setting(Some(value), &found.origin.to_string(), file)
            }
            Ok(None) => match self.default_value(variable) {
                Some(value) => setting(Some(value.to_owned()), &Origin::Default.to_string(), None),
                None => setting(None, "unset", None),
            },
            Err(_) => setting(None, "unreadable", None),
        }
    }

    /// The flag that sets this variable, and its value.
    fn flag(&self, name: &str) -> Option<(&'static str, &str)> {
        match name {
            "CONVO_SERVER" => Some(("--server", self.flags.server.as_deref()?)),
            "CONVO_LISTEN" => Some(("--listen", self.flags.listen.as_deref()?)),
            _ => None,
        }
    }

    fn default_value(&self, variable: &Variable) -> Option<&'static str> {
        let is_sandbox_file = variable.name == "DATABASE_URL" && self.flags.sandbox;
        if is_sandbox_file { Some(SANDBOX_FILE) } else { variable.default }
    }
}

/// A value as anybody may see it.
fn shown(variable: &Variable, value: &str) -> String {
    match variable.visibility {
        Visibility::Public => value.to_owned(),
        Visibility::WithoutPassword => without_password(value),
        Visibility::Hidden => MASK.to_owned(),
    }
}

/// A URL with its password masked, wherever it stands.
fn without_password(value: &str) -> String {
    let Ok(mut url) = Url::parse(value) else { return MASK.to_owned() };
    let is_password = |(name, _): &(_, _)| name == "password";
    let has_parameter = url.query_pairs().any(|pair| is_password(&pair));
    if url.password().is_none() && !has_parameter {
        return value.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if has_parameter {
        let kept = |(name, value): (_, _)| {
            let value = if name == "password" { MASK.into() } else { value };
            (name, value)
        };
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().map(kept).collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (url, expected) in [
            ("sqlite:///conversations.db", "sqlite:///conversations.db"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
            ("postgresql+psycopg2://u:secret@h/d", "postgresql+psycopg2://u:********@h/d"),
            (
                "postgres://u@h/d?user=x&password=secret",
                "postgres://u@h/d?user=x&password=********",
            ),
            ("secret", "********"),
        ] {
            assert_eq!(without_password(url), expected, "{url}");
        }
    }
}
