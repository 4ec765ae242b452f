//! Trains the dictionary with which the store compresses raw events.
//!
//! The samples are made up: the webhooks of many accounts, in the proportions of a busy day. The
//! dictionary learns what all accounts have in common, so it holds nobody's data.

mod samples;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use crate::root;

/// Bytes of a dictionary. Twice as many save another 3 % and cost each process as much memory more.
const SIZE: usize = 8 << 10;
/// Samples to learn from.
const SAMPLES: usize = 20_000;
/// The same samples, and so the same dictionary, each time.
const SEED: u64 = 20_261_129;

/// Writes the dictionary with this id. An existing one is never overwritten: rows that were
/// compressed with it could not be read any more.
pub fn train(id: u16) -> Result<PathBuf, Box<dyn Error>> {
    let path = root().join(format!("src/store/raw_event/dictionary-{id}.zstd"));
    if path.exists() {
        return Err(format!("{} exists: take a new id", path.display()).into());
    }
    let dictionary = zstd::dict::from_samples(&samples::events(SEED, SAMPLES), SIZE)?;
    fs::write(&path, dictionary)?;
    Ok(path)
}
