//! Looking a setting up in the layers.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{self, SecretFile, Unreadable};
use super::layers::{self, Environment, Files, Layer, Origin};
use super::variables::is_secret;
use crate::error::{Code, Error};

/// The variables that say where the conversations are.
pub(super) const DATABASE: &str = "DATABASE_URL";
pub(super) const SERVER: &str = "CONVO_SERVER";
/// The beginnings of the names of those variables that a sandbox does not ignore.
const IN_A_SANDBOX: &[&str] = &["CONVO_LISTEN", "CONVO_API_TOKEN", "CONVO_FORWARD_"];

/// Which settings are looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SettingScope {
    /// Only those of a sandbox.
    pub sandbox: bool,
    /// The conversations are in the database, whatever names a server.
    pub database_alone: bool,
    /// A flag names the server.
    pub has_server: bool,
}

/// The layers of settings, the strongest first. An empty variable counts as unset.
#[derive(Clone)]
pub struct Source {
    environment: Environment,
    layers: Vec<Layer>,
    directory: Option<PathBuf>,
    /// The files of secrets that were read: a pipe can be read only once.
    secrets: Arc<Mutex<HashMap<PathBuf, SecretFile>>>,
}

/// The value of a setting, and where it was found.
#[derive(Clone)]
pub(super) struct FoundSetting {
    pub value: String,
    /// The layer that names it.
    pub origin: Origin,
    /// The directory that a relative path in it starts from.
    pub base: Option<PathBuf>,
    /// The file that holds it, if the layer names only that.
    pub file: Option<SecretPath>,
}

/// The file that holds a secret.
#[derive(Clone, Debug)]
pub(super) struct SecretPath {
    /// As the layer names it.
    pub path: PathBuf,
    /// Whether it is in the directory of the layer.
    pub is_inside: bool,
}

impl fmt::Debug for Source {
    /// Shows no value, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| &layer.origin)).finish()
    }
}

impl Source {
    /// Reads the environment of this process and the files of settings. What cannot be read is
    /// reported when a setting is looked for that might be there.
    #[must_use]
    pub fn read() -> Self {
        let (environment, directory) = (Environment::read(), std::env::current_dir().ok());
        let files = Files::find(directory.as_deref(), &environment);
        Self::new(environment, files, directory)
    }

    pub(super) fn new(environment: Environment, files: Files, directory: Option<PathBuf>) -> Self {
        let mut layers = vec![environment.layer(directory.clone())];
        layers.extend(files.read());
        Self { environment, layers, directory, secrets: Arc::default() }
    }

    /// Settings given directly, as by the environment.
    #[cfg(test)]
    pub(crate) fn for_test(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Self::new(Environment::new(variables), Files::default(), None)
    }

