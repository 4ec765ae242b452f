//! Whether `TZ` names a time zone. chrono takes another one in silence if it does not.

use std::path::Path;

/// Where the database of time zones is.
const DIRECTORIES: [&str; 4] =
    ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];

/// Whether a value of `TZ` is a time zone of this system, or defines one as POSIX does.
pub(super) fn is_known(zone: &str) -> bool {
    let name = zone.strip_prefix(':').unwrap_or(zone);
    // An absolute path replaces the directory.
    DIRECTORIES.iter().any(|directory| Path::new(directory).join(name).is_file())
        || name == "localtime"
        || zone.trim().is_empty()
        || (name == zone && is_definition(zone.trim()))
}

/// Whether a text begins as a definition: a name, of letters or in angle brackets, and an offset.
fn is_definition(text: &str) -> bool {
    let after_name = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            (text.len() - rest.len() >= 3).then_some(rest)
        }
    };
    let offset = after_name.map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
    offset.is_some_and(|offset| offset.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_needs_no_database() {
        for zone in ["UTC0", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "", "localtime"] {
            assert!(is_known(zone), "{zone}");
        }
        for zone in ["Mars/Base", "Europe/Berlim", "X1", "<+03>", "+3", ":UTC0", "/dev/null"] {
            assert!(!is_known(zone), "{zone}");
        }
    }
}
