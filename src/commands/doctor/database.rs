//! The database: whether it can be reached and used, and what it needs to keep what it is given.

use std::time::Duration;

use super::finding::Finding;
use crate::config::Config;
use crate::error::{Code, Error};
use crate::store::Location;
use crate::store::examine::{DiskSpace, ExaminedDatabase, check_files, disk_space};

const DATABASE: &str = "database";
const SCHEMA: &str = "schema";
const DURABILITY: &str = "durability";
const INTEGRITY: &str = "integrity";
const DISK: &str = "disk";
const FILES: &str = "file_modes";
/// How long the check for damage may take.
const INTEGRITY_TIME: Duration = Duration::from_secs(20);
/// Below so much free space, SQLite's log may fill the disk within minutes of traffic.
const LITTLE: u64 = 1 << 30;
const TOO_LITTLE: u64 = 64 << 20;

/// What was found, and whether commands can open the database.
pub(super) async fn check(config: &Config) -> (Vec<Finding>, bool) {
    let location = match config.database() {
        Ok(location) => location,
        Err(error) => return (without_database(Finding::from_error(DATABASE, &error)), false),
    };
    let files = check_files(&location);
    if files.is_err() {
        // SQLite must not open what another user may have made.
        let mut findings =
            without_database(Finding::skipped(DATABASE, "not opened: see file_modes"));
        findings.retain(|finding| ![DISK, FILES].contains(&finding.check));
        findings.extend([disk(&location), modes(&location, files)]);
        return (findings, false);
    }
    let examined = match ExaminedDatabase::connect(&location, config.mode()).await {
        Ok(examined) => examined,
        Err(error) => return (without_database(Finding::from_error(DATABASE, &error)), false),
    };
    let schema = examined.schema().await;
    let is_usable = schema.is_ok();
    let findings = vec![
        Finding::ok(DATABASE, location.to_string()),
        from_result(SCHEMA, schema.map(|()| "up to date".to_owned())),
        from_result(DURABILITY, examined.durability().await),
        integrity(&examined).await,
        disk(&location),
        modes(&location, files),
    ];
    examined.close().await;
    (findings, is_usable)
}

/// The other checks need the database.
fn without_database(database: Finding) -> Vec<Finding> {
    let skipped = [SCHEMA, DURABILITY, INTEGRITY, DISK, FILES]
        .map(|check| Finding::skipped(check, "needs the database"));
    std::iter::once(database).chain(skipped).collect()
}

fn from_result(check: &'static str, result: Result<String, Error>) -> Finding {
    match result {
        Ok(seen) => Finding::ok(check, seen),
        Err(error) => Finding::from_error(check, &error),
    }
}

async fn integrity(examined: &ExaminedDatabase) -> Finding {
    match examined.integrity(INTEGRITY_TIME).await {
        Some(result) => from_result(INTEGRITY, result),
        None => {
            let seen =
                format!("not complete after {} s, no damage so far", INTEGRITY_TIME.as_secs());
            Finding::skipped(INTEGRITY, seen)
        }
    }
}

fn disk(location: &Location) -> Finding {
    let Some(path) = location.path() else {
        return Finding::skipped(DISK, "PostgreSQL's disk cannot be seen from here");
    };
    match disk_space(path) {
        Ok(space) => judge(space),
        Err(error) => Finding::skipped(DISK, format!("unknown: {error}")),
    }
}

/// Whether the free space will do: twice the file's size is needed to compact it.
fn judge(DiskSpace { free, used }: DiskSpace) -> Finding {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let seen = format!("{} free, the database has {}", mib(free), mib(used));
    let mend = "free some space, or move the database to a larger disk";
    match free {
        free if free < TOO_LITTLE => Finding::failure(DISK, Code::NotConfigured, seen, mend),
        free if free < LITTLE => Finding::warning(DISK, seen, mend),
        _ => Finding::ok(DISK, seen),
    }
}

fn modes(location: &Location, files: Result<(), Error>) -> Finding {
    match files {
        _ if location.path().is_none() => {
            Finding::skipped(FILES, "PostgreSQL's files cannot be seen from here")
        }
        Ok(()) => Finding::ok(FILES, "only its owner can access the database"),
        Err(error) => Finding::from_error(FILES, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::FindingVerdict;

    #[test]
    fn little_free_space_is_told_before_the_disk_is_full() {
        let verdict = |free| judge(DiskSpace { free, used: 0 }).verdict;
        assert_eq!(verdict(0), FindingVerdict::Failure);
        assert_eq!(verdict(TOO_LITTLE - 1), FindingVerdict::Failure);
        assert_eq!(verdict(TOO_LITTLE), FindingVerdict::Warning);
        assert_eq!(verdict(LITTLE), FindingVerdict::Ok);
    }
}
