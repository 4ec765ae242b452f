//! What a shell offers at the TAB key: commands and options, and from the threads themselves the
//! contacts, ids and numbers that could stand there.
//!
//! The shell runs this program with [`VARIABLE`] set. It reads like any other reading command,
//! never makes or changes a database, and is silent whenever something is amiss: nobody who
//! presses TAB wants to read an error.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::backend::Backend;
use crate::cli::Cli;
use crate::config::{Config, Flags, Source};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{Conversation, Listing, Status};
use crate::error::Error;
use crate::run;
use crate::store::Purpose;

/// The variable that asks for completions, and in whose words.
pub const VARIABLE: &str = "CONVO_COMPLETE";
/// What the program is called in a shell.
pub const PROGRAM: &str = "convo";

/// How long a person who pressed TAB is kept waiting.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many names are offered at once.
const OFFERED: u64 = 50;
/// How many threads a server is asked for, to find among them those that fit.
const ASKED: u64 = 500;

/// Answers a shell, if it is one that asks. Returns whether it was, and all is well.
///
/// # Errors
/// What a person is told who asks for the set-up of a shell that is not known.
pub fn answered(args: &[OsString]) -> Result<bool, clap::Error> {
    let words = args.iter().skip_while(|word| *word != "--").skip(1);
    let words: Vec<OsString> = words.cloned().collect();
    let asks = !words.is_empty();
    let names = Names::of(&words);
    let engine = CompleteEnv::with_factory(|| command(&names));
    let engine = engine.var(VARIABLE).bin(PROGRAM).completer(PROGRAM);
    let directory = std::env::current_dir().ok();
    match engine.try_complete(args, directory.as_deref()) {
        Err(_) if asks => Ok(true),
        ended => ended,
    }
}

/// The command line with what the threads know.
fn command(names: &Arc<Names>) -> clap::Command {
    let offering = |offer: fn(&Names, &str) -> Vec<String>| {
        let names = Arc::clone(names);
        ArgValueCompleter::new(move |word: &OsStr| {
            let word = word.to_str().unwrap_or_default();
            let fits = |name: &String| name.starts_with(word) && is_harmless(name);
            let offered = offer(&names, word).into_iter().filter(fits);
            offered.map(CompletionCandidate::new).collect::<Vec<_>>()
        })
    };
    Cli::command()
        .mut_subcommand("show", |show| {
            show.mut_arg("thread", |arg| arg.add(offering(Names::contacts_and_ids)))
        })
        .mut_subcommand("send", |send| {
            // An argument that is changed moves behind the others; its place stays.
            send.mut_arg("to", |arg| arg.index(1).add(offering(Names::contacts)))
                .mut_arg("text", |arg| arg.index(2))
                .mut_arg("from", |arg| arg.add(offering(Names::own_numbers)))
        })
        .mut_subcommand("list", |list| {
            list.mut_arg("number", |arg| arg.add(offering(Names::own_numbers)))
        })
        .mut_subcommand("retry", |retry| {
            retry.mut_arg("id", |arg| arg.add(offering(Names::unknown_messages)))
        })
}

/// Whether a name can stand on a command line as it is. Contacts are named by whoever writes to
/// us, and a shell would run what is between `$(` and `)`.
fn is_harmless(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c)) && !name.starts_with('-')
}

/// Where the names come from: the words typed so far may say.
#[derive(Debug, Default)]
struct Names {
    flags: Flags,
}

impl Names {
    fn of(words: &[OsString]) -> Arc<Self> {
        let mut flags = Flags::default();
        let mut words = words.iter().filter_map(|word| word.to_str());
        while let Some(word) = words.next() {
            match word.split_once('=') {
                _ if word == "--sandbox" => flags.sandbox = true,
                _ if word == "--server" => flags.server = words.next().map(str::to_owned),
                Some(("--server", url)) => flags.server = Some(url.to_owned()),
                _ => {}
            }
        }
        Arc::new(Self { flags })
    }

    fn contacts(&self, beginning: &str) -> Vec<String> {
        let threads = self.threads(beginning).into_iter();
        threads.map(|thread| thread.contact_number.to_string()).collect()
    }

    /// A contact that fits, or the end of the thread's id as tables show it, or the whole id.
    fn contacts_and_ids(&self, beginning: &str) -> Vec<String> {
        let name = |thread: Conversation| {
            let (contact, id) = (thread.contact_number.to_string(), thread.id.to_string());
            let end = id[id.len() - SHOWN_SUFFIX..].to_owned();
            let mut names = [contact, end, id].into_iter();
            names.find(|name| name.starts_with(beginning) && is_harmless(name))
        };
        self.threads(beginning).into_iter().filter_map(name).collect()
    }

    fn own_numbers(&self, _: &str) -> Vec<String> {
        let config = self.config().ok();
        let numbers = config.into_iter().flat_map(|config| config.numbers);
        numbers.map(|number| number.to_string()).collect()
    }

    /// Messages that `retry` is for.
    fn unknown_messages(&self, _: &str) -> Vec<String> {
        let listing = Listing { statuses: vec![Status::Unknown], ..Listing::default() };
        let threads = self
            .ask(async |backend| backend.list(&listing, None, OFFERED).await.map(|page| page.rows));
        let last = threads.into_iter().filter_map(|thread| thread.last_message);
        last.map(|message| message.id.to_string()).collect()
    }

    /// Threads with a name that begins so; without a beginning, those active last.
    fn threads(&self, beginning: &str) -> Vec<Conversation> {
        self.ask(async |backend| match backend {
            Backend::Local(threads) => threads.beginning_with(beginning, OFFERED).await,
            Backend::Remote(client) => {
                client.list(&Listing::default(), None, ASKED).await.map(|page| page.rows)
            }
        })
    }

    fn ask(
        &self,
        question: impl AsyncFnOnce(&Backend) -> Result<Vec<Conversation>, Error>,
    ) -> Vec<Conversation> {
        let answer = || {
            let (config, runtime) = (self.config()?, run::command_runtime()?);
            let answer = runtime.block_on(async {
                let asked = tokio::time::timeout(PATIENCE, async {
                    let backend = run::backend(&config, Purpose::Read).await?;
                    let answer = question(&backend).await;
                    backend.close().await;
                    answer
                });
                asked.await.unwrap_or_else(|_| Ok(Vec::new()))
            });
            // Who still looks up a name somewhere must not keep anybody waiting.
            runtime.shutdown_background();
            answer
        };
        answer().unwrap_or_default()
    }

    fn config(&self) -> Result<Config, Error> {
        Config::resolve(&self.flags, &Source::read()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_run_is_not_offered() {
        for name in ["+12125551234", "72975", "ACME", "01a2-e6f7"] {
            assert!(is_harmless(name), "{name}");
        }
        for name in ["$(reboot)", "a b", "a;b", "`id`", "--sandbox", "a'b", "é", "a\tb", "*"] {
            assert!(!is_harmless(name), "{name}");
        }
    }

    #[test]
    fn the_words_say_where_the_threads_are() {
        let flags = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let flags = Names::of(&words).flags.clone();
            (flags.sandbox, flags.server)
        };
        assert_eq!(flags("convo --sandbox show +1"), (true, None));
        let url = Some("http://h:1".to_owned());
        assert_eq!(flags("convo show --server http://h:1 +1"), (false, url.clone()));
        assert_eq!(flags("convo --server=http://h:1 show"), (false, url));
        assert_eq!(flags("convo show --server"), (false, None));
    }
}
