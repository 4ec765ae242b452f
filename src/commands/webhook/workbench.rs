//! What the actions of the workbench share: the key for development, the body on standard input, and the
//! settings of the sandbox.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::commands::context::Context;
use crate::config::Config;
use crate::error::{Code, Error};
use crate::sandbox::SigningKey;
use crate::stdio;
use crate::store::{LONGEST_EVENT, Mode, Purpose, Store};

/// The file in which a sandbox keeps its key, beside its database.
const KEY_FILE: &str = "sandbox.key";

/// Where the sandbox of these settings keeps its key.
///
/// # Errors
/// `not_configured`.
pub(in crate::commands) fn sandbox_key_file(config: &Config) -> Result<PathBuf, Error> {
    let database = config.for_sandbox().database()?;
    let directory = database.path().and_then(Path::parent);
    Ok(directory.unwrap_or(Path::new("")).join(KEY_FILE))
}

/// The key for development: of a file, or else that of the sandbox.
///
/// # Errors
/// `not_configured` if there is no such file, or it holds something else.
pub(super) fn development_key(file: Option<&Path>, context: &Context) -> Result<SigningKey, Error> {
    let path = match file {
        Some(path) => context.directory.join(path),
        None => sandbox_key_file(&context.config)?,
    };
    SigningKey::load(&path).map_err(|error| {
        let what = format!("the key file {} cannot be read: {error}", path.display());
        let hint = match error.kind() {
            ErrorKind::NotFound => {
                "`convo serve --sandbox` leaves its key there, and `convo webhook keygen --key-file \
                 FILE` makes another one"
            }
            _ => "name a file that `convo webhook keygen` or the sandbox has made",
        };
        Error::new(Code::NotConfigured, what).hint(hint)
    })
}

/// The body on standard input, byte for byte.
///
/// # Errors
/// There is no body, or it is longer than any webhook.
pub(super) fn body_from_stdin(context: &Context) -> Result<Vec<u8>, Error> {
    if context.terminal.stdin_is_terminal {
        return Err(Error::invalid("there is no body on standard input")
            .hint("pipe it in, byte for byte as it is sent: convo webhook sign < body.json"));
    }
    read_body(stdio::stdin(), "standard input")
}

/// Reads a body to its end; `name` is what it comes from.
///
/// # Errors
/// It cannot be read, or is longer than any webhook.
pub(super) fn read_body(source: impl Read, name: &str) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    source
        .take(LONGEST_EVENT as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|error| Error::invalid(format!("{name} cannot be read: {error}")))?;
    if body.len() > LONGEST_EVENT {
        return Err(Error::invalid(format!("{name} is longer than any webhook")));
    }
    Ok(body)
}

/// The settings of the sandbox, for what may touch no real database: with --sandbox, or where the database
/// of the settings is not a real one, or not there.
///
/// # Errors
/// `database_not_ready` if it is real.
pub(super) async fn require_sandbox(config: &Config) -> Result<Config, Error> {
    let sandbox = config.for_sandbox();
    if config.is_sandbox() {
        return Ok(sandbox);
    }
    config.require_database()?;
    let location = config.database()?;
    if location.path().is_some_and(|path| !path.exists()) {
        return Ok(sandbox);
    }
    match Store::open(&location, Mode::Sandbox, Purpose::Read).await {
        Ok(store) => {
            store.close().await;
            Ok(sandbox)
        }
        Err(error) if error.code() == Code::DatabaseNotReady => {
            let what = "made-up events are not for a real database, which the settings name";
            Err(Error::new(Code::DatabaseNotReady, what)
                .hint("add --sandbox, to try them with `convo serve --sandbox`"))
        }
        Err(error) => Err(error),
    }
}
