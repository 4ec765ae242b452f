//! PostgreSQL's URL as the driver needs it: every parameter is one that has an effect, and means
//! what it means to `psql`.

use std::path::Path;

use url::Url;

use super::refuse;
use crate::error::Error;

/// Parameters that the driver understands as they are.
const KNOWN: &[&str] =
    &["host", "hostaddr", "port", "dbname", "user", "password", "application_name", "options"];
/// Parameters that name files.
const FILES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];
/// The values of `sslmode`.
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Reads what follows the scheme. Relative paths of certificates start from `base`.
///
/// # Errors
/// `not_configured` for a URL that is none or asks for something that would not be done. Values
/// are never repeated: they may be secret.
pub(super) fn url(rest: &str, base: &Path) -> Result<String, Error> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        return Err(refuse("DATABASE_URL names several hosts").hint(
            "name one: a proxy, a floating address or a DNS name that leads to the primary",
        ));
    }
    let mut url = Url::parse(&format!("postgres://{rest}"))
        .map_err(|_| refuse("DATABASE_URL is not a valid PostgreSQL URL"))?;
    let mut wishes = Wishes::default();
    let mut parameters = Vec::new();
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslmode" => wishes.mode = Some(mode(&value)?),
            "sslrootcert" if value == "system" => wishes.has_system_roots = true,
            file if FILES.contains(&file) => {
                wishes.has_own_root |= file == "sslrootcert";
                let path = base.join(&*value);
                parameters.push((file.to_owned(), path.to_string_lossy().into_owned()));
            }
            known if KNOWN.contains(&known) || known.starts_with("options[") => {
                parameters.push((known.to_owned(), value.into_owned()));
            }
            // Said by some providers' URLs, and meant when it is not said.
            "channel_binding" if value != "require" => {}
            "target_session_attrs" if value == "any" => {}
            other => return Err(unknown(other)),
        }
    }
    if let Some(mode) = wishes.mode()? {
        parameters.push(("sslmode".to_owned(), mode.to_owned()));
    }
    // The driver would look up the brackets, too.
    if let Some(address) = url.host_str().and_then(|host| host.strip_prefix('[')) {
        parameters.insert(0, ("hostaddr".to_owned(), address.trim_end_matches(']').to_owned()));
    }
    url.set_query(None);
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    Ok(url.into())
}

/// The file that a URL names and that cannot be read, with the reason.
pub(super) fn unreadable(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let files = url.query_pairs().filter(|(name, _)| FILES.contains(&&**name));
    files.into_iter().find_map(|(name, path)| {
        let error = std::fs::File::open(&*path).err()?;
        Some(format!("{name}: cannot read {path}: {error}"))
    })
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    refuse(&format!("DATABASE_URL has a parameter that convo does not know: '{shown:.40}'"))
        .hint("of PostgreSQL's: sslmode, sslrootcert, sslcert, sslkey, host, port, user, dbname")
}

fn mode(value: &str) -> Result<&'static str, Error> {
    SSL_MODES.iter().find(|mode| **mode == value).copied().ok_or_else(|| {
        refuse("DATABASE_URL has an sslmode that is none").hint(format!(
            "one of {}; verify-full alone is sure to reach the right server",
            SSL_MODES.join(", ")
        ))
    })
}

/// What was said about encryption.
#[derive(Default)]
struct Wishes {
    mode: Option<&'static str>,
    has_own_root: bool,
    has_system_roots: bool,
}

impl Wishes {
    /// The mode that does what `psql` would do.
    fn mode(&self) -> Result<Option<&'static str>, Error> {
        match self.mode {
            // With public authorities, any server of the world has a certificate that is valid.
            Some("verify-full") => {}
            Some("verify-ca") if !self.has_own_root => {
                let what = "DATABASE_URL says sslmode=verify-ca without an authority of its own";
                return Err(refuse(what).hint("add sslrootcert=FILE, or say sslmode=verify-full"));
            }
            _ if self.has_system_roots => {
                let what = "DATABASE_URL says sslrootcert=system without sslmode=verify-full";
                return Err(refuse(what).hint("say sslmode=verify-full"));
            }
            // The driver would encrypt to whoever answers.
            Some("require") if self.has_own_root => return Ok(Some("verify-ca")),
            // The driver would not encrypt at all.
            Some("allow") => return Ok(Some("prefer")),
            _ => {}
        }
        Ok(self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Result<String, String> {
        url(rest, Path::new("/base")).map_err(|error| {
            let told = format!("{error} {:?}", error.hint_text());
            assert!(!told.contains("secret"), "{told}");
            told
        })
    }

    #[test]
    fn encryption_means_what_it_means_to_psql() {
        for (given, read_as) in [
            ("h/d", "h/d"),
            ("h/d?sslmode=allow", "h/d?sslmode=prefer"),
            ("h/d?sslmode=require", "h/d?sslmode=require"),
            ("h/d?sslmode=verify-full&sslrootcert=system", "h/d?sslmode=verify-full"),
            (
                "h/d?sslmode=require&sslrootcert=ca.pem",
                "h/d?sslrootcert=%2Fbase%2Fca.pem&sslmode=verify-ca",
            ),
            (
                "h/d?sslrootcert=/etc/ca.pem&sslmode=verify-full",
                "h/d?sslrootcert=%2Fetc%2Fca.pem&sslmode=verify-full",
            ),
            ("u@h/d?channel_binding=prefer&user=x", "u@h/d?user=x"),
            ("[::1]:5432/d", "[::1]:5432/d?hostaddr=%3A%3A1"),
        ] {
            assert_eq!(read(given), Ok(format!("postgres://{read_as}")), "{given}");
        }
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for (given, told) in [
            ("u:secret@a,b/d", "several hosts"),
            ("a:1,b:2/d?target_session_attrs=read-write", "several hosts"),
            ("u:secret@h/d?sslmod=verify-full", "'sslmod'"),
            ("h/d?sslmode=secret", "sslmode"),
            ("h/d?sslmode=verify-ca", "sslrootcert=FILE"),
            ("h/d?sslmode=prefer&sslrootcert=system", "verify-full"),
            ("h/d?channel_binding=require", "channel_binding"),
            ("h/d?passwort=secret", "'passwort'"),
            ("u:secret@h:port/d", "valid"),
        ] {
            let refused = read(given).expect_err(given);
            assert!(refused.contains(told), "{given}: {refused}");
        }
    }
}
