//! What users are told when the database cannot be opened. Unlike later failures this names the
//! cause, since it is usually theirs to fix; it never contains a password.

use sea_orm::{DbErr, sqlx};

use super::Location;
use super::db_error::{
    RESTORE, cause, code, is_corrupt, is_forbidden, is_full, is_not_a_database, may_pass,
    sqlite_code,
};
use super::sqlstate;
use crate::error::{Code, Error};

/// The hint for a full disk.
pub(super) const FREE_SPACE: &str = "free some space on the database's disk";

/// The error for a database that cannot be opened: `database_not_ready` if somebody has to change
/// something, `database_unavailable` if the condition may pass.
pub(super) fn cannot_open(location: &Location, error: &DbErr) -> Error {
    if is_not_a_database(error) {
        let what = format!("{location} is not an SQLite database");
        return Error::new(Code::DatabaseNotReady, what).hint("set DATABASE_URL to another file");
    }
    let (code, why, hint) = match location.unreadable_file() {
        Some(why) => (Code::DatabaseNotReady, why, "check the paths in DATABASE_URL"),
        None => reason(error),
    };
    Error::new(code, format!("cannot open the database {location}: {why}")).hint(hint)
}

/// The code, the reason and the hint for an error of the driver.
fn reason(error: &DbErr) -> (Code, String, &'static str) {
    if let Some(why) = tls_problem(error) {
        let hint = "check sslmode and sslrootcert in DATABASE_URL, and the server's certificate";
        return (Code::DatabaseNotReady, why, hint);
    }
    let why = match (cause(error), error) {
        (Some(sqlx::Error::PoolTimedOut), _) => "the connection timed out".to_owned(),
        (_, DbErr::Conn(cause)) => cause.to_string(),
        (_, other) => other.to_string(),
    };
    let code = if may_pass(error) { Code::DatabaseUnavailable } else { Code::DatabaseNotReady };
    (code, why, hint(error))
}

fn hint(error: &DbErr) -> &'static str {
    match code(error) {
        Some(state) if sqlite_code(&state).is_none() => sqlstate::hint(&state),
        _ if is_full(error) => FREE_SPACE,
        _ if is_corrupt(error) => RESTORE,
        _ if is_forbidden(error) => {
            "check the path in DATABASE_URL, and the permissions of the file and its directory"
        }
        _ => "check DATABASE_URL, and that the database is running",
    }
}

/// Why the connection could not be encrypted as asked for.
fn tls_problem(error: &DbErr) -> Option<String> {
    let tls = match cause(error)? {
        sqlx::Error::Tls(tls) => tls.to_string(),
        sqlx::Error::Io(io) => io.get_ref()?.downcast_ref::<rustls::Error>()?.to_string(),
        _ => return None,
    };
    let untrusted = "the server's certificate is not signed by a trusted authority";
    let wrong_host = "the server's certificate is for another host name";
    let expired = "the server's certificate has expired";
    let known = [
        ("UnknownIssuer", untrusted),
        ("BadSignature", untrusted),
        ("not valid for name", wrong_host),
        ("NotValidForName", wrong_host),
        ("Expired", expired),
        ("expired", expired),
        ("does not support TLS", "the server does not support TLS, which sslmode requires"),
    ];
    let found = known.iter().find(|(word, _)| tls.contains(word));
    Some(found.map_or(tls, |(_, problem)| (*problem).to_owned()))
}
