//! The options that a command in a hint has to repeat.
//!
//! A hint names commands, and whoever follows it means the same conversations as before. Without the
//! options that selected them, the command would open another database.

/// The commands that can ask a server.
const OF_ANY_BACKEND: &[&str] = &["list", "show", "send", "batch", "wait", "retry"];
/// The commands that can be told which database to open.
const OF_A_DATABASE: &[&str] = &["list", "show", "send", "batch", "wait", "retry", "migrate"];

/// The options that selected the conversations: `--sandbox`, `--server` or `--local`, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetOptions {
    /// As they are typed, each followed by a blank.
    typed: String,
    /// The commands that accept them.
    commands: &'static [&'static str],
}

impl TargetOptions {
    /// Those that were given on the command line. What is set in the environment stays set.
    #[must_use]
    pub fn new(is_sandbox: bool, server: Option<&str>, is_local: bool) -> Self {
        let mut typed = String::new();
        if is_sandbox {
            typed.push_str("--sandbox ");
        }
        if is_local {
            typed.push_str("--local ");
        }
        if let Some(url) = server {
            typed.push_str(&format!("--server {} ", quoted(url)));
            return Self { typed, commands: OF_ANY_BACKEND };
        }
        Self { typed, commands: OF_A_DATABASE }
    }

    /// Adds the options to each command in a text, right behind `convo`, where every command that
    /// accepts them takes them.
    #[must_use]
    pub fn add_to(&self, text: &str) -> String {
        const PROGRAM: &str = "convo ";
        if self.typed.is_empty() {
            return text.to_owned();
        }
        let mut parts = text.split(PROGRAM);
        let mut added = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            added.push_str(PROGRAM);
            if self.commands.contains(&&part[..end]) {
                added.push_str(&self.typed);
            }
            added.push_str(part);
        }
        added
    }
}

/// A URL as a shell reads it. An address of IPv6 has brackets, which some take for a pattern.
fn quoted(url: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:/%".contains(c);
    if url.chars().all(is_plain) {
        return url.to_owned();
    }
    format!("'{}'", url.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_server(url: &str) -> TargetOptions {
        TargetOptions::new(false, Some(url), false)
    }

    #[test]
    fn a_command_reaches_the_same_conversations() {
        let server = of_server("https://convo.example/threads");
        for (options, text, expected) in [
            (
                server.clone(),
                "`convo list` shows every contact and id",
                "`convo --server https://convo.example/threads list` shows every contact and id",
            ),
            (
                TargetOptions::new(true, None, false),
                "convo show +1 or convo retry x",
                "convo --sandbox show +1 or convo --sandbox retry x",
            ),
            (TargetOptions::new(false, None, true), "convo wait", "convo --local wait"),
            (
                TargetOptions::new(true, None, true),
                "run `convo migrate`",
                "run `convo --sandbox --local migrate`",
            ),
            // No command of that server.
            (server.clone(), "run `convo migrate`", "run `convo migrate`"),
            (server.clone(), "start `convo serve`", "start `convo serve`"),
            (server.clone(), "a newer convo sends it", "a newer convo sends it"),
            (server, "convo", "convo"),
            (TargetOptions::default(), "`convo list`", "`convo list`"),
            (TargetOptions::new(false, None, false), "`convo list`", "`convo list`"),
        ] {
            assert_eq!(options.add_to(text), expected, "{text}");
        }
    }

    #[test]
    fn a_shell_reads_the_url_as_one_word() {
        for (url, expected) in [
            ("http://[::1]:5000", "convo --server 'http://[::1]:5000' list"),
            ("http://x/'$(id)", r"convo --server 'http://x/'\''$(id)' list"),
        ] {
            assert_eq!(of_server(url).add_to("convo list"), expected);
        }
    }
}
