//! The committed completions, manual pages and API document are what the program would write
//! today.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What holds generated files and nothing else.
const FOLDERS: [&str; 2] = ["completions", "man"];
const API: &str = "docs/openapi.json";
const HOW: &str = "run `cargo run -- generate .` and commit what changed";

fn files_below(root: &Path) -> BTreeSet<PathBuf> {
    let entries = FOLDERS.iter().flat_map(|folder| {
        let folder = Path::new(folder);
        let names = fs::read_dir(root.join(folder)).expect("a folder of generated files");
        names.map(|entry| folder.join(entry.expect("an entry").file_name()))
    });
    entries.chain([PathBuf::from(API)]).collect()
}

#[test]
fn committed_files_equal_generated_ones() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().expect("a folder");
    convo::commands::generate::write_files(fresh.path()).expect("files are written");
    assert_eq!(files_below(committed), files_below(fresh.path()), "{HOW}");
    for file in files_below(fresh.path()) {
        let read = |root: &Path| fs::read(root.join(&file)).expect("a generated file");
        assert!(read(committed) == read(fresh.path()), "{} is out of date: {HOW}", file.display());
    }
}

#[test]
fn every_shell_and_every_command_has_its_file() {
    let committed = files_below(Path::new(env!("CARGO_MANIFEST_DIR")));
    for name in ["convo.bash", "_convo", "convo.fish", "_convo.ps1", "convo.elv"] {
        assert!(committed.contains(&Path::new("completions").join(name)), "{name}");
    }
    for name in [
        "",
        "-list",
        "-show",
        "-send",
        "-retry",
        "-serve",
        "-sync",
        "-migrate",
        "-sandbox",
        "-openapi",
        "-completion",
        "-wait",
        "-health",
        "-help",
    ] {
        assert!(committed.contains(&PathBuf::from(format!("man/convo{name}.1"))), "{name}");
    }
}

#[test]
fn every_manual_page_has_the_sections_a_reader_looks_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sections = ["SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES"];
    for file in files_below(root).iter().filter(|file| file.starts_with("man")) {
        let page = fs::read_to_string(root.join(file)).expect("a manual page");
        for section in sections.iter().chain(&["EXAMPLES", "SEE ALSO"]) {
            let quoted = page.contains(&format!(".SH \"{section}\"\n"));
            assert!(quoted || page.contains(&format!(".SH {section}\n")), "{file:?}: {section}");
        }
    }
}
