//! Sets `CONVO_VERSION`: the version of the package and, in a release build, the commit and its date.
//! A development build has the version alone, so that a commit does not cause another build.

#![allow(clippy::disallowed_methods, reason = "Cargo talks to a build script by its environment")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The commit and its date in an archive that Git has made (`.gitattributes`); elsewhere it stays as it is.
const ARCHIVED: &str = "$Format:%H %cs$";

fn main() {
    // Without further lines, Cargo would run this again after every change of any file.
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION").expect("Cargo sets it");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if release { commit(&root, &version) } else { None };
    let version = match commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=CONVO_VERSION={version}");
}

/// The commit that the source was taken from, with its date: `0123456789ab 2026-12-01`.
fn commit(root: &Path, version: &str) -> Option<String> {
    from_checkout(root).or_else(|| from_archive(ARCHIVED)).or_else(|| from_package(root, version))
}

fn from_checkout(root: &Path) -> Option<String> {
    // An archive may have been unpacked inside the checkout of another project.
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // Every commit, checkout and rebase is recorded in the first of them, if there is one.
    let watched = ["logs/HEAD", "HEAD"].map(|name| git(root, &["rev-parse", "--git-path", name]));
    let watched = watched.into_iter().flatten().map(|path| root.join(path));
    if let Some(path) = watched.into_iter().find(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    git(root, &["log", "-1", "--format=%h %cs", "--abbrev=12"])
}

/// What a git command prints; `None` without git, or if it fails.
fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn from_archive(substituted: &str) -> Option<String> {
    let (commit, date) = substituted.split_once(' ')?;
    Some(format!("{} {date}", abbreviated(commit)?))
}

/// A package from crates.io names its commit, but not when that was made. The changelog says when the
/// version was released.
fn from_package(root: &Path, version: &str) -> Option<String> {
    let info = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let commit = info.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
    let changelog = fs::read_to_string(root.join("CHANGELOG.md")).ok()?;
    let heading = format!("## {version} - ");
    let date = changelog.lines().find_map(|line| line.strip_prefix(&heading))?.trim();
    Some(format!("{} {date}", abbreviated(commit)?))
}

/// The first 12 digits of a commit's hash.
fn abbreviated(commit: &str) -> Option<&str> {
    commit.get(..12).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
