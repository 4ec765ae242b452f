//! Tasks of the repository: `cargo run -p xtask` regenerates `THIRD-PARTY-NOTICES` from the lock file,
//! `cargo run -p xtask -- dictionary ID` trains a new dictionary for raw events.

mod dictionary;
mod graph;
mod licence;
mod notices;
mod text;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn notices_file() -> PathBuf {
    root().join("THIRD-PARTY-NOTICES")
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => fs::write(notices_file(), notices::render()?)?,
        ["dictionary", id] => println!("{}", dictionary::train(id.parse()?)?.display()),
        _ => return Err("usage: cargo run -p xtask [-- dictionary ID]".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_notices_equal_generated_ones() {
        let committed = fs::read_to_string(notices_file()).expect("the committed notices");
        let fresh = notices::render().expect("notices");
        assert!(
            committed == fresh,
            "THIRD-PARTY-NOTICES is out of date: run `cargo run -p xtask` and commit what changed"
        );
    }
}
