//! What PostgreSQL's error codes (SQLSTATE) mean: during a transaction, and when opening the database.

use super::db_error::Failure;

/// The code that our trigger raises while a database is held for a copy.
pub(super) const HELD_STATE: &str = "CV001";
/// Another row has the same key.
pub(super) const UNIQUE_VIOLATION: &str = "23505";

/// A lock was not free within `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What to do about a transaction that failed.
pub(super) fn classify(state: &str) -> Failure {
    match state {
        HELD_STATE => Failure::Held,
        // A serialization failure, a deadlock.
        UNIQUE_VIOLATION | "40001" | "40P01" => Failure::Contention,
        LOCK_NOT_AVAILABLE => Failure::LockTimeout,
        // Data exceptions, integrity constraint violations, program limits.
        _ if is_in(&["22", "23", "54"], state) => Failure::Data,
        _ => Failure::Unavailable,
    }
}

/// Whether the same statement may succeed later without anybody changing a setting, a permission
/// or the database.
pub(super) fn may_pass(state: &str) -> bool {
    match state {
        // Read-only: a standby may be promoted.
        "25006" => true,
        // The database was dropped.
        "57P04" => false,
        // Connections, conflicts, resources, objects in use, the operator, the system.
        _ => is_in(&["08", "40", "53", "55", "57", "58"], state),
    }
}

/// What to do about a database that could not be opened.
pub(super) fn hint(state: &str) -> &'static str {
    match state {
        "42501" => {
            "grant the role what it lacks: GRANT USAGE, CREATE ON SCHEMA public TO <role>, and, if \
             another role owns convo's tables, the rights on those; or run `convo migrate` as the owner"
        }
        "3F000" => "create the schema, or correct the role's search_path",
        "53300" => {
            "close other connections, or allow more: max_connections, or the CONNECTION LIMIT of \
             the role or the database"
        }
        "57P03" => "wait until PostgreSQL has started",
        _ if is_in(&["28", "3D"], state) => {
            "check user, password and database name in DATABASE_URL, and the server's pg_hba.conf"
        }
        _ if is_in(&["53"], state) => "free disk space or memory on the database's machine",
        _ if may_pass(state) => "check DATABASE_URL, and that the database is running",
        _ => "check the database's log; retrying will not help",
    }
}

fn is_in(classes: &[&str], state: &str) -> bool {
    classes.iter().any(|class| state.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_passes_by_itself_or_somebody_has_to_act() {
        for state in [
            "08006", "08P01", "25006", "40001", "53100", "53200", "53300", "55P03", "57014",
            "57P01", "57P03", "58030",
        ] {
            assert!(may_pass(state), "{state}");
        }
        for state in [
            "0A000", "22021", "28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703",
            "57P04", "XX001",
        ] {
            assert!(!may_pass(state), "{state}");
        }
    }

    #[test]
    fn only_a_row_makes_a_transaction_fail_for_its_data() {
        for (state, failure) in [
            (HELD_STATE, Failure::Held),
            ("40P01", Failure::Contention),
            (LOCK_NOT_AVAILABLE, Failure::LockTimeout),
            (UNIQUE_VIOLATION, Failure::Contention),
            ("23502", Failure::Data),
            ("22P05", Failure::Data),
            ("42501", Failure::Unavailable),
            ("53100", Failure::Unavailable),
        ] {
            assert_eq!(classify(state), failure, "{state}");
        }
    }
}
