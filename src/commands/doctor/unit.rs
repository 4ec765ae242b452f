//! The systemd unit: whether it is as this version ships it.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::finding::Finding;

const UNIT: &str = "unit";
/// The unit of this version.
const SHIPPED: &str = include_str!("../../../systemd/convo.service");
const NAME: &str = "convo.service";
/// Where units are, the one that counts first.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// The time for systemd's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many differing lines are shown.
const SHOWN: usize = 3;

pub(super) async fn check() -> Finding {
    match installed().await {
        None => Finding::skipped(UNIT, "convo is not installed as a service of systemd here"),
        Some((path, text)) => judge(&path, &text),
    }
}

/// The installed unit without its drop-ins, and its path.
async fn installed() -> Option<(String, String)> {
    if let Some(shown) = systemctl_cat().await {
        return first_file(&shown);
    }
    let mut paths = DIRECTORIES.iter().map(|directory| Path::new(directory).join(NAME));
    paths.find_map(|path| {
        let text = std::fs::read_to_string(&path).ok()?;
        Some((path.display().to_string(), text))
    })
}

/// What `systemctl cat` prints; `None` if systemd does not run, or has no such unit.
async fn systemctl_cat() -> Option<String> {
    let run = Command::new("systemctl")
        .args(["cat", "--no-pager", NAME])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first of the files that `systemctl cat` prints one after the other: each follows a comment with its
/// path.
fn first_file(shown: &str) -> Option<(String, String)> {
    let (head, rest) = shown.split_once('\n')?;
    let path = head.strip_prefix("# /")?;
    let end = rest.find("\n# /").map_or(rest.len(), |end| end + 1);
    Some((format!("/{path}"), rest[..end].to_owned()))
}

/// Compares what a unit says, without comments and its own way to the program.
fn judge(path: &str, text: &str) -> Finding {
    let (ours, theirs) = (lines(SHIPPED), lines(text));
    let known = |lines: &[String]| lines.iter().cloned().collect::<HashSet<_>>();
    let (known_ours, known_theirs) = (known(&ours), known(&theirs));
    let missing = ours.iter().filter(|line| !known_theirs.contains(*line));
    let added = theirs.iter().filter(|line| !known_ours.contains(*line));
    let differences: Vec<_> = missing
        .map(|line| format!("without {line}"))
        .chain(added.map(|line| format!("with {line}")))
        .collect();
    if differences.is_empty() {
        return Finding::ok(UNIT, format!("{path} is as shipped"));
    }
    let more = differences.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let shown = differences.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let mend = "install this version's systemd/convo.service; put changes into a drop-in (systemctl edit \
                convo)";
    Finding::warning(UNIT, format!("{path} is not as shipped: {shown}{more}"), mend)
}

/// The lines that have an effect. A package puts the program elsewhere.
fn lines(text: &str) -> Vec<String> {
    let is_meant = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    text.lines().map(str::trim).filter(is_meant).map(without_path).collect()
}

fn without_path(line: &str) -> String {
    match line.strip_prefix("ExecStart=").and_then(|command| command.split_once(' ')) {
        Some((program, rest)) if program.ends_with("/convo") => format!("ExecStart=convo {rest}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::FindingVerdict;

    #[test]
    fn a_unit_may_have_comments_and_its_own_path_to_the_program() {
        let same = SHIPPED.replace("=convo serve", "=/usr/bin/convo serve") + "\n# ours\n";
        assert_eq!(judge("/x", SHIPPED).verdict, FindingVerdict::Ok);
        assert_eq!(judge("/x", &same).verdict, FindingVerdict::Ok);
        let weaker = SHIPPED.replace("NoNewPrivileges=yes\n", "");
        let found = judge("/x", &weaker);
        assert_eq!(found.verdict, FindingVerdict::Warning);
        assert!(found.seen.contains("without NoNewPrivileges=yes"), "{}", found.seen);
    }

    #[test]
    fn drop_ins_are_not_part_of_the_unit() {
        let shown = "# /etc/systemd/system/convo.service\n# convo\n[Unit]\nA=b\n\n\
                     # /etc/systemd/system/convo.service.d/override.conf\n[Service]\nC=d\n";
        let (path, text) = first_file(shown).expect("a file");
        assert_eq!(path, "/etc/systemd/system/convo.service");
        assert_eq!(lines(&text), ["[Unit]", "A=b"]);
        assert_eq!(first_file("No files found"), None);
    }
}
