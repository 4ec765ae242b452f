//! The address of the database, in the URL forms of SQLAlchemy and libpq.

mod postgres;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error};

/// Where a database is. `Display` and `Debug` show no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// How it may be opened.
        mode: FileMode,
    },
    /// A PostgreSQL server.
    Postgres {
        /// Its URL, with the password if there is one.
        url: String,
    },
}

/// How a database file may be opened: SQLite's `?mode=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Read, write, and create it if it is missing.
    Create,
    /// Read and write an existing file.
    Write,
    /// Read only.
    Read,
}

impl Location {
    /// Parses a `DATABASE_URL`. Relative paths are resolved against `base`.
    ///
    /// # Errors
    /// `not_configured` if it is not a valid URL of a supported database.
    pub fn parse(url: &str, base: &Path) -> Result<Self, Error> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return sqlite(rest, base);
        }
        let postgres = ["postgresql+psycopg2://", "postgresql://", "postgres://"];
        if let Some(rest) = postgres.iter().find_map(|scheme| url.strip_prefix(scheme)) {
            return Ok(Self::Postgres { url: postgres::url(rest, base)? });
        }
        // The error repeats only the scheme: the rest may contain a password.
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        Err(match scheme {
            "" => refuse("DATABASE_URL is not a URL"),
            scheme if scheme.len() <= 40 && scheme.chars().all(plain) => {
                refuse(&format!("convo does not support '{scheme}' databases"))
            }
            _ => refuse("DATABASE_URL has an unsupported scheme"),
        })
    }

    /// An existing file, only to be read.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self::Sqlite { path, mode: FileMode::Read }
    }

    /// Which certificate or key named in the URL cannot be read, and why.
    pub(super) fn unreadable_file(&self) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { url } => postgres::unreadable_file(url),
        }
    }

    /// Whether the URL contains a password.
    pub(crate) fn has_password(&self) -> bool {
        match self {
            Self::Sqlite { .. } => false,
            Self::Postgres { url } => postgres::has_password(url),
        }
    }

    /// Whether the URL names a PostgreSQL server without the password for it, which the driver then
    /// looks for elsewhere.
    pub(crate) fn needs_password(&self) -> bool {
        match self {
            Self::Sqlite { .. } => false,
            Self::Postgres { url } => postgres::needs_password(url),
        }
    }

    /// The path of an SQLite file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path, .. } => Some(path),
            Self::Postgres { .. } => None,
        }
    }
}

fn refuse(what: &str) -> Error {
    Error::new(Code::NotConfigured, what).hint(
        "use sqlite:///file.db, sqlite:////absolute/file.db or postgresql://user:password@host/db",
    )
}

fn sqlite(rest: &str, base: &Path) -> Result<Location, Error> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // As in SQLAlchemy, three slashes introduce a relative path, four an absolute one.
    let path = path.strip_prefix("///").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return Err(refuse("DATABASE_URL does not name a database file").hint(
            "conversations are stored permanently, so use a file: sqlite:///conversations.db",
        ));
    }
    let mut mode = FileMode::Create;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        mode = match parameter {
            "mode=rwc" => FileMode::Create,
            "mode=rw" => FileMode::Write,
            "mode=ro" => FileMode::Read,
            _ => {
                return Err(refuse("DATABASE_URL has an unknown parameter")
                    .hint("for SQLite, use ?mode=ro, ?mode=rw or ?mode=rwc"));
            }
        };
    }
    let path = base.join(path);
    if !path.is_absolute() {
        let what = "DATABASE_URL is relative to a working directory that no longer exists";
        return Err(refuse(what).hint(
            "change to another directory, or give an absolute path: sqlite:////absolute/file.db",
        ));
    }
    // SQLite takes no others.
    if path.to_str().is_none() {
        let what = format!("the path of the database is not valid UTF-8: {}", path.display());
        return Err(refuse(&what).hint("set DATABASE_URL to a path in another directory"));
    }
    Ok(Location::Sqlite { path, mode })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => write!(f, "{}", path.display()),
            Self::Postgres { url } => match url::Url::parse(url) {
                Ok(url) => {
                    let host = url.host_str().unwrap_or("the local socket");
                    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                    write!(f, "PostgreSQL at {host}{port}{}", url.path())
                }
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> Option<PathBuf> {
        Location::parse(url, Path::new("/base")).ok()?.path().map(Path::to_owned)
    }

    #[test]
    fn every_form_of_a_file_url_is_parsed() {
        for (url, expected) in [
            ("sqlite:///conversations.db", "/base/conversations.db"),
            ("sqlite:////var/lib/convo/c.db", "/var/lib/convo/c.db"),
            ("sqlite:c.db", "/base/c.db"),
            ("sqlite://c.db", "/base/c.db"),
            ("sqlite:///sub/c.db?mode=rwc", "/base/sub/c.db"),
        ] {
            assert_eq!(path(url).as_deref(), Some(Path::new(expected)), "{url}");
        }
        let read = Location::parse("sqlite:c.db?mode=ro", Path::new("/")).expect("a location");
        assert!(matches!(read, Location::Sqlite { mode: FileMode::Read, .. }));
    }

    #[test]
    fn every_form_of_a_server_url_is_parsed_and_hides_its_password() {
        for scheme in ["postgresql", "postgres", "postgresql+psycopg2"] {
            let url = format!("{scheme}://user:secret@db.example:5433/convo?sslmode=require");
            let location = Location::parse(&url, Path::new("/")).expect(scheme);
            assert_eq!(location.path(), None);
            assert_eq!(format!("{location:?}"), "PostgreSQL at db.example:5433/convo");
        }
    }

    #[test]
    fn other_urls_are_refused_without_showing_their_secrets() {
        for url in [
            "mysql://u:secret@h/d",
            "",
            "conversations.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:///",
            "sqlite:c.db?cache=shared",
            "postgres://u:secret@h:port/d",
            "http://secret",
        ] {
            let error = Location::parse(url, Path::new("/")).expect_err(url);
            let told = format!("{error} {:?}", error.hint_text());
            assert!(!told.contains("secret"), "{told}");
            assert_eq!(error.code(), Code::NotConfigured);
        }
        let error = Location::parse("mysql://h/d", Path::new("/")).expect_err("mysql");
        assert!(error.to_string().contains("'mysql'"));
        let error = Location::parse("sqlite:a.db", Path::new("")).expect_err("no directory");
        assert!(error.to_string().contains("no longer exists"));
        assert!(Location::parse("sqlite:////a.db", Path::new("")).is_ok());
        let latin = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/caf\xe9");
        assert!(Location::parse("sqlite:a.db", Path::new(latin)).is_err());
        assert!(Location::parse("sqlite:////a.db", Path::new(latin)).is_ok());
    }
}
