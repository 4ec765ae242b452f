//! Where settings come from: the process environment, then `.env`.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error};

/// The variables that may stand in `.env`. Nothing else in it is looked at, and the environment
/// of the process is never changed.
pub const VARIABLES: &[&str] = &[
    "TELNYX_API_KEY",
    "TELNYX_PUBLIC_KEY",
    "TELNYX_PHONE_NUMBER",
    "TELNYX_BASE_URL",
    "DATABASE_URL",
    "CONVO_LISTEN",
    "CONVO_SERVER",
    "CONVO_API_TOKEN",
    "CONVO_LOG",
    "CONVO_SEND_TIMEOUT",
    "CONVO_TAG",
    "CONVO_SETTLE_WINDOW",
    "CONVO_MAX_CONNECTIONS",
    "CONVO_MAX_SENDS",
    "CONVO_MAX_BODY",
    "CONVO_QUEUE",
    "CONVO_REQUEST_TIMEOUT",
    "CONVO_WEBHOOK_TIMEOUT",
    "CONVO_KEEP_ALIVE",
    "CONVO_START_TIMEOUT",
    "CONVO_DRAIN",
    "CONVO_SHUTDOWN_TIMEOUT",
];
/// The variables whose value may also be kept in a file: `NAME_FILE` then names it.
pub const SECRETS: &[&str] =
    &["TELNYX_API_KEY", "TELNYX_PUBLIC_KEY", "DATABASE_URL", "CONVO_API_TOKEN"];
/// Variables of the terminal that say something when they are empty, too: no pager at all.
const MAY_BE_EMPTY: &[&str] = &["CONVO_PAGER", "PAGER"];
/// The largest file a secret is read from.
const SECRET_LIMIT: u64 = 64 * 1024;

/// One layer of settings with the directory its relative paths start from.
#[derive(Debug, Default)]
struct Layer {
    values: HashMap<String, String>,
    base: PathBuf,
}

/// The layers of settings, the strongest first. An empty variable counts as unset.
#[derive(Debug)]
pub struct Source {
    layers: Vec<Layer>,
    directory: PathBuf,
}

impl Source {
    /// Reads the environment of this process, and the nearest `.env` from the working directory
    /// upwards.
    ///
    /// # Errors
    /// `not_configured` when a variable is no text, or `.env` is another user's or malformed.
    pub fn read() -> Result<Self, Error> {
        let directory = std::env::current_dir().map_err(|error| {
            Error::new(Code::NotConfigured, format!("the working directory is gone: {error}"))
        })?;
        let environment = Layer { values: environment()?, base: directory.clone() };
        let mut layers = vec![environment];
        if let Some(file) = directory.ancestors().map(|dir| dir.join(".env")).find(|f| f.is_file())
        {
            layers.push(dotenv(&file)?);
        }
        Ok(Self { layers, directory })
    }

    /// Settings given directly.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)], directory: &Path) -> Self {
        let values = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let base = directory.to_owned();
        Self { layers: vec![Layer { values, base }], directory: directory.to_owned() }
    }

    /// The working directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// Whether systemd started this program: it then notifies, or inherited its sockets.
    pub(super) fn under_systemd(&self) -> bool {
        let environment = self.layers.first();
        environment.is_some_and(|layer| {
            ["NOTIFY_SOCKET", "LISTEN_FDS"].iter().any(|name| layer.values.contains_key(*name))
        })
    }

    /// Whether systemd passed sockets to this very process, and not to one it descends from.
    pub(super) fn has_sockets(&self) -> bool {
        let pid = self.terminal("LISTEN_PID").and_then(|pid| pid.parse().ok());
        pid == Some(std::process::id())
    }

    /// A variable of the terminal, from the environment alone.
    #[must_use]
    pub fn terminal(&self, name: &str) -> Option<String> {
        self.layers.first()?.values.get(name).cloned()
    }

    /// The value of a variable; a secret may be kept in a file named by `NAME_FILE`.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.located(name)?.map(|(value, _)| value))
    }

    /// The value of a variable with the directory that a relative path in it starts from.
    pub(super) fn located(&self, name: &str) -> Result<Option<(String, PathBuf)>, Error> {
        for layer in &self.layers {
            if let Some(value) = layer.values.get(name) {
                return Ok(Some((value.clone(), layer.base.clone())));
            }
            let file = format!("{name}_FILE");
            if SECRETS.contains(&name)
                && let Some(path) = layer.values.get(&file)
            {
                let value = read_secret(&file, &layer.base.join(path))?;
                return Ok(Some((value, layer.base.clone())));
            }
        }
        Ok(None)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn environment() -> Result<HashMap<String, String>, Error> {
    let mut values = HashMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        match value.into_string() {
            Ok(value) if value.is_empty() && !MAY_BE_EMPTY.contains(&name) => {}
            Ok(value) => drop(values.insert(name.to_owned(), value)),
            Err(_) if is_ours(name) => {
                return Err(Error::new(Code::NotConfigured, format!("{name} is not valid UTF-8")));
            }
            Err(_) => {}
        }
    }
    Ok(values)
}