    /// The working directory; empty if it no longer exists.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_default()
    }

    /// The path of the user's own file of settings.
    pub(super) fn user_file(&self) -> Option<PathBuf> {
        layers::user_file(&self.environment)
    }

    /// Whether systemd started this program: `NOTIFY_SOCKET` or `LISTEN_FDS` is set.
    pub(super) fn under_systemd(&self) -> bool {
        ["NOTIFY_SOCKET", "LISTEN_FDS"].iter().any(|name| self.environment.get(name).is_some())
    }

    /// Whether systemd passed sockets to this process, and not to an ancestor of it.
    pub(super) fn has_sockets(&self) -> bool {
        let pid = self.environment.get("LISTEN_PID").and_then(|pid| pid.parse().ok());
        pid == Some(std::process::id())
    }

    /// A variable of the terminal, from the environment alone.
    #[must_use]
    pub fn terminal(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    /// Looks a variable up; a secret may be in a file named by `NAME_FILE`.
    pub(super) fn find(
        &self,
        name: &str,
        scope: SettingScope,
    ) -> Result<Option<FoundSetting>, Error> {
        if scope.sandbox && !IN_A_SANDBOX.iter().any(|kept| name.starts_with(kept)) {
            return Ok(None);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let file = format!("{name}_FILE");
            if layer.origin == Origin::Environment {
                self.refuse_undecodable(&[name, &file])?;
            }
            let values = match &layer.values {
                Ok(values) => values,
                Err(_) if self.may_skip(index, scope) => continue,
                Err(error) => return Err(Error::from(error.clone())),
            };
            let (origin, base) = (layer.origin.clone(), layer.base.clone());
            let value = |name| values.get(name).map(|value| clean(value));
            if let Some(value) = value(name).filter(|value| !value.is_empty()) {
                return Ok(Some(FoundSetting {
                    value: value.to_owned(),
                    origin,
                    base,
                    file: None,
                }));
            }
            let path = value(&file).filter(|path| is_secret(name) && !path.is_empty());
            if let Some(path) = path {
                let (value, path) = self.read_secret(&file, path, layer)?;
                return Ok(Some(FoundSetting { value, origin, base, file: Some(path) }));
            }
        }
        Ok(None)
    }

    /// Why layers were left out that cannot be read.
    pub(super) fn unread(&self) -> impl Iterator<Item = Error> {
        self.layers.iter().filter_map(|layer| layer.values.as_ref().err().cloned().map(Error::from))
    }

    /// Whether a layer that cannot be read makes no difference to where the conversations are.
    fn may_skip(&self, index: usize, scope: SettingScope) -> bool {
        let stronger = self.layers[..index].iter().filter_map(|layer| layer.values.as_ref().ok());
        let is_server_meant = !scope.database_alone;
        let mut places = stronger.flat_map(|values| values.keys()).map(String::as_str);
        scope.sandbox
            || scope.has_server
            || places.any(|name| match name.strip_suffix("_FILE").unwrap_or(name) {
                DATABASE => true,
                SERVER => is_server_meant,
                _ => false,
            })
    }

    fn refuse_undecodable(&self, names: &[&str]) -> Result<(), Error> {
        let mut bad = self.environment.not_utf8.iter();
        match bad.find(|name| names.contains(&name.as_str())) {
            Some(name) => {
                Err(Error::new(Code::NotConfigured, format!("{name} is not valid UTF-8"))
                    .hint("set it to a value in UTF-8"))
            }
            None => Ok(()),
        }
    }

    /// Reads a secret from a file.
    fn read_secret(
        &self,
        variable: &str,
        path: &str,
        layer: &Layer,
    ) -> Result<(String, SecretPath), Error> {
        let base = layer.base.as_deref().unwrap_or(Path::new(""));
        let path = base.join(path);
        let refuse = |why: String, hint: &str| {
            Error::new(Code::NotConfigured, format!("{variable}: {why}")).hint(hint)
        };
        let useless = |why: &str, hint: &str| {
            refuse(format!("cannot use {}: it {why}", path.display()), hint)
        };
        if !path.is_absolute() {
            let why = "is relative to a working directory that no longer exists";
            return Err(useless(why, "change to another directory, or give an absolute path"));
        }
        let found =
            self.secret_file(&path).map_err(|error| refuse(error.describe(&path), error.hint))?;
        let text = str::from_utf8(&found.bytes)
            .map_err(|_| useless("is not UTF-8", "write the secret to it again"))?;
        let value = clean(text.strip_prefix('\u{feff}').unwrap_or(text)).to_owned();
        if value.is_empty() {
            return Err(useless("is empty", "write the secret to it"));
        }
        let real_base = base.canonicalize().ok();
        let is_inside =
            found.real_path.zip(real_base).is_some_and(|(path, base)| path.starts_with(base));
        Ok((value, SecretPath { path, is_inside }))
    }

    fn secret_file(&self, path: &Path) -> Result<SecretFile, Unreadable> {
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = known.get(path) {
            return Ok(read.clone());
        }
        let read = file::read_secret(path)?;
        known.insert(path.to_owned(), read.clone());
        Ok(read)
    }
}

/// A value without the white space around it, of which secrets that were read from a file often have
/// a line end, and without quotes around it, which Docker leaves on.
fn clean(value: &str) -> &str {
    let value = value.trim();
    let unquoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    unquoted('"').or_else(|| unquoted('\'')).map_or(value, str::trim)
}
