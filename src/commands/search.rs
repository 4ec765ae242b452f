//! `convo search`: messages that have some words.

use std::io::Write;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::print::{BRIEF, Extent, PAGE, PrintError};
use crate::cli::{BackendArgs, Group, HelpText, MessageFilterArgs, PrintArgs};
use crate::domain::search::Term;
use crate::domain::{Cursor, MessageSearch, SearchPage, Timestamp};
use crate::error::{Code, Error};
use crate::output::pager::Start;
use crate::output::search::SearchResults;

/// Search messages, newest first
#[derive(Args, Clone, Debug)]
#[command(add = Group::Read, add = HELP, after_help = HELP.examples)]
#[command(mut_arg("contact", |arg| arg.add(ArgValueCompleter::new(complete::contacts))))]
#[command(mut_arg("number", |arg| arg.add(ArgValueCompleter::new(complete::own_numbers))))]
pub(super) struct SearchArgs {
    /// Words, phrases ("good morning") or beginnings of words (inv*); all must be there
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Without this word or phrase; can be given several times
    #[arg(long = "not", value_name = "WORD", help_heading = "Filters")]
    not: Vec<String>,
    #[command(flatten)]
    filter: MessageFilterArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo search invoice
  convo search \"good morning\" --contact +12125551234
  convo search 'inv*' --not paid --since 30d
  convo search --status failed --json | jq -r '.[].id'",
    description: "\
Prints the messages whose text or subject has every word, newest first; without words, a list of \
messages. Each argument is a word or, if it has spaces, a phrase; one that ends in * stands for every \
word that begins so (in quotes, or the shell may expand it).

Case, accents and punctuation make no difference: cafe finds Café. In Chinese, Japanese, Korean, Thai and \
other scripts without spaces between words, any part of a text is found. An emoji is a word. A phone \
number is found in any notation, an e-mail address as a whole and by its parts.

On a terminal, prints the 50 newest, with what was found in colour. In a pipe, or with a format, prints \
all of them. --status accepts the words of convo list; failed means expired, sending_failed and \
delivery_failed, and open means any that is not final.

A search is complete to the last message that was stored: it first adds new messages to the search \
index. If that takes longer than some seconds, as after an upgrade or a copy of a large database, it \
prints what it has found so far and ends with exit code 5. convo serve builds the index in the \
background, and every search goes on with it.",
    output: "\
In a pipe, one message per line, its fields separated by TAB:

  created_at  direction  status  from  to  body  id
  contact_number  conversation_id  subject  cc  contact_name

csv has the same fields below a header line; ids prints the messages' ids. json is one array and jsonl \
one object per line, with the fields of a message in the REST API, and:

  contact_number  contact_name
  snippet: text  marks

snippet.text is the part of the text with the first hits, and each of its marks is the start and the end \
of one, counted in Unicode characters.

Later versions may append fields, but keep these.",
};

impl SearchArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let parse = |words: &[String]| -> Result<Vec<Term>, Error> {
            words.iter().map(|word| Term::parse(word)).collect()
        };
        let words = MessageSearch {
            terms: parse(&self.words)?,
            exclusions: parse(&self.not)?,
            ..MessageSearch::default()
        };
        words.check()?;
        let mut incomplete = None;
        context.print_from(
            async || context.backend_to_catch_up().await,
            &self.print,
            Start::Top,
            async |backend, out, style| {
                let MessageSearch { terms, exclusions, .. } = words;
                let filter = self.filter.search(style.now, style.zone);
                let search = MessageSearch { terms, exclusions, ..filter };
                let fetch = async |after, limit| backend.search(&search, after, limit).await;
                let extent = Extent::new(&self.print, style);
                let mut results = SearchResults::new(out, style);
                incomplete = print(fetch, extent, &mut results).await?;
                Ok(())
            },
        )?;
        incomplete.map_or(Ok(()), |before| Err(incomplete_before(before)))
    }
}

fn incomplete_before(time: Timestamp) -> Error {
    let what =
        format!("messages from before {time} may be missing: the search index is not complete");
    Error::new(Code::SearchIncomplete, what)
        .hint("search again later: every search and `convo serve` go on with the index")
}

/// Prints messages as they are found: memory does not grow with their number. Returns the time before
/// which messages may be missing.
async fn print<W: Write>(
    fetch: impl AsyncFn(Option<Cursor>, u64) -> Result<SearchPage, Error>,
    extent: Extent,
    results: &mut SearchResults<'_, W>,
) -> Result<Option<Timestamp>, PrintError> {
    let mut left = match extent {
        Extent::All => u64::MAX,
        Extent::Newest(limit) => limit,
        Extent::Brief => BRIEF,
    };
    let (mut after, mut incomplete) = (None, None);
    while left > 0 {
        let page = fetch(after, left.min(PAGE)).await?;
        results.page(&page.hits)?;
        incomplete = incomplete.or(page.incomplete_before);
        left = left.saturating_sub(page.hits.len() as u64);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    results.finish(extent == Extent::Brief && after.is_some())?;
    Ok(incomplete)
}