fn is_ours(name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    VARIABLES.contains(&name) || SECRETS.contains(&plain)
}

fn dotenv(file: &Path) -> Result<Layer, Error> {
    let refuse = |what: String| Error::new(Code::NotConfigured, what);
    let shown = file.display();
    let meta = file.metadata().map_err(|error| refuse(format!("cannot read {shown}: {error}")))?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse(format!("{shown} belongs to another user"))
            .hint("settings of another user are not trusted; copy the file or remove it"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|_| refuse(format!("cannot read {shown}")).hint("check its rights"))?;
    let text = understood(&text).map_err(|line| {
        refuse(format!("line {line} of {shown} is not NAME=value"))
            .hint("quote values that contain spaces or quotes")
    })?;
    let mut values = HashMap::new();
    // No line fails alone, so only a file that fails as a whole is left.
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = line.map_err(|_| refuse(format!("cannot understand {shown}")))?;
        if is_ours(&name) && !value.is_empty() {
            values.insert(name, value);
        }
    }
    let base = file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Layer { values, base })
}

/// The lines of a `.env` that are to be read. It may be another program's, whose lines need to make
/// no sense here. The number of a line that is ours and makes none is the error: the library's own
/// words would repeat the line, which may hold a secret.
fn understood(text: &str) -> Result<String, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut kept = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if dotenvy::from_read_iter(line.as_bytes()).all(|read| read.is_ok()) {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let assigned = line.trim_start().trim_start_matches("export ").split('=').next();
        if assigned.is_some_and(|name| is_ours(name.trim())) {
            return Err(number);
        }
    }
    Ok(kept)
}

fn read_secret(variable: &str, path: &Path) -> Result<String, Error> {
    let refuse = |why: String| {
        Error::new(
            Code::NotConfigured,
            format!("{variable}: cannot read {}: {why}", path.display()),
        )
    };
    let meta = path.metadata().map_err(|error| refuse(error.to_string()))?;
    if meta.len() > SECRET_LIMIT {
        return Err(refuse("it is too large for a secret".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    match text.trim() {
        "" => Err(refuse("it is empty".to_owned())),
        secret => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(file: &Path) -> Result<Layer, Error> {
        dotenv(file)
    }

    #[test]
    fn dotenv_gives_only_our_variables() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(".env");
        let text = "# a comment\nTELNYX_API_KEY='KEY 1'\nexport CONVO_LOG=debug\nPATH=/evil\nTELNYX_PUBLIC_KEY=\n";
        std::fs::write(&file, text).expect("written");
        let layer = layer(&file).expect("read");
        assert_eq!(layer.values.get("TELNYX_API_KEY").map(String::as_str), Some("KEY 1"));
        assert_eq!(layer.values.get("CONVO_LOG").map(String::as_str), Some("debug"));
        assert_eq!(layer.values.len(), 2, "others are ignored, empty ones are unset");
        assert_eq!(layer.base, dir.path());
    }

    #[test]
    fn a_malformed_line_is_not_repeated() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(".env");
        for line in
            ["TELNYX_API_KEY=se cret 'x", "export TELNYX_API_KEY=\"secret", " CONVO_LOG = a b"]
        {
            std::fs::write(&file, format!("# first\n{line}\nCONVO_LISTEN=x\n")).expect("written");
            let told = layer(&file).expect_err("malformed").to_string();
            assert!(told.contains("line 2 of") && !told.contains("cret"), "{told}");
        }
    }

    #[test]
    fn lines_of_other_programs_need_make_no_sense() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(".env");
        let text = "\u{feff}TELNYX_API_KEY=KEY\r\nAPP_NAME=My Shop\nFOO=it's\nBAR={\"a\": 1}\n\
                    WIN=C:\\Users\\x\nFOO-BAR=1\nFOO\nHOST=h.example\nCONVO_SERVER=https://$HOST\n";
        std::fs::write(&file, text).expect("written");
        let values = layer(&file).expect("read").values;
        assert_eq!(values.get("TELNYX_API_KEY").map(String::as_str), Some("KEY"));
        assert_eq!(values.get("CONVO_SERVER").map(String::as_str), Some("https://h.example"));
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn secrets_may_be_kept_in_files() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("key"), "KEY123\n").expect("written");
        let source = Source::of(&[("TELNYX_API_KEY_FILE", "key")], dir.path());
        assert_eq!(source.text("TELNYX_API_KEY").expect("read").as_deref(), Some("KEY123"));
        let both = [("TELNYX_API_KEY_FILE", "key"), ("TELNYX_API_KEY", "direct")];
        let source = Source::of(&both, dir.path());
        assert_eq!(source.text("TELNYX_API_KEY").expect("read").as_deref(), Some("direct"));
        let missing = Source::of(&[("CONVO_API_TOKEN_FILE", "nowhere")], dir.path());
        assert!(missing.text("CONVO_API_TOKEN").is_err());
        let not_secret = Source::of(&[("CONVO_LISTEN_FILE", "key")], dir.path());
        assert_eq!(not_secret.text("CONVO_LISTEN").expect("unset"), None);
    }
}
