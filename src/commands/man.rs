//! A manual page: what clap knows of a command, and what a manual must say besides.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::cli;

/// The exit codes, as the contract with scripts has them.
const EXIT_STATUS: [(&str, &str); 10] = [
    ("0", "Done; an empty list, too."),
    ("1", "An unexpected failure."),
    ("2", "Wrong usage, or input that makes no sense."),
    ("3", "There is no such conversation or message."),
    ("4", "Not configured or not allowed: a key or the database is missing, or was refused."),
    ("5", "Temporarily unavailable, and surely not sent: trying again is safe."),
    ("6", "Refused, or failed for good."),
    ("7", "The contact has opted out."),
    ("8", "Waited long enough; not final yet."),
    (
        "9",
        "The outcome is unknown: it may have been sent. Repeat it only with the same idempotency \
         key, which is printed.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("TELNYX_API_KEY", "The key to Telnyx's API. Sending needs it."),
    (
        "TELNYX_PUBLIC_KEY",
        "The public key that webhooks are signed with; several, separated by commas, while keys \
         are changed. Receiving needs it.",
    ),
    (
        "TELNYX_PHONE_NUMBER",
        "Our own number; several, separated by commas: the first is the default sender.",
    ),
    (
        "DATABASE_URL",
        "Where the threads are: sqlite:///PATH or postgresql://USER@HOST/NAME. By default \
         sqlite:///conversations.db in the working directory.",
    ),
    ("CONVO_SERVER", "The convo server to ask instead of opening the database, as --server."),
    (
        "CONVO_API_TOKEN",
        "The token of the REST API; a server accepts several, separated by commas.",
    ),
    ("CONVO_LISTEN", "Where convo serve listens, as --listen. By default 127.0.0.1:5000."),
    ("CONVO_LOG", "How much convo serve logs: error, warn, info (the default), debug or trace."),
    ("TELNYX_BASE_URL", "Another address of Telnyx's API, such as a simulation of it."),
    (
        "CONVO_SEND_TIMEOUT",
        "The seconds a send may take before its outcome counts as unknown: 1 to 30.",
    ),
    (
        "CONVO_SETTLE_WINDOW",
        "The seconds within which convo may offer a text once more by itself whose outcome is \
         unknown, under its first key. By default 600; 0 never does.",
    ),
    ("CONVO_TAG", "Whether messages are tagged with their id, so that reports name them."),
    (
        "CONVO_MAX_CONNECTIONS, CONVO_MAX_SENDS, CONVO_MAX_BODY, CONVO_QUEUE",
        "What convo serve takes on at once: connections (512), messages being sent (64), the size \
         of a body (1MiB), webhooks that wait for their commit (1024). Whatever is more is told 503.",
    ),
    (
        "CONVO_REQUEST_TIMEOUT, CONVO_WEBHOOK_TIMEOUT, CONVO_KEEP_ALIVE",
        "Seconds: for a request to arrive and an answer to be taken (30), for the answer to a \
         webhook (1.5), for an idle connection to stay open (75).",
    ),
    (
        "CONVO_START_TIMEOUT",
        "Seconds that convo serve waits for PostgreSQL when it starts. By default 60.",
    ),
    (
        "CONVO_DRAIN, CONVO_SHUTDOWN_TIMEOUT",
        "Seconds: how long convo serve serves on after SIGTERM for balancers to notice (3), and \
         how long the whole stop may take (10).",
    ),
];

/// Variables that are read from the environment alone, never from `.env`.
const TERMINAL: &[(&str, &str)] = &[
    ("NO_COLOR, CLICOLOR_FORCE", "Never, or always, use colour, unless --color says otherwise."),
    ("TERM", "With dumb, no colour, no pager, and no signs beyond ASCII."),
    (
        "CONVO_PAGER, PAGER",
        "The pager for tables and chats that outgrow the screen; the first goes before the second, \
         and less before none. An empty one, or cat, is none.",
    ),
    ("LESS", "Options of less; by default FRX. convo adds -R, and +G for a chat."),
    ("TZ", "The local time zone, such as Europe/Berlin, if not the system's own."),
    ("COLUMNS", "How wide a table is that goes to no terminal. By default 80."),
];

const FILES: [(&str, &str); 3] = [
    (
        ".env",
        "Variables of the first list above, one NAME=VALUE a line; looked for from the working directory upwards. \
         The environment goes before it.",
    ),
    ("conversations.db", "The default database, in the working directory."),
    ("sandbox.db", "The database of --sandbox, in the working directory."),
];

/// What roff needs to know about apostrophes; clap_mangen repeats it before every section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// The page of one command, built with the whole program around it.
pub(super) fn page(command: &clap::Command) -> String {
    let is_program = command.has_subcommands();
    let own = cli::page(if is_program { "" } else { command.get_name() });
    let man = Man::new(command.clone())
        .source(format!("convo {}", env!("CARGO_PKG_VERSION")))
        .manual("convo manual");
    let mut page = rendered(|out| man.render_title(out));
    page += &rendered(|out| man.render_name_section(out));
    page += &rendered(|out| man.render_synopsis_section(out));
    let mut description = Roff::new();
    section(&mut description, "DESCRIPTION", own.description);
    page += &description.to_roff();
    page += &rendered(|out| man.render_options_section(out));
    if is_program {
        page += &rendered(|out| man.render_subcommands_section(out));
    }
    page += &closing(command, &own).to_roff();
    format!("{PREAMBLE}{page}")
}

/// What clap_mangen writes of one section. Writing to memory cannot fail.
fn rendered(section: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    let written = section(&mut bytes);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8_lossy(&bytes).replace(PREAMBLE, "")
}

/// The sections after the options.
fn closing(command: &clap::Command, own: &cli::Page) -> Roff {
    let mut roff = Roff::new();
    section(&mut roff, "OUTPUT", own.output);
    definitions(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    definitions(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    roff.control("PP", []).text([roman(
        "An empty variable counts as unset. A secret may be given as a file: NAME_FILE holds its \
         path.",
    )]);
    roff.control("PP", []).text([roman("From the environment alone, not from .env:")]);
    entries(&mut roff, TERMINAL);
    definitions(&mut roff, "FILES", &FILES);
    let examples = own.examples.strip_prefix("Examples:\n").unwrap_or(own.examples);
    section(&mut roff, "EXAMPLES", examples);
    roff.control("SH", ["SEE ALSO"]).text(see_also(command));
    roff
}

/// Paragraphs; those whose lines begin with blanks are kept as they are. No text, no section.
fn section(roff: &mut Roff, title: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for paragraph in text.split("\n\n") {
        if paragraph.starts_with("  ") {
            roff.control("PP", []).control("nf", []);
            for line in paragraph.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else {
            roff.control("PP", []).text([roman(paragraph)]);
        }
    }
}

fn definitions(roff: &mut Roff, title: &str, terms: &[(&str, &str)]) {
    roff.control("SH", [title]);
    entries(roff, terms);
}

fn entries(roff: &mut Roff, terms: &[(&str, &str)]) {
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}

fn see_also(command: &clap::Command) -> Vec<Inline> {
    let names = command.get_subcommands().filter(|other| !other.is_hide_set());
    let names: Vec<_> = names.map(|other| format!("convo-{}", other.get_name())).collect();
    let names = if names.is_empty() { vec!["convo".to_owned()] } else { names };
    let last = names.len() - 1;
    let entry = |(at, name): (usize, String)| {
        let end = if at == last { "(1)" } else { "(1), " };
        [bold(name), roman(end)]
    };
    names.into_iter().enumerate().flat_map(entry).collect()
}
