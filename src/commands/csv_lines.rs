//! Line numbers of CSV files.

/// What must be added to the line at which the `csv` crate says that a row begins. It ends a row at the
/// carriage return, and counts the line feed after it only with the next row.
pub(super) fn offset(beginning: &[u8]) -> u64 {
    let first = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    u64::from(first.ends_with(b"\r"))
}
