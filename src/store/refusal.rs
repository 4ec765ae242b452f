//! What a user is told when the database cannot be opened. It is their own database, so they are
//! told why; a password is never part of it.

use sea_orm::{DbErr, sqlx};

use super::Location;
use super::failure::{cause, code, is_damaged, is_forbidden, is_no_database};
use crate::error::{Code, Error};

/// The error of a database that cannot be opened. What a person must change is
/// `database_not_ready`; what may pass by itself is `database_unavailable`.
pub(super) fn cannot_open(location: &Location, error: &DbErr) -> Error {
    if is_no_database(error) {
        let what = format!("{location} is no database of convo");
        return Error::new(Code::DatabaseNotReady, what).hint("set DATABASE_URL to another file");
    }
    let (code, why, hint) = match location.unreadable() {
        Some(why) => (Code::DatabaseNotReady, why, "check the paths in DATABASE_URL"),
        None => why(error),
    };
    Error::new(code, format!("cannot open the database {location}: {why}")).hint(hint)
}

fn why(error: &DbErr) -> (Code, String, &'static str) {
    if let Some(why) = insecure(error) {
        let hint = "check sslmode and sslrootcert in DATABASE_URL, and the server's certificate";
        return (Code::DatabaseNotReady, why, hint);
    }
    let why = match (cause(error), error) {
        (Some(sqlx::Error::PoolTimedOut), _) => "nobody answered there in time".to_owned(),
        (_, DbErr::Conn(cause)) => cause.to_string(),
        (_, other) => other.to_string(),
    };
    match code(error).as_deref() {
        // A wrong password or user, a database that does not exist.
        Some(code) if code.starts_with("28") || code == "3D000" => {
            (Code::DatabaseNotReady, why, "check user, password and name in DATABASE_URL")
        }
        Some(_) if is_damaged(error) => {
            (Code::DatabaseNotReady, why, "the file is damaged: put a copy of it in its place")
        }
        Some(_) if is_forbidden(error) => {
            let hint = "check the path in DATABASE_URL, and the rights to it and its directory";
            (Code::DatabaseNotReady, why, hint)
        }
        _ => {
            let hint = "check DATABASE_URL and that the database is running";
            (Code::DatabaseUnavailable, why, hint)
        }
    }
}

/// What is wrong with the encryption that was asked for.
fn insecure(error: &DbErr) -> Option<String> {
    let cause = cause(error)?;
    let tls = match cause {
        sqlx::Error::Tls(tls) => tls.to_string(),
        sqlx::Error::Io(io) => io.get_ref()?.downcast_ref::<rustls::Error>()?.to_string(),
        _ => return None,
    };
    let known = [
        ("UnknownIssuer", "its certificate is not signed by an authority that is trusted"),
        ("BadSignature", "its certificate is not signed by an authority that is trusted"),
        ("not valid for name", "its certificate is made for another host"),
        ("NotValidForName", "its certificate is made for another host"),
        ("Expired", "its certificate has expired"),
        ("expired", "its certificate has expired"),
        ("does not support TLS", "it does not speak TLS, which sslmode demands"),
    ];
    let told = known.iter().find(|(word, _)| tls.contains(word));
    Some(told.map_or(tls, |(_, told)| (*told).to_owned()))
}
