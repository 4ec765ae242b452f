//! The third-party packages in the lock file, as cargo reports them.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::root;
use crate::text::Text;

/// The same packages are linked on aarch64 and with musl. A single target keeps cargo from needing
/// packages that a build on x86-64 has not downloaded.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    version: String,
    /// `None` for workspace members.
    source: Option<String>,
    pub(crate) authors: Vec<String>,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    manifest_path: PathBuf,
    #[cfg(test)]
    rust_version: Option<String>,
}

impl Package {
    /// The files at the top of the package whose lower-case names `wanted` accepts.
    pub(crate) fn texts(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Text>, Box<dyn Error>> {
        let folder = self.manifest_path.parent().ok_or("a manifest is in a folder")?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if wanted(&name) && entry.path().is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        let read = |path| Ok(Text::parse(&String::from_utf8_lossy(&fs::read(path)?)));
        files.iter().map(read).collect()
    }
}

fn cargo(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output =
        Command::new(env!("CARGO")).args(arguments).arg("--locked").current_dir(root()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// All third-party packages that the workspace is built from, those of tests and macros included.
pub(crate) fn dependencies() -> Result<Vec<Package>, Box<dyn Error>> {
    let json = cargo(&["metadata", "--format-version=1", "--filter-platform", TARGET])?;
    let mut packages = serde_json::from_str::<Metadata>(&json)?.packages;
    packages.retain(|package| package.source.is_some());
    Ok(packages)
}

/// The third-party packages linked into the program: no build dependencies, macros or test tools.
pub(crate) fn linked() -> Result<Vec<Package>, Box<dyn Error>> {
    let tree = cargo(&[
        "tree",
        "--package=convo-sms",
        "--edges=normal,no-proc-macro",
        "--target",
        TARGET,
        "--prefix=none",
        "--format={p}",
    ])?;
    // A line starts with name and version: `rustls v0.23.46`.
    let linked: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let mut packages = dependencies()?;
    packages.retain(|package| linked.contains(&(package.name.as_str(), package.version.as_str())));
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Major, minor, patch; what is left out is 0.
    fn version(text: &str) -> [u32; 3] {
        let mut parts = text.split('.').map(|part| part.parse().expect("a number"));
        std::array::from_fn(|_| parts.next().unwrap_or(0))
    }

    #[test]
    fn no_dependency_needs_a_newer_rust_than_the_workspace_declares() {
        let declared = version(env!("CARGO_PKG_RUST_VERSION"));
        let newer: Vec<_> = dependencies()
            .expect("the packages")
            .into_iter()
            .filter(|package| {
                package.rust_version.as_deref().is_some_and(|v| version(v) > declared)
            })
            .map(|package| format!("{} {}", package.name, package.version))
            .collect();
        assert!(newer.is_empty(), "need a newer Rust than Cargo.toml declares: {newer:?}");
    }

    #[test]
    fn what_is_linked_leaves_out_macros_and_what_only_tests_need() {
        let linked = linked().expect("the packages");
        let has = |name: &str| linked.iter().any(|package| package.name == name);
        assert!(has("rustls") && has("sqlx-postgres"));
        for name in ["convo-sms", "convo-sms-migration", "serde_derive", "syn", "proptest", "rcgen"]
        {
            assert!(!has(name), "{name}");
        }
    }
}
