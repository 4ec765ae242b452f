//! Dynamic shell completion: contacts, ids and numbers from the database or the server.
//!
//! The shell runs this program with [`VARIABLE`] set. Each argument names its completer where it is
//! declared. A completer reads like a reading command, never creates or changes a database, and on
//! any failure offers nothing: an error in the middle of a command line would be of no use.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;

use super::Cli;
use crate::backend::Backend;
use crate::cli::{PROGRAM, VARIABLE};
use crate::config::{Config, Flags, Source};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{ContactFilter, Conversation, Listing, Status};
use crate::error::Error;
use crate::runtime;
use crate::store::Purpose;

/// The longest time a person who pressed TAB has to wait.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The number of candidates.
const OFFERED: u64 = 50;
/// The number of conversations requested from a server, which cannot search by prefix.
const REQUESTED: u64 = 500;

/// Answers a shell's request for completions. Returns whether this was one: with [`VARIABLE`] set,
/// `convo -- WORD...` requests candidates, and `convo` alone the shell's script. Any other command
/// line runs as usual, even if the variable was exported by mistake.
///
/// # Errors
/// The shell is not supported.
pub(crate) fn answered(args: &[OsString]) -> Result<bool, clap::Error> {
    if args.get(1).is_some_and(|first| first != "--") {
        return Ok(false);
    }
    let requests_candidates = !typed_words(args).is_empty();
    let engine = CompleteEnv::with_factory(Cli::command);
    let engine = engine.var(VARIABLE).bin(PROGRAM).completer(PROGRAM);
    let directory = std::env::current_dir().ok();
    match engine.try_complete(args, directory.as_deref()) {
        Err(_) if requests_candidates => Ok(true),
        ended => ended,
    }
}

/// The command line typed so far, which a shell passes after `--`.
fn typed_words(args: &[OsString]) -> Vec<OsString> {
    args.iter().skip_while(|word| *word != "--").skip(1).cloned().collect()
}

/// Contacts' numbers and names.
pub(super) fn contacts(word: &OsStr) -> Vec<CompletionCandidate> {
    candidates(word, |lookup, prefix| {
        let conversations = lookup.conversations(prefix).into_iter();
        let numbers = conversations.map(|conversation| conversation.contact_number.to_string());
        numbers.chain(lookup.names(prefix)).collect()
    })
}

/// Contacts' names, and for each conversation its contact, the end of its id as tables show it, or its whole id: the
/// first that continues what was typed.
pub(super) fn contacts_and_ids(word: &OsStr) -> Vec<CompletionCandidate> {
    candidates(word, |lookup, prefix| {
        let name = |conversation: Conversation| {
            let contact = conversation.contact_number.to_string();
            let id = conversation.id.to_string();
            let end = id[id.len() - SHOWN_SUFFIX..].to_owned();
            let mut names = [contact, end, id].into_iter();
            names.find(|name| name.starts_with(prefix) && is_harmless(name))
        };
        let conversations = lookup.conversations(prefix).into_iter().filter_map(name);
        conversations.chain(lookup.names(prefix)).collect()
    })
}

/// The names of the commands.
pub(super) fn commands(word: &OsStr) -> Vec<CompletionCandidate> {
    candidates(word, |_, _| {
        let program = Cli::command();
        let visible = program.get_subcommands().filter(|command| !command.is_hide_set());
        visible.map(|command| command.get_name().to_owned()).collect()
    })
}

/// Our own numbers.
pub(super) fn own_numbers(word: &OsStr) -> Vec<CompletionCandidate> {
    candidates(word, |lookup, _| {
        let numbers = lookup.config().and_then(|config| config.numbers()).into_iter().flatten();
        numbers.map(|number| number.to_string()).collect()
    })
}

/// The ids of messages that can be retried.
pub(super) fn unknown_messages(word: &OsStr) -> Vec<CompletionCandidate> {
    messages(word, vec![Status::Unknown])
}

/// The ids of scheduled messages.
pub(super) fn scheduled_messages(word: &OsStr) -> Vec<CompletionCandidate> {
    messages(word, vec![Status::Scheduled])
}

/// The ids of messages that can be waited for.
pub(super) fn open_messages(word: &OsStr) -> Vec<CompletionCandidate> {
    messages(word, Status::group("open").unwrap_or_default())
}

/// The ids of conversations' last messages with these statuses.
fn messages(word: &OsStr, statuses: Vec<Status>) -> Vec<CompletionCandidate> {
    candidates(word, |lookup, _| {
        let listing = Listing { statuses, ..Listing::default() };
        let conversations = lookup.query(async |backend| {
            backend.list(&listing, None, OFFERED).await.map(|page| page.rows)
        });
        let last = conversations.into_iter().filter_map(|conversation| conversation.last_message);
        last.map(|message| message.id.to_string()).collect()
    })
}

/// Those names that continue the word under the cursor.
fn candidates(
    word: &OsStr,
    names: impl FnOnce(&NameLookup, &str) -> Vec<String>,
) -> Vec<CompletionCandidate> {
    let word = unquoted(word.to_str().unwrap_or_default());
    let args: Vec<_> = std::env::args_os().collect();
    let names = names(&NameLookup::new(&typed_words(&args)), &word).into_iter();
    // PowerShell inserts a word as it is.
    let is_offered = if asking_shell() == "powershell" { is_harmless } else { is_quoted_well };
    let fits = |name: &String| name.starts_with(&word) && is_offered(name);
    names.filter(fits).map(CompletionCandidate::new).collect()
}

