//! Which secrets may go to which addresses. A `.env` may have come with somebody else's files: an
//! address in it must not receive a secret that it does not hold itself.

use std::path::{Path, PathBuf};

use super::layers::Origin;
use super::source::{DATABASE, FoundSetting, Source};
use crate::error::{Code, Error};
use crate::store::Location;

/// The name of a setting, and what was found for it.
type Named<'a> = (&'a str, &'a FoundSetting);

/// Checks that a secret may be sent to an address.
///
/// # Errors
/// `not_configured` if the address is from a `.env` and the secret is not.
pub(super) fn check((address, found): Named<'_>, (secret, held): Named<'_>) -> Result<(), Error> {
    let Some(dotenv) = dotenv(found) else { return Ok(()) };
    let is_same = held.origin == found.origin;
    match &held.file {
        None if is_same => Ok(()),
        Some(file) if is_same && file.is_inside => Ok(()),
        Some(file) if is_same => {
            Err(refuse(address, dotenv, secret, &file.path.display().to_string()))
        }
        _ => Err(refuse(address, dotenv, secret, &origin(&held.origin))),
    }
}

/// Checks that a database does not get a password that PostgreSQL's own variables or its password
/// file hold for any server.
///
/// # Errors
/// `not_configured` if the URL is from a `.env` and names no password.
pub(super) fn check_database_password(
    found: &FoundSetting,
    location: &Location,
    source: &Source,
) -> Result<(), Error> {
    let (Some(dotenv), true) = (dotenv(found), location.needs_password()) else { return Ok(()) };
    if source.terminal("PGPASSWORD").is_some() {
        return Err(refuse(DATABASE, dotenv, "PGPASSWORD", &origin(&Origin::Environment)));
    }
    let named = source.terminal("PGPASSFILE").map(PathBuf::from);
    let usual = source.terminal("HOME").map(|home| Path::new(&home).join(".pgpass"));
    let is_for_any =
        |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| is_for_any_host(&text));
    match named.into_iter().chain(usual).find(is_for_any) {
        Some(path) => {
            let file = path.display().to_string();
            Err(refuse(DATABASE, dotenv, "a password for any host", &file))
        }
        None => Ok(()),
    }
}

/// Whether a password file has a password for every host. One for a certain host goes to no other.
fn is_for_any_host(passwords: &str) -> bool {
    passwords.lines().any(|line| line.starts_with("*:"))
}

/// The `.env` that chose an address.
fn dotenv(address: &FoundSetting) -> Option<&Path> {
    let Origin::Dotenv(path) = &address.origin else { return None };
    // A file elsewhere is nothing that came with the `.env`.
    address.file.as_ref().is_none_or(|file| file.is_inside).then_some(path)
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Environment => "the environment".to_owned(),
        other => other.to_string(),
    }
}

fn refuse(address: &str, dotenv: &Path, secret: &str, holder: &str) -> Error {
    let dotenv = dotenv.display();
    let what = format!(
        "{address} is from {dotenv}, but {secret} is from {holder}: secrets are not sent to an \
         address from a different source"
    );
    Error::new(Code::NotConfigured, what).hint(format!(
        "put both into {dotenv}, or {address} into the environment or your own settings file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::SecretPath;

    fn found(origin: &Origin, file: Option<bool>) -> FoundSetting {
        let file = file.map(|is_inside| SecretPath { path: "/key".into(), is_inside });
        FoundSetting { value: "value".to_owned(), origin: origin.clone(), base: None, file }
    }

    #[test]
    fn an_address_of_a_dotenv_gets_only_its_own_secrets() {
        let (env, dotenv) = (Origin::Environment, Origin::Dotenv("/project/.env".into()));
        let own = Origin::Settings("/home/me/.config/convo/env".into());
        for (address, secret, may_go) in [
            ((&dotenv, None), (&dotenv, None), true),
            ((&dotenv, None), (&dotenv, Some(true)), true),
            ((&dotenv, None), (&dotenv, Some(false)), false),
            ((&dotenv, None), (&env, None), false),
            ((&dotenv, None), (&env, Some(true)), false),
            ((&dotenv, None), (&own, None), false),
            ((&dotenv, Some(true)), (&env, None), false),
            ((&dotenv, Some(false)), (&env, None), true),
            ((&env, None), (&dotenv, None), true),
            ((&own, None), (&env, None), true),
            ((&Origin::Flag("--server"), None), (&own, Some(false)), true),
        ] {
            let (named, held) = (found(address.0, address.1), found(secret.0, secret.1));
            let checked = check(("ADDRESS", &named), ("SECRET", &held));
            assert_eq!(checked.is_ok(), may_go, "{address:?} {secret:?}");
            if let Err(error) = checked {
                assert!(error.to_string().contains("ADDRESS is from /project/.env"), "{error}");
            }
        }
    }

    #[test]
    fn a_password_for_any_host_is_recognised() {
        assert!(is_for_any_host("# mine\ndb:5432:*:me:pw\n*:*:*:me:pw\n"));
        assert!(!is_for_any_host("# mine\ndb:5432:*:me:pw\n#*:*:*:me:pw\n"));
    }
}
