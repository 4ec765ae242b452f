//! Sets `CONVO_VERSION`: the version of the package, and the commit and its date where the source is
//! a Git checkout. A source archive has the version alone.

use std::path::Path;
use std::process::Command;

fn main() {
    // Without further lines, Cargo would run this again after every change of any file.
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let version = match commit() {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=CONVO_VERSION={version}");
}

/// The commit that is checked out, with its date.
fn commit() -> Option<String> {
    // An archive may have been unpacked inside the checkout of another project.
    let root = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if root != Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()? {
        return None;
    }
    // Every commit, checkout and rebase is recorded in the first of them, if there is one.
    let watched = ["logs/HEAD", "HEAD"].map(|name| git(&["rev-parse", "--git-path", name]));
    if let Some(path) = watched.into_iter().flatten().find(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["log", "-1", "--format=%h %cs", "--abbrev=12"])
}

/// What a git command prints; `None` without git, or if it fails.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