/// The shell whose script asks.
#[expect(clippy::disallowed_methods, reason = "what the script has set is not a setting")]
fn asking_shell() -> String {
    std::env::var(VARIABLE).unwrap_or_default()
}

/// Whether a name can stand on a command line without quotes. Whoever writes to us chooses the
/// contact's name, and a shell would execute what is between `$(` and `)`.
fn is_harmless(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c)) && !name.starts_with('-')
}

/// Whether a name is one word with nothing special in it once a shell's script has quoted its blanks and
/// apostrophes.
fn is_quoted_well(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || " '+-._".contains(c);
    is_harmless(name) || (name.starts_with(char::is_alphabetic) && name.chars().all(is_plain))
}

/// A word without the backslashes that quote blanks and apostrophes.
fn unquoted(word: &str) -> String {
    word.replace("\\ ", " ").replace("\\'", "'")
}

/// Looks up names in the database or at the server that the words typed so far select.
#[derive(Debug, Default)]
struct NameLookup {
    flags: Flags,
}

impl NameLookup {
    fn new(words: &[OsString]) -> Self {
        let mut flags = Flags::default();
        let mut words = words.iter().filter_map(|word| word.to_str());
        while let Some(word) = words.next() {
            match word.split_once('=') {
                _ if word == "--sandbox" => flags.sandbox = true,
                _ if word == "--local" => flags.local = true,
                _ if word == "--server" => flags.server = words.next().map(str::to_owned),
                Some(("--server", url)) => flags.server = Some(url.to_owned()),
                _ => {}
            }
        }
        Self { flags }
    }

    /// Conversations whose contact or id begins with `prefix`; the most recent ones if it is empty.
    fn conversations(&self, prefix: &str) -> Vec<Conversation> {
        self.query(async |backend| match backend {
            Backend::Local(conversations) => conversations.beginning_with(prefix, OFFERED).await,
            Backend::Remote(client) => {
                client.list(&Listing::default(), None, REQUESTED).await.map(|page| page.rows)
            }
        })
    }

    /// Names of contacts that begin with `prefix`; none if it is empty or may begin a number.
    fn names(&self, prefix: &str) -> Vec<String> {
        if !prefix.starts_with(char::is_alphabetic) {
            return Vec::new();
        }
        let filter = ContactFilter { part: Some(prefix.to_owned()) };
        let found = self.query(async |backend| {
            backend.contacts(&filter, None, OFFERED).await.map(|page| page.rows)
        });
        found.into_iter().filter_map(|contact| contact.contact_name).collect()
    }

    /// What the query finds; nothing if it fails or takes too long.
    fn query<T>(&self, query: impl AsyncFnOnce(&Backend) -> Result<Vec<T>, Error>) -> Vec<T> {
        let found = || {
            let (config, runtime) = (self.config()?, runtime::for_command()?);
            let found = runtime.block_on(async {
                let limited = tokio::time::timeout(TIMEOUT, async {
                    let backend = Backend::open(&config, Purpose::Read).await?;
                    let found = query(&backend).await;
                    backend.close().await;
                    found
                });
                limited.await.unwrap_or_else(|_| Ok(Vec::new()))
            });
            // A DNS lookup that is still running must not delay the answer.
            runtime.shutdown_background();
            found
        };
        found().unwrap_or_default()
    }

    fn config(&self) -> Result<Config, Error> {
        Config::new(self.flags.clone(), Source::read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_execute_is_not_offered() {
        for name in ["+12125551234", "72975", "ACME", "01a2-e6f7"] {
            assert!(is_harmless(name), "{name}");
        }
        for name in ["$(reboot)", "a b", "a;b", "`id`", "--sandbox", "a'b", "é", "a\tb", "*"] {
            assert!(!is_harmless(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_offered_if_it_can_be_quoted() {
        for name in ["Ada Lovelace", "Zo\u{eb} O'Neill", "72975", "Dr. No"] {
            assert!(is_quoted_well(name), "{name}");
        }
        for name in
            ["$(reboot) a", "a;b", "`id`", "--sandbox", "a\tb", "*", "-a b", " a", "a\nb", "a\"b"]
        {
            assert!(!is_quoted_well(name), "{name}");
        }
        assert_eq!(unquoted("Zo\u{eb}\\ O\\'N"), "Zo\u{eb} O'N");
    }

    #[test]
    fn the_words_typed_select_the_backend() {
        let flags = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let flags = NameLookup::new(&words).flags;
            (flags.sandbox, flags.server)
        };
        assert_eq!(flags("convo --sandbox show +1"), (true, None));
        let url = Some("http://h:1".to_owned());
        assert_eq!(flags("convo show --server http://h:1 +1"), (false, url.clone()));
        assert_eq!(flags("convo --server=http://h:1 show"), (false, url));
        assert_eq!(flags("convo show --server"), (false, None));
    }
}
