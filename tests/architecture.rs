//! The structure that `src/lib.rs` describes, held by reading the sources: modules depend on those
//! below them only, each heavy crate is used in one place, and a type's name is unique.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The top-level modules from top to bottom. A module uses only what stands on a line below its own.
const ORDER: &[&[&str]] = &[
    &["main"],
    &["run"],
    &["commands"],
    &["cli"],
    &["backend"],
    &["config"],
    &["server", "client", "sandbox"],
    &["forwarding", "media"],
    &["threading"],
    &["store", "telnyx"],
    &["metrics", "output"],
    &["domain"],
    &["logging", "systemd", "throttle", "tls", "runtime", "net"],
    &["error"],
    &["stdio", "secret", "clock"],
];

/// Crates with one home: the modules that may use them.
const HOMES: &[(&str, &[&str])] = &[
    ("sea_orm", &["store"]),
    ("migration", &["store"]),
    ("warp", &["server", "sandbox"]),
    ("comfy_table", &["output"]),
    ("object_store", &["media"]),
    ("prometheus", &["metrics"]),
    ("sd_notify", &["systemd"]),
    ("listenfd", &["systemd"]),
];

/// Every SeaORM entity names its parts alike; nothing else may share a name.
const ENTITIES: &str = "store/entity/";

/// A source file without its tests: its path below `src`, and its code without comments.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// The top-level module that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).expect("a path below src").display().to_string();
        let text = std::fs::read_to_string(&file).expect("a source file");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
        Source { path, code }
    };
    let all = files.into_iter().map(read).collect::<Vec<_>>();
    assert!(all.len() > 100, "the sources are found");
    all.into_iter().filter(|source| !source.path.contains("tests")).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn level(module: &str) -> Option<usize> {
    ORDER.iter().position(|line| line.contains(&module))
}

/// The names that follow a path's beginning, such as `crate::`.
fn names_after<'a>(code: &'a str, beginning: &str) -> Vec<&'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices(beginning) {
        if code[..at].ends_with(|c: char| is_name(c) || c == ':') {
            continue;
        }
        let rest = &code[at + beginning.len()..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        found.push(&rest[..end]);
    }
    found
}

#[test]
fn modules_depend_only_on_modules_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let module = source.module();
        let Some(own) = level(module) else {
            wrong.push(format!("src/{}: `{module}` has no place in the order", source.path));
            continue;
        };
        assert!(!source.code.contains("use crate::{"), "{}: one line for each module", source.path);
        for used in names_after(&source.code, "crate::").into_iter().filter(|used| *used != module)
        {
            match level(used) {
                Some(other) if other > own => {}
                Some(_) => wrong.push(format!("{module} -> {used} in src/{}", source.path)),
                None => wrong.push(format!("{module} -> {used} (unknown) in src/{}", source.path)),
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "these dependencies point upwards:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_in_the_order_exists() {
    let modules: Vec<_> = sources().iter().map(|source| source.module().to_owned()).collect();
    for module in ORDER.iter().copied().flatten() {
        assert!(modules.iter().any(|known| known == module), "there is no module `{module}`");
    }
}

#[test]
fn heavy_crates_have_one_home() {
    for source in sources() {
        for (name, homes) in HOMES {
            let uses = names_after(&source.code, &format!("{name}::"));
            let is_home = homes.contains(&source.module());
            assert!(uses.is_empty() || is_home, "{name} is used in src/{}", source.path);
        }
    }
}

#[test]
fn type_names_are_unique() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().into_iter().filter(|source| !source.path.starts_with(ENTITIES)) {
        for line in source.code.lines() {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub(super) ");
            let line = line.split_once("pub(in ").map_or(line, |(_, rest)| {
                rest.split_once(") ").map_or(rest, |(_, definition)| definition)
            });
            let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
            let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else {
                continue;
            };
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            places.entry(rest[..end].to_owned()).or_default().push(source.path.clone());
        }
    }
    assert!(places.len() > 100, "the types are found");
    let shared: Vec<_> = places.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(shared.is_empty(), "these names stand for several types: {shared:#?}");
}

/// Paths below `src`, as the map in `src/lib.rs` names them: directories end in a slash and contain
/// the lines that are indented below them.
fn paths_in_the_map() -> BTreeSet<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let page = page.expect("the page");
    let (_, map) = page.split_once("# Where things are").expect("the map's heading");
    let map = map.split("```").nth(1).expect("the map");
    let mut paths = BTreeSet::new();
    let mut parents: Vec<String> = Vec::new();
    for line in map.lines().filter_map(|line| line.strip_prefix("//! ")) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let is_path = |word: &&str| word.ends_with(".rs") || word.ends_with('/');
        for word in line.split_whitespace().take_while(is_path) {
            parents.truncate(depth);
            let path = format!("{}{word}", parents.concat());
            assert!(paths.insert(path), "the map names {word} twice");
            if word.ends_with('/') {
                parents.push(word.to_owned());
            }
        }
    }
    paths
}

#[test]
fn the_map_in_lib_rs_names_every_file() {
    let map = paths_in_the_map();
    let files = sources().into_iter().map(|source| source.path).filter(|path| path != "lib.rs");
    // A directory's line is about its `mod.rs`, or about the file of the same name beside it.
    let line_of = |path: String| match path.strip_suffix("/mod.rs") {
        Some(directory) => format!("{directory}/"),
        None => {
            let directory = path.replace(".rs", "/");
            if map.contains(&directory) { directory } else { path }
        }
    };
    let files: BTreeSet<_> = files.map(line_of).collect();
    let missing: Vec<_> = files.difference(&map).collect();
    let gone: Vec<_> = map.difference(&files).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the map: {missing:?}; gone: {gone:?}");
}
