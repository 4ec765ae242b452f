//! As much Markdown as the pages use.

use std::path::{Path, PathBuf};

/// Every page of prose.
pub const PAGES: [&str; 18] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/doctor.md",
    "docs/forwarding.md",
    "docs/media.md",
    "docs/names.md",
    "docs/sync.md",
    "docs/kubernetes.md",
    "docs/observing.md",
    "docs/reference.md",
    "docs/releasing.md",
    "docs/keeping.md",
    "docs/scaling.md",
    "docs/stats.md",
    "docs/systemd.md",
    "docs/webhooks.md",
];

/// A file of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the repository.
pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The fenced blocks of a language, each as its lines.
pub fn blocks<'a>(text: &'a str, language: &str) -> Vec<Vec<&'a str>> {
    let (mut blocks, mut fence) = (Vec::new(), None);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(opened), None) => {
                fence = Some(opened);
                if opened == language {
                    blocks.push(Vec::new());
                }
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some(opened)) if opened == language => {
                blocks.last_mut().expect("its fence made one").push(line);
            }
            (None, _) => {}
        }
    }
    assert_eq!(fence, None, "a block is not closed");
    blocks
}

/// The commands of a block. A backslash continues one on the next line; comments are left out.
pub fn commands(block: &[&str]) -> Vec<String> {
    let text = block.join("\n").replace("\\\n", "\u{0}");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let commands = lines.filter(|line| !line.starts_with('#'));
    commands.map(|command| command.replace('\u{0}', "\\\n")).collect()
}

/// What stands in `backticks` outside the fenced blocks.
pub fn code_spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2)).map(unescaped).collect()
}

/// The rows of the only table that begins with these columns.
pub fn table(text: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| cells(line) != columns).skip(2).peekable();
    assert!(lines.peek().is_some(), "no table has the columns {columns:?}");
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|'));
    let inner = inner.unwrap_or_default().replace("\\|", "\u{0}");
    inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

fn unescaped(span: &str) -> String {
    span.replace("\\|", "|")
}

/// What a cell says in its first backticks.
pub fn code(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_else(|| panic!("no code in '{cell}'"))
}

/// Where the links of a page lead.
pub fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).collect()
}

/// The anchors that a page's headings make.
pub fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    titles.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}
