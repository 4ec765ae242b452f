//! The layers of settings, the strongest first: the environment, the nearest `.env`, the user's file
//! and the system's.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::variables::is_ours;
use super::{dotenv, file};
use crate::error::{Code, Error, ErrorBody};

/// The settings of the whole system.
const SYSTEM: &str = "/etc/convo/convo.env";
/// Variables of the terminal whose empty value has a meaning: no pager.
const MAY_BE_EMPTY: &[&str] = &["CONVO_PAGER", "PAGER"];

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag(&'static str),
    /// The environment of the process.
    Environment,
    /// The nearest `.env`, which may have come with somebody else's files.
    Dotenv(PathBuf),
    /// The user's or the system's own file of settings.
    Settings(PathBuf),
    /// An answer of `convo setup`.
    Typed,
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Environment => f.write_str("environment"),
            Self::Dotenv(path) | Self::Settings(path) => write!(f, "{}", path.display()),
            Self::Typed => f.write_str("what was typed"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The values of one layer, or why it cannot be read.
#[derive(Clone)]
pub(super) struct Layer {
    pub origin: Origin,
    pub values: Result<HashMap<String, String>, ErrorBody>,
    /// The directory that its relative paths start from; `None` if that no longer exists.
    pub base: Option<PathBuf>,
}

/// The files of settings that exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub dotenv: Option<PathBuf>,
    pub settings: Vec<PathBuf>,
}

impl Files {
    /// Finds the files for a working directory and an environment.
    pub(super) fn find(directory: Option<&Path>, environment: &Environment) -> Self {
        let parents = directory.into_iter().flat_map(Path::ancestors);
        let is_dotenv = |path: &PathBuf| is_there(path) && !path.is_dir();
        let user = user_file(environment);
        let system = Path::new(SYSTEM);
        let mut settings: Vec<_> = user.into_iter().filter(|path| is_there(path)).collect();
        settings.extend((is_there(system) || is_hidden(system)).then(|| system.to_owned()));
        Self { dotenv: parents.map(|parent| parent.join(".env")).find(is_dotenv), settings }
    }

    /// Reads the files, the strongest first.
    pub(super) fn read(self) -> Vec<Layer> {
        let dotenv = self.dotenv.map(Origin::Dotenv).into_iter();
        let origins = dotenv.chain(self.settings.into_iter().map(Origin::Settings));
        origins.filter_map(read_file).collect()
    }
}

/// Whether something has this path: even a symbolic link to nowhere is meant to be read.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether this user may not know if there is such a file.
fn is_hidden(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// `$XDG_CONFIG_HOME`, which counts only if it is absolute, else `~/.config`.
fn user_directory(environment: &Environment) -> Option<PathBuf> {
    let path = |name| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")))
}

/// The user's own file of settings, which need not exist.
pub(super) fn user_file(environment: &Environment) -> Option<PathBuf> {
    user_directory(environment).map(|directory| directory.join("convo/env"))
}

fn read_file(origin: Origin) -> Option<Layer> {
    let (Origin::Dotenv(path) | Origin::Settings(path)) = &origin else { return None };
    let base = path.parent().map(Path::to_owned);
    let values = read_values(path).map_err(|error| error.body());
    Some(Layer { origin, values, base })
}

fn read_values(path: &Path) -> Result<HashMap<String, String>, Error> {
    let refuse = |what: String, hint: &str| Error::new(Code::NotConfigured, what).hint(hint);
    let shown = path.display();
    let bytes =
        file::read_settings(path).map_err(|error| refuse(error.describe(path), error.hint))?;
    dotenv::parse(&bytes).map_err(|malformed| {
        let what = match malformed.line {
            0 => format!("{shown} {}", malformed.why),
            line => format!("line {line} of {shown} {}", malformed.why),
        };
        refuse(what, malformed.hint)
    })
}

/// The environment of this process.
#[derive(Clone, Default)]
pub(super) struct Environment {
    values: HashMap<String, String>,
    /// Variables of ours whose value is not UTF-8.
    pub not_utf8: Vec<String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(super) fn read() -> Self {
        Self::new(std::env::vars_os())
    }

    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) if value.is_empty() && !MAY_BE_EMPTY.contains(&&*name) => {}
                Ok(value) => drop(environment.values.insert(name, value)),
                Err(_) if is_ours(&name) => environment.not_utf8.push(name),
                Err(_) => {}
            }
        }
        environment
    }

    /// A variable as it is.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Its variables of ours as a layer.
    pub(super) fn layer(&self, base: Option<PathBuf>) -> Layer {
        let ours = self.values.iter().filter(|(name, _)| is_ours(name));
        let values = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
        Layer { origin: Origin::Environment, values: Ok(values), base }
    }
}
