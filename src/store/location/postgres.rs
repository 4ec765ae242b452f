//! Translating a PostgreSQL URL for the driver, so that every parameter means what it means to
//! `psql`, and none is silently ignored.

use std::path::Path;

use url::Url;

use super::refuse;
use crate::error::Error;

/// Parameters passed to the driver unchanged.
const KNOWN: &[&str] =
    &["host", "hostaddr", "port", "dbname", "user", "password", "application_name", "options"];
/// Parameters whose value is a file.
const FILES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Translates what follows the scheme. Relative paths of certificates are resolved against `base`.
///
/// # Errors
/// `not_configured` if the URL is invalid, or asks for something the driver would not do. Values are
/// not repeated in the error: they may be secret.
pub(super) fn url(rest: &str, base: &Path) -> Result<String, Error> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        return Err(refuse("DATABASE_URL names several hosts").hint(
            "name one: a proxy, a floating IP address, or a DNS name that resolves to the primary",
        ));
    }
    let mut url = Url::parse(&format!("postgres://{rest}"))
        .map_err(|_| refuse("DATABASE_URL is not a valid PostgreSQL URL"))?;
    let mut ssl = SslParameters::default();
    let mut parameters = Vec::new();
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslmode" => ssl.mode = Some(mode(&value)?),
            "sslrootcert" if value == "system" => ssl.has_system_roots = true,
            file if FILES.contains(&file) => {
                ssl.has_own_root |= file == "sslrootcert";
                let path = base.join(&*value);
                parameters.push((file.to_owned(), path.to_string_lossy().into_owned()));
            }
            known if KNOWN.contains(&known) || known.starts_with("options[") => {
                parameters.push((known.to_owned(), value.into_owned()));
            }
            // Found in some providers' URLs, and the default anyway.
            "channel_binding" if value != "require" => {}
            "target_session_attrs" if value == "any" => {}
            other => return Err(unknown_parameter(other)),
        }
    }
    if let Some(mode) = ssl.mode()? {
        parameters.push(("sslmode".to_owned(), mode.to_owned()));
    }
    // The driver would resolve the address with its brackets.
    if let Some(address) = url.host_str().and_then(|host| host.strip_prefix('[')) {
        parameters.insert(0, ("hostaddr".to_owned(), address.trim_end_matches(']').to_owned()));
    }
    url.set_query(None);
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    Ok(url.into())
}

/// Whether a translated URL contains a password.
pub(super) fn has_password(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    url.password().is_some() || has_parameter(&url, &["password"])
}

/// Whether a translated URL names a server, but no password for it.
pub(super) fn needs_password(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else { return false };
    let in_authority = parsed.host_str().is_some_and(|host| !host.is_empty());
    (in_authority || has_parameter(&parsed, &["host", "hostaddr"])) && !has_password(url)
}

fn has_parameter(url: &Url, names: &[&str]) -> bool {
    url.query_pairs().any(|(name, _)| names.contains(&&*name))
}

/// Which file named in the URL cannot be read, and why.
pub(super) fn unreadable_file(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let files = url.query_pairs().filter(|(name, _)| FILES.contains(&&**name));
    files.into_iter().find_map(|(name, path)| {
        let error = std::fs::File::open(&*path).err()?;
        Some(format!("{name}: cannot read {path}: {error}"))
    })
}

fn unknown_parameter(name: &str) -> Error {
    let shown: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    refuse(&format!("DATABASE_URL has an unknown parameter: '{shown:.40}'")).hint(
        "for PostgreSQL, use sslmode, sslrootcert, sslcert, sslkey, host, port, user or dbname",
    )
}

fn mode(value: &str) -> Result<&'static str, Error> {
    SSL_MODES.iter().find(|mode| **mode == value).copied().ok_or_else(|| {
        refuse("DATABASE_URL has an invalid sslmode").hint(format!(
            "use one of {}; only verify-full makes sure that it is the right server",
            SSL_MODES.join(", ")
        ))
    })
}

/// The parameters that concern encryption.
#[derive(Default)]
struct SslParameters {
    mode: Option<&'static str>,
    has_own_root: bool,
    has_system_roots: bool,
}

impl SslParameters {
    /// The mode that makes the driver do what `psql` would do.
    fn mode(&self) -> Result<Option<&'static str>, Error> {
        match self.mode {
            Some("verify-full") => {}
            // With public authorities, any server in the world has a valid certificate.
            Some("verify-ca") if !self.has_own_root => {
                let what = "DATABASE_URL has sslmode=verify-ca without an sslrootcert file";
                return Err(refuse(what).hint("add sslrootcert=FILE, or use sslmode=verify-full"));
            }
            _ if self.has_system_roots => {
                let what = "DATABASE_URL has sslrootcert=system without sslmode=verify-full";
                return Err(refuse(what).hint("use sslmode=verify-full"));
            }
            // The driver would not check the certificate.
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
    fn encryption_parameters_mean_what_they_mean_to_psql() {
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
    fn parameters_that_would_have_no_effect_are_refused() {
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
