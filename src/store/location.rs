//! Where the database is, from the URL forms people know from SQLAlchemy and from libpq.

mod postgres;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error};

/// A database that convo can use. `Display` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// One file on this machine.
    Sqlite {
        /// The file.
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
    /// Only read.
    Read,
}

impl Location {
    /// Understands a `DATABASE_URL`. A relative path is taken from `base`.
    ///
    /// # Errors
    /// `not_configured` for anything that names neither kind of database.
    pub fn parse(url: &str, base: &Path) -> Result<Self, Error> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return sqlite(rest, base);
        }
        let postgres = ["postgresql+psycopg2://", "postgresql://", "postgres://"];
        if let Some(rest) = postgres.iter().find_map(|scheme| url.strip_prefix(scheme)) {
            return Ok(Self::Postgres { url: postgres::url(rest, base)? });
        }
        // Only the scheme is repeated: the rest may hold a password.
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        Err(match scheme {
            "" => refuse("DATABASE_URL is not a URL"),
            scheme if scheme.len() <= 40 && scheme.chars().all(plain) => {
                refuse(&format!("convo cannot use a database of the kind '{scheme}'"))
            }
            _ => refuse("DATABASE_URL names no kind of database that convo knows"),
        })
    }

    /// What keeps a file from being read that the URL names beside the database: a certificate
    /// or its key.
    pub(super) fn unreadable(&self) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { url } => postgres::unreadable(url),
        }
    }

    /// The file, when it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
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
    // Three slashes introduce a relative path, four an absolute one, as in SQLAlchemy.
    let path = path.strip_prefix("///").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return Err(refuse("DATABASE_URL names no database file")
            .hint("convo keeps threads for good, so it needs a file: sqlite:///conversations.db"));
    }
    let mut mode = FileMode::Create;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        mode = match parameter {
            "mode=rwc" => FileMode::Create,
            "mode=rw" => FileMode::Write,
            "mode=ro" => FileMode::Read,
            _ => {
                return Err(refuse("DATABASE_URL has a parameter that convo does not know")
                    .hint("for a file there is only ?mode=ro, ?mode=rw and ?mode=rwc"));
            }
        };
    }
    Ok(Location::Sqlite { path: base.join(path), mode })
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
    fn every_form_of_a_file_is_known() {
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
    fn every_form_of_a_server_is_known_and_hides_its_password() {
        for scheme in ["postgresql", "postgres", "postgresql+psycopg2"] {
            let url = format!("{scheme}://user:secret@db.example:5433/convo?sslmode=require");
            let location = Location::parse(&url, Path::new("/")).expect(scheme);
            assert_eq!(location.path(), None);
            assert_eq!(format!("{location:?}"), "PostgreSQL at db.example:5433/convo");
        }
    }

    #[test]
    fn the_rest_is_refused_by_name_without_its_secrets() {
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
    }
}
