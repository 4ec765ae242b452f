//! The text of `THIRD-PARTY-NOTICES`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use crate::graph::{self, Package};
use crate::text::Text;
use crate::{licence, root};

const INTRODUCTION: &str = "\
Third-party notices

convo is linked with the crates below, in the versions recorded in Cargo.lock. Where a crate offers
a choice of licences, convo uses it under Apache-2.0 or else under MIT. The licence texts follow the
list of crates; each is preceded by the crates it covers, with their copyright lines.

The Rust standard library (MIT OR Apache-2.0) and SQLite (public domain) are linked in as well.

Generated from Cargo.lock by `cargo run -p xtask`; do not edit.
";

const APACHE: &str = "Apache-2.0";

/// A text and the crates under it.
struct Group {
    title: String,
    body: String,
    /// A line for each crate, or for each of its copyright lines.
    crates: BTreeSet<String>,
}

#[derive(Default)]
struct Notices {
    /// Each crate with its licence expression.
    crates: BTreeSet<String>,
    /// Crates whose package has no licence text.
    bare: BTreeSet<String>,
    /// By `Text::key`.
    groups: BTreeMap<String, Group>,
}

impl Notices {
    fn add(&mut self, package: &Package) -> Result<(), Box<dyn Error>> {
        let name = &package.name;
        let expression = package.license.as_deref().ok_or(format!("{name} names no licence"))?;
        let licences = licence::applicable(expression)
            .ok_or(format!("{name}: the form of the licence {expression} is not supported"))?;
        self.crates.insert(format!("{name} ({expression})"));
        for licence in licences.iter().filter(|licence| *licence != APACHE) {
            let texts = package.texts(|file| licence::is_text_of(licence, file))?;
            let texts = if texts.is_empty() { package.texts(licence::is_text)? } else { texts };
            if texts.is_empty() {
                let authors = package.authors.join(", ");
                self.bare.insert(format!("{name} ({licence}), by {authors}"));
            }
            self.group(name, licence, texts);
        }
        let notices = package.texts(licence::is_notice)?;
        self.group(name, "Third-party code within a crate", notices);
        Ok(())
    }

    fn group(&mut self, name: &str, title: &str, texts: Vec<Text>) {
        for text in texts {
            let group = self.groups.entry(text.key()).or_insert_with(|| Group {
                title: title.to_owned(),
                body: text.body,
                crates: BTreeSet::new(),
            });
            let lines = text.copyright.iter().map(|line| format!("{name}: {line}"));
            group.crates.extend(lines);
            if text.copyright.is_empty() {
                group.crates.insert(name.to_owned());
            }
        }
    }

    fn write(self) -> Result<String, Box<dyn Error>> {
        let mut out = INTRODUCTION.to_owned();
        section(&mut out, "Crates", &self.crates)?;
        if !self.bare.is_empty() {
            section(&mut out, "Crates whose package has no licence text", &self.bare)?;
        }
        section(&mut out, APACHE, &BTreeSet::new())?;
        let apache = fs::read_to_string(root().join("LICENSE-APACHE"))?;
        writeln!(out, "{}", apache.trim_matches('\n'))?;
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by(|a, b| (&a.title, &a.crates).cmp(&(&b.title, &b.crates)));
        for group in groups {
            section(&mut out, &group.title, &group.crates)?;
            writeln!(out, "\n{}", group.body)?;
        }
        Ok(out)
    }
}

fn section(out: &mut String, title: &str, lines: &BTreeSet<String>) -> std::fmt::Result {
    writeln!(out, "\n{}\n{title}\n", "=".repeat(80))?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// The contents of the file.
pub(crate) fn render() -> Result<String, Box<dyn Error>> {
    let mut notices = Notices::default();
    for package in graph::linked()? {
        notices.add(&package)?;
    }
    notices.write()
}
