//! The settings: whether they can be used, and where they come from.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::config::{Config, Setting};

const SETTINGS: &str = "settings";
const SECRETS: &str = "settings_files";
/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![found(config), secrets(config)]
}

fn found(config: &Config) -> Finding {
    if let Err(error) = config.check() {
        return Finding::from_error(SETTINGS, &error);
    }
    let seen = sources(&config.explain());
    let unread: Vec<_> = config.unread().collect();
    match unread.first() {
        Some(error) => {
            let mend = error.hint_text().unwrap_or("make it readable, or remove it");
            Finding::warning(SETTINGS, format!("{seen}; ignored: {error}"), mend)
        }
        None => Finding::ok(SETTINGS, seen),
    }
}

/// Which settings come from where.
fn sources(settings: &[Setting]) -> String {
    let mut by_source: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let set = settings.iter().filter(|setting| !matches!(&*setting.source, "default" | "unset"));
    for setting in set {
        by_source.entry(&setting.source).or_default().push(setting.name);
    }
    if by_source.is_empty() {
        return "nothing is set, so the defaults apply".to_owned();
    }
    let parts = by_source.iter().map(|(source, names)| format!("{}: {}", source, names.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}

/// Whether other users can read a file that holds a secret.
fn secrets(config: &Config) -> Finding {
    let settings = config.explain();
    let mut holders: Vec<PathBuf> = settings.iter().filter_map(holder).collect();
    holders.sort();
    holders.dedup();
    let open: Vec<_> = holders.iter().filter(|path| is_open(path)).collect();
    let list = |paths: &[&PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    if !open.is_empty() {
        let paths = list(&open);
        let seen = format!("other users can read secrets in {paths}");
        return Finding::warning(SECRETS, seen, format!("chmod 600 {paths}"));
    }
    match holders.len() {
        0 => Finding::ok(SECRETS, "no file holds a secret"),
        _ => {
            let paths = list(&holders.iter().collect::<Vec<_>>());
            Finding::ok(SECRETS, format!("only their owner can read {paths}"))
        }
    }
}

/// The file that holds a secret, if one does.
fn holder(setting: &Setting) -> Option<PathBuf> {
    setting.value.as_ref().filter(|_| setting.is_secret)?;
    let path = setting.file.as_deref().unwrap_or(&setting.source);
    // Pipes and credentials of systemd are not files of a person.
    let is_file = path.starts_with('/') && !path.starts_with("/dev/") && !path.starts_with("/run/");
    is_file.then(|| Path::new(path).to_owned())
}

/// A file of root that a group may read is as its administrator wants it.
fn is_open(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| {
        let mode = file.mode() & OTHERS;
        if file.uid() == 0 { mode & 0o007 != 0 } else { mode != 0 }
    })
}
