//! The longer texts of `--help` and the manual pages.

use clap::builder::Styles;
use clap::builder::styling::Style;

/// Headings and literals stand out; nothing is coloured, so every background serves.
pub(super) const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(Style::new().bold());

/// The first screen: it leaves a row of a usual window to the shell. clap cannot group commands,
/// and would spend two rows on an option; a test holds these lists against the definition.
pub(super) const TEMPLATE: &str = "\
{name} - {about}
{usage-heading} {usage}

\u{1b}[1mRead:\u{1b}[0m
  \u{1b}[1mlist\u{1b}[0m     List the threads, most recently active first
  \u{1b}[1mshow\u{1b}[0m     Show the thread with a contact
\u{1b}[1mSend:\u{1b}[0m
  \u{1b}[1msend\u{1b}[0m     Send a text message
  \u{1b}[1mretry\u{1b}[0m    Send a message again whose outcome is unknown
\u{1b}[1mRun:\u{1b}[0m
  \u{1b}[1mserve\u{1b}[0m    Receive Telnyx's webhooks and serve the REST API
  \u{1b}[1msettle\u{1b}[0m   Settle what dead processes and lost answers left open
  \u{1b}[1mmigrate\u{1b}[0m  Create the database's tables, or bring them up to date
  \u{1b}[1mcopy\u{1b}[0m     Copy a whole database into another, of either kind
  \u{1b}[1msandbox\u{1b}[0m  Run a simulated Telnyx by itself, for any program to talk to
  \u{1b}[1mopenapi\u{1b}[0m  Print the OpenAPI document of the REST API

\u{1b}[1mOptions of every command:\u{1b}[0m
  \u{1b}[1m--sandbox\u{1b}[0m       Play with a simulated Telnyx; first: convo serve --sandbox
  \u{1b}[1m--server\u{1b}[0m <URL>  Ask this convo server, not the database [env: CONVO_SERVER]
  \u{1b}[1m--color\u{1b}[0m <WHEN>  Use colour: auto, always or never
  \u{1b}[1m--utc\u{1b}[0m           Show times to people in UTC, not in the local time zone
  \u{1b}[1m-h, --help\u{1b}[0m      Print help; after a command, its options (-V: the version)
";

/// What a manual page says beyond the options.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The command's name; empty for the program's own page.
    pub command: &'static str,
    /// Examples, as `--help` shows them.
    pub examples: &'static str,
    /// Further paragraphs of the description, separated by empty lines.
    pub description: &'static str,
    /// What it prints, where that is a contract; lines that begin with blanks are kept as they are.
    pub output: &'static str,
}

pub(super) const LIST: Page = Page {
    command: "list",
    examples: "\
Examples:
  convo list
  convo list --direction inbound --since 2d
  convo list --json | jq -r '.[].contact_number'
  convo list --status unknown --format ids | xargs -r -n1 convo show",
    description: "\
On a terminal, a table of the 50 threads that were active last. In a pipe, or when a format is \
given, all threads, written while they are read.

A table that outgrows the screen is shown in a pager.

In the table, an arrow to the left marks what the contact wrote and one to the right what we \
wrote; the status is that of the last message. The id is shown by its last 8 digits, which name \
the thread to convo show.

A thread is listed when it fits every filter. --status, --direction and --number ask about the \
thread's last message: --direction inbound finds those who wait for an answer; --number is the \
number of ours that it went out from or came in to. --status takes the words of a pipe: pending, \
unknown, scheduled, queued, sending, sent, delivery_unconfirmed, expired, cancelled, \
sending_failed, delivery_failed, delivered, read, received. A date begins at midnight here. With \
--reverse, --limit prints the threads that have been quiet longest.",
    output: "\
In a pipe, one thread a line, its fields separated by TAB:

  id  contact_number  message_count  last_message_at
  direction  status  opted_out_at  body

direction, status and body are those of the last message. csv has the fields above under a header \
line; ids are those of the threads. json is one array and jsonl one object a line, with the fields \
of the REST API:

  id  contact_number  message_count  last_message_at  created_at
  opted_out_at  opted_out_number
  last_message: id  direction  body  media_count  status  created_at

More fields may follow these; these stay.",
};

pub(super) const SHOW: Page = Page {
    command: "show",
    examples: "\
Examples:
  convo show +12125551234
  convo show e6f70819 --before 2026-06-18 --limit 20
  convo show '+1 (212) 555-1234' --format csv > thread.csv",
    description: "\
On a terminal, the newest 50 messages as a chat, the newest at the bottom; the line above the \
oldest has the command that shows the ones before. In a pipe, or when a format is given, all \
messages in chronological order, written while they are read.

--before takes the id of a message, a span such as 2h or 3d ago, a day of the local time zone (with \
--utc, of UTC), or a time in RFC 3339. With it, too, the newest of what remains are shown, or all \
of it in a pipe.

A chat that outgrows the screen is shown in a pager, its end first where the pager is less.

An arrow to the left marks what the contact wrote and one to the right what we wrote. A status \
that is a failure or unknown has its reason and a hint.

A thread is named by the contact's number in any usual writing, by its id, or by at least 4 \
digits from the beginning or end of the id that no other thread has.",
    output: "\
In a pipe, one message a line, its fields separated by TAB:

  created_at  direction  status  from  to  body  id  error  media
  history

media holds the addresses of the files, separated by blanks. history, empty without --history, \
holds what was reported as status@time, separated by blanks. json is the thread with its \
messages, as the REST API has it; jsonl has one message a line; csv has the fields above under a \
header line; ids are those of the messages.",
};

pub(super) const SEND: Page = Page {
    command: "send",
    examples: "\
Examples:
  convo send +12125551234 \"Running late, 10 min\"
  convo send +12125551234 --dry-run < note.txt
  id=$(convo send +12125551234 \"Your code is 1234\") || echo \"exit $?\"
  convo send +12125551234 \"Fire!\" --wait=delivered --timeout 2m",
    description: "\
The message is stored before it is offered to Telnyx, and what became of it is stored after. The \
exit code tells what is known: 0 when Telnyx took it, 5 when it was surely not sent and may be \
tried again, 9 when nobody knows.

After exit 9, repeat it with the printed key only: convo send --idempotency-key KEY. Under the \
same key, the same message goes out once.

With --wait, the exit code tells how it ended: 0 when it is final and did not fail, 6 when it \
failed, 8 when the time ran out before it was final, 9 when nobody knows. --wait=sent is content \
once the carrier has it; --wait=delivered asks for proof, and tells a delivery that was never \
confirmed by 9. The time counts from when Telnyx took it. Ctrl-C ends the wait, not the message.

With TEXT, standard input is never read. Without it, standard input is the text, less one line \
break at its end; with --media, the files then go without words. A TEXT that begins with a hyphen \
is a text unless it is, or is nearly, the name of an option; after -- it is always a text.",
    output: "\
The id of the stored message, whatever the exit code, and before any wait; with --json, the \
message as the REST API has it, once the wait is over; with --dry-run, the plan: from, to, \
conversation_id, encoding, segments, units and opted_out_at, one field a line, its name and value \
separated by TAB in a pipe. One line for people goes to standard error.",
};

pub(super) const RETRY: Page = Page {
    command: "retry",
    examples: "\
Examples:
  convo retry 0190a1b2-c3d4-7000-8000-5e6f70819203
  convo retry 0190a1b2-c3d4-7000-8000-5e6f70819203 --json",
    description: "\
A message is unknown when it was offered to Telnyx and the answer was lost: it may have been sent. \
This offers the very same request again. Within 24 hours of the first offer nothing is sent twice: \
Telnyx knows the request again and repeats its answer. A message with any other status is left \
alone.

A refusal leaves it unknown, for it says nothing about the first offer. Often nothing needs to be \
done: the delivery report tells what became of the message, and convo serve settles fresh ones by \
itself.",
    output: "\
The id of the message; with --json, the message as the REST API has it. One line for people goes \
to standard error. The exit code is that of convo send: 0 when Telnyx has it, 9 when still nobody \
knows.",
};

pub(super) const SERVE: Page = Page {
    command: "serve",
    examples: "\
Examples:
  convo serve --sandbox
  convo serve
  CONVO_API_TOKEN_FILE=/etc/convo/tokens convo serve --listen 0.0.0.0:8080",
    description: "\
Telnyx posts its webhooks to /webhooks/sms; each is answered 200 once its data is committed \
durably. The REST API needs a token of CONVO_API_TOKEN; without one, only programs on this machine \
are served, and listening on a public address is refused.

CONVO_API_TOKEN lists TOKEN, which may do everything, or NAME:SCOPES:TOKEN with the scopes read, \
send or read+send; in the file of CONVO_API_TOKEN_FILE one a line, with # before comments. The log \
tells by the name, or by the beginning of its SHA-256, which token did what.

While it runs, it settles what dead processes and lost answers left open, as convo settle does.

SIGTERM and Ctrl-C end it after what is begun is finished.",
    output: "",
};

pub(super) const SETTLE: Page = Page {
    command: "settle",
    examples: "\
Examples:
  convo settle
  CONVO_SETTLE_WINDOW=0 convo settle",
    description: "\
For where no convo serve runs, which does the same all the time. Any number of processes may \
settle at once: each message is one's only.

A message whose sender died becomes unknown. An unknown one is offered to Telnyx once more, as the \
very request it was, if its sender gave an idempotency key or was told that it is unknown, and it \
is not older than CONVO_SETTLE_WINDOW, 600 seconds by default. Messages that have been on their \
way for long are asked about. Reports of messages that another program sent find their thread.",
    output: "\
One line for each message that it moved, its id and its status now, separated by TAB.",
};

pub(super) const MIGRATE: Page = Page {
    command: "migrate",
    examples: "\
Examples:
  convo migrate
  DATABASE_URL=postgresql://user@host/db convo migrate",
    description: "\
convo serve does the same when it starts. Running it again changes nothing; several at once wait \
for each other.",
    output: "",
};

pub(super) const COPY: Page = Page {
    command: "copy",
    examples: "\
Examples:
  convo copy sqlite:///conversations.db postgresql://convo@db.example/convo
  DATABASE_URL_FILE=url.txt convo copy sqlite:///conversations.db
  convo copy --release sqlite:///conversations.db",
    description: "\
FROM takes no changes from the beginning of the copy on: servers answer 503, so that Telnyx comes \
again, and commands are refused. What is in it can still be read. When it broke off, run the same \
command again: it goes on where it stopped. In the end both databases are read and compared, row \
by row; only then may TO be opened.

Afterwards FROM still takes no changes, so that nobody writes to the old one by mistake. \
convo copy --release gives it back, or gives a copy up that is not finished. TO must be empty; \
nothing in it is overwritten.

Passwords are better not typed: leave them out of the URL and keep them in ~/.pgpass, or name TO by \
DATABASE_URL or DATABASE_URL_FILE.",
    output: "\
One table a line, its fields separated by TAB:

  table  rows  sha256

sha256 is over every value of every row, and the same in both databases. With --json, an object \
with from, to, rows, seconds and tables. On a terminal, standard error shows the progress.",
};

pub(super) const SANDBOX: Page = Page {
    command: "sandbox",
    examples: "\
Examples:
  convo sandbox
  convo sandbox --webhook-url http://127.0.0.1:5000/webhooks/sms
  DATABASE_URL=sqlite:///play.db TELNYX_API_KEY=play TELNYX_BASE_URL=http://127.0.0.1:5001/v2 \
convo send +12125551234 \"Hi\" --from +15551234567",
    description: "\
It accepts messages as Telnyx does, reports their delivery by signed webhooks and lets the \
simulated contact answer. Nothing it does reaches a phone or costs anything. The public key for \
its signatures is printed at the start.",
    output: "",
};

pub(super) const OPENAPI: Page = Page {
    command: "openapi",
    examples: "\
Examples:
  convo openapi > openapi.json
  convo openapi | jq -r '.paths | keys[]'",
    description: "\
It describes every route of convo serve: what it takes, what it answers, what it refuses, and the \
scope that a token needs. A server of the same version has the same at /openapi.json. No \
database is opened and no server asked.",
    output: "An OpenAPI 3.1 document in JSON.",
};

const PROGRAM: Page = Page {
    command: "",
    examples: "\
Examples:
  convo serve --sandbox
  convo send +12125551234 \"Hello\"
  convo show +12125551234",
    description: "\
convo groups inbound and outbound SMS by contact into lasting threads. convo serve takes in what \
Telnyx reports and serves a REST API; the other commands read and write the same threads, directly \
in the database or through a server that --server names.",
    output: "\
Data goes to standard output, talk to standard error. On a terminal, people get tables and chats \
that fit its width, with times in the local time zone. What someone else wrote is shown, never \
executed: a character that would drive the terminal stands there as \\u{HEX}. The parts of an \
emoji stand side by side, because terminals disagree on their width.

In a pipe, each record is one line, its fields separated by TAB, times in RFC 3339 and UTC, nothing \
cut, no header. In a field, \\\\ is a backslash, \\t a TAB, \\n and \\r line breaks, and \\u{HEX} \
any other control or text-direction character.

csv shows those characters in the same way, except line breaks and TABs, which it quotes; a value \
that begins with = + - or @ (a number, too) gets an apostrophe in front, so that no spreadsheet \
runs it. JSON escapes them as \\uXXXX and loses nothing.",
};

const PAGES: [Page; 11] =
    [PROGRAM, LIST, SHOW, SEND, RETRY, SERVE, SETTLE, MIGRATE, COPY, SANDBOX, OPENAPI];

/// The page of a command; the program's own for a name that is none.
#[must_use]
pub fn page(command: &str) -> Page {
    PAGES.into_iter().find(|page| page.command == command).unwrap_or(PROGRAM)
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_first_screen_fits_and_names_what_there_is() {
        let mut cli = Cli::command();
        let screen = cli.render_help().to_string();
        for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let line = format!("\n  {:<8} {about}\n", command.get_name());
            assert!(screen.contains(&line), "{line} is missing in {screen}");
            assert_eq!(super::page(command.get_name()).command, command.get_name());
        }
        let options = cli.get_arguments().filter_map(clap::Arg::get_long);
        for option in options.filter(|option| *option != "version") {
            assert!(screen.contains(&format!("--{option} ")), "{option} is missing in {screen}");
        }
        assert!(screen.contains("-V: the version"), "{screen}");
        assert!(screen.lines().count() < 24, "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    }

    #[test]
    fn every_command_has_two_to_four_examples() {
        for page in super::PAGES {
            let count = page.examples.lines().skip(1).count();
            assert!((2..=4).contains(&count), "{}", page.examples);
        }
    }

    #[test]
    fn every_example_parses() {
        for page in super::PAGES {
            let commands =
                page.examples.lines().filter_map(|line| line.find("convo ").map(|at| &line[at..]));
            for command in commands {
                let end = command.find(['|', '>', '<', ')']).unwrap_or(command.len());
                let words = shell_words(command[..end].trim());
                assert!(super::super::parse(words.clone()).is_ok(), "{words:?}");
            }
        }
    }

    /// The words of a command line with plain and quoted words, as a shell would part them.
    fn shell_words(line: &str) -> Vec<String> {
        let quoted = line.split(['"', '\'']).enumerate();
        quoted
            .flat_map(|(at, part)| match at % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }
}
