//! From the words of a command line to a [`Cli`], or to a refusal in convo's own words.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, Command, SendArgs};
use crate::error::Error;

/// The formats of whoever reads JSON.
const FORMS: [&str; 2] = ["json", "jsonl"];

/// Why there is no command to run.
#[derive(Debug)]
pub enum Refusal {
    /// Help or the version was asked for, or no command was given: clap prints it.
    Show(clap::Error),
    /// The arguments make no sense.
    Usage {
        /// What is wrong with them.
        error: Error,
        /// Whether it is to be told as JSON.
        json: bool,
    },
}

/// Understands a command line, the program's name first.
///
/// # Errors
/// [`Refusal`] when there is nothing to run.
pub fn parse<T>(args: impl IntoIterator<Item = T>) -> Result<Cli, Refusal>
where
    T: Into<OsString>,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let cli = Cli::try_parse_from(&args).map_err(|error| refusal(error, &args))?;
    let escaped = args.iter().any(|arg| arg == "--");
    match check(&cli, escaped) {
        Ok(()) => Ok(cli),
        Err(error) => Err(Refusal::Usage { error, json: cli.json_errors() }),
    }
}

/// A span of time: a number with its unit, from seconds to weeks.
pub(super) fn time_span(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        'w' => 7 * 24 * 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

fn refusal(error: clap::Error, args: &[OsString]) -> Refusal {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Refusal::Show(error),
        _ => Refusal::Usage { error: reworded(&error, args), json: wants_json(args) },
    }
}

/// Whether words that make no sense ask for JSON all the same.
fn wants_json(args: &[OsString]) -> bool {
    let words: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    let is_format = |pair: &[&OsString]| {
        pair[0] == "--format" && pair[1].to_str().is_some_and(|form| FORMS.contains(&form))
    };
    let in_one = |word: &OsString| {
        let form = word.to_str().and_then(|word| word.strip_prefix("--format="));
        word == "--json" || form.is_some_and(|form| FORMS.contains(&form))
    };
    words.iter().any(|word| in_one(word)) || words.windows(2).any(is_format)
}

/// clap's message without its frame: the first paragraph says what, the tips what to do.
fn reworded(error: &clap::Error, args: &[OsString]) -> Error {
    let told = error.render().to_string();
    let lines = || told.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_end = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let what: Vec<_> = lines().take_while(|line| !is_end(line) && !is_tip(line)).collect();
    let tips: Vec<_> = lines().filter_map(|line| line.strip_prefix("tip: ")).collect();
    let what = what.join(" ");
    let hint = suggestion(error).unwrap_or_else(|| match tips.is_empty() {
        true => see_help(args),
        false => tips.join("; "),
    });
    Error::invalid(what.strip_prefix("error: ").unwrap_or(&what)).hint(hint)
}

/// What was probably meant. clap names the likeliest last.
fn suggestion(error: &clap::Error) -> Option<String> {
    use ContextKind::{SuggestedArg, SuggestedSubcommand, SuggestedValue};
    let kinds = [SuggestedSubcommand, SuggestedArg, SuggestedValue];
    let meant = match kinds.into_iter().find_map(|kind| error.get(kind))? {
        ContextValue::String(meant) => meant,
        ContextValue::Strings(several) => several.last()?,
        _ => return None,
    };
    Some(format!("did you mean '{meant}'?"))
}

fn is_tip(line: &str) -> bool {
    line.starts_with("tip: ")
}

fn see_help(args: &[OsString]) -> String {
    use clap::CommandFactory;
    let cli = Cli::command();
    let named = |arg: &OsString| cli.find_subcommand(arg).map(clap::Command::get_name);
    match args.iter().skip(1).find_map(named) {
        Some(command) => format!("'convo {command} --help' shows how it is used"),
        None => "'convo --help' shows the commands".to_owned(),
    }
}

/// What clap cannot say.
fn check(cli: &Cli, escaped: bool) -> Result<(), Error> {
    let own_work = match &cli.command {
        Command::Serve(_) => Some("serve"),
        Command::Settle => Some("settle"),
        Command::Migrate => Some("migrate"),
        Command::Copy(_) => Some("copy"),
        Command::Sandbox(_) => Some("sandbox"),
        Command::Openapi => Some("openapi"),
        Command::Generate(_) => Some("generate"),
        Command::Send(send) if !escaped => refuse_misspelt_option(send).map(|()| None)?,
        Command::List(_) | Command::Show(_) | Command::Send(_) | Command::Retry(_) => None,
    };
    if matches!(cli.command, Command::Copy(_)) && cli.global.sandbox {
        return Err(Error::invalid("convo copy takes no --sandbox")
            .hint("leave it out: a copy of a sandbox database is one, too"));
    }
    if cli.global.server.is_none() {
        return Ok(());
    }
    match own_work {
        Some(command) => {
            let what = format!("convo {command} works on this machine and takes no --server");
            Err(Error::invalid(what).hint("leave out --server"))
        }
        // Whoever asks for play must not reach real phones through a server that is not playing.
        None if cli.global.sandbox => {
            let what = "--sandbox and --server exclude each other";
            Err(Error::invalid(what).hint("start the server itself with --sandbox"))
        }
        None => Ok(()),
    }
}

/// A text may begin with a hyphen, but a slip in an option must not be sent to somebody's phone.
fn refuse_misspelt_option(send: &SendArgs) -> Result<(), Error> {
    let Some(typed) = send.text.as_deref().and_then(|text| text.strip_prefix("--")) else {
        return Ok(());
    };
    let name = typed.split('=').next().unwrap_or_default();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Ok(());
    }
    match options_of_send().find(|option| is_slip(name, option)) {
        Some(option) => Err(Error::invalid(format!("'--{typed}' is no option of convo send"))
            .hint(format!("write --{option}; to send it as a text, put -- before it"))),
        None => Ok(()),
    }
}

fn options_of_send() -> impl Iterator<Item = String> {
    use clap::CommandFactory;
    let mut cli = Cli::command();
    cli.build();
    let send = cli.find_subcommand("send").cloned().unwrap_or_default();
    let names: Vec<_> =
        send.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
    names.into_iter()
}

/// Whether a word is an option's name with its end missing or one letter wrong.
fn is_slip(typed: &str, option: &str) -> bool {
    let begins = typed.len() >= 3 && option.starts_with(typed);
    begins || within_one_edit(&typed.to_lowercase(), option)
}

fn within_one_edit(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same_start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    match (a, b) {
        ([], []) => true,
        ([_, after_a @ ..], [_, after_b @ ..]) if after_a == after_b => true,
        ([_, after_a @ ..], b) if after_a == b => true,
        (a, [_, after_b @ ..]) if a == after_b => true,
        // Two neighbours in the wrong order.
        ([x, y, after_a @ ..], [v, w, after_b @ ..]) => (x, y) == (w, v) && after_a == after_b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::PrintArgs;
    use crate::domain::Timestamp;
    use crate::error::Code;
    use crate::output::{ColorChoice, Format};
    use clap::CommandFactory;

    const TO: &str = "+12125551234";

    fn run(line: &[&str]) -> Result<Cli, Refusal> {
        parse(std::iter::once("convo").chain(line.iter().copied()))
    }

    fn send(line: &[&str]) -> SendArgs {
        match run(&[&["send"], line].concat()).expect("a good command line").command {
            Command::Send(send) => send,
            other => panic!("{other:?}"),
        }
    }

    fn refused(line: &[&str]) -> (Error, bool) {
        match run(line).expect_err("must be refused") {
            Refusal::Usage { error, json } => (error, json),
            Refusal::Show(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_text_may_begin_with_a_hyphen_and_options_still_work() {
        for (line, text) in [
            (&[TO, "Hello"][..], "Hello"),
            (&[TO, "- milk\n- eggs"], "- milk\n- eggs"),
            (&[TO, "-1"], "-1"),
            (&[TO, "--"], ""),
            (&[TO, "--hello"], "--hello"),
            (&[TO, "-- cut here --"], "-- cut here --"),
            (&[TO, "--", "--json"], "--json"),
            (&["--", TO, "--dryrun"], "--dryrun"),
        ] {
            let args = send(line);
            assert_eq!(args.text.as_deref().unwrap_or_default(), text, "{line:?}");
            assert!(args.to == TO && !args.dry_run && !args.json, "{args:?}");
        }
        for line in
            [[TO, "--dry-run", "-x y"], [TO, "-x y", "--dry-run"], ["--dry-run", TO, "-x y"]]
        {
            let args = send(&line);
            assert_eq!((args.dry_run, args.text.as_deref()), (true, Some("-x y")), "{line:?}");
        }
    }

    #[test]
    fn a_misspelt_option_is_not_sent() {
        for (typed, meant) in [
            ("--dryrun", "--dry-run"),
            ("--dry_run", "--dry-run"),
            ("--dyr-run", "--dry-run"),
            ("--idempotency=k", "--idempotency-key"),
            ("--JSON", "--json"),
            ("--form", "--from"),
            ("--sand", "--sandbox"),
        ] {
            let (error, _) = refused(&["send", TO, typed]);
            assert!(
                error.hint_text().is_some_and(|hint| hint.contains(meant)),
                "{typed}: {error:?}"
            );
        }
    }

    #[test]
    fn every_option_of_send_arrives() {
        let line = [
            TO,
            "Hi",
            "--from",
            "+15551234567",
            "--media",
            "https://a/1",
            "--media",
            "https://a/2",
            "--subject",
            "s",
            "--at",
            "2026-11-22T15:00:00+02:00",
            "--idempotency-key",
            "k",
            "--no-retry",
            "--despite-opt-out",
            "--json",
        ];
        let args = send(&line);
        assert_eq!(args.media, ["https://a/1", "https://a/2"]);
        assert_eq!(args.at, Timestamp::parse("2026-11-22T13:00:00Z"));
        assert_eq!(
            (args.from.as_deref(), args.subject.as_deref()),
            (Some("+15551234567"), Some("s"))
        );
        assert_eq!(args.idempotency_key.as_deref(), Some("k"));
        assert!(args.no_retry && args.despite_opt_out && args.json && !args.dry_run);
    }

    #[test]
    fn forms_and_extents() {
        let print = |line: &[&str]| match run(line).expect("a good command line").command {
            Command::List(list) => list.print,
            Command::Show(show) => show.print,
            other => panic!("{other:?}"),
        };
        assert_eq!(print(&["list"]), PrintArgs::default());
        assert_eq!(print(&["list", "--json"]).asked(), Some(Format::Json));
        assert_eq!(print(&["show", TO, "--format", "csv"]).asked(), Some(Format::Csv));
        assert_eq!(print(&["list", "--limit", "7"]).limit, Some(7));
        assert!(print(&["show", "e6f70819", "--all"]).all);
        for line in [
            &["list", "--limit", "0"][..],
            &["list", "--limit", "-1"],
            &["list", "--limit", "1", "--all"],
            &["list", "--json", "--format", "csv"],
            &["list", "--format", "lines"],
            &["show"],
            &["show", ""],
        ] {
            assert_eq!(refused(line).0.code(), Code::InvalidRequest, "{line:?}");
        }
    }

    #[test]
    fn global_options_stand_anywhere_but_have_their_place() {
        let before = run(&["--server", "http://h:1/", "--color", "never", "list"]);
        let after = run(&["list", "--server", "http://h:1", "--color=never"]);
        for cli in [before, after] {
            let cli = cli.expect("a good command line");
            assert_eq!(cli.global.server.as_deref(), Some("http://h:1"));
            assert_eq!(cli.global.color, ColorChoice::Never);
        }
        for command in ["serve", "settle", "migrate", "sandbox"] {
            let (error, _) = refused(&[command, "--server", "http://h:1"]);
            assert!(error.to_string().contains("takes no --server"), "{error}");
        }
        let (error, _) = refused(&["--sandbox", "--server", "http://h:1", "list"]);
        assert!(error.to_string().contains("exclude each other"), "{error}");
        assert!(run(&["serve", "--sandbox", "--listen", "[::1]:0"]).is_ok());
    }

    #[test]
    fn values_are_judged_with_an_example() {
        for (line, example) in [
            (&["list", "--server", "localhost:5000"][..], "http://127.0.0.1:5000"),
            (&["serve", "--listen", "5000"], "127.0.0.1:5000"),
            (&["serve", "--listen", "::1:5000"], "[::1]:5000"),
            (&["send", TO, "Hi", "--at", "2026-11-22 15:00"], "2026-11-22T15:00:00+02:00"),
        ] {
            let (error, _) = refused(line);
            assert!(error.to_string().contains(example), "{line:?}: {error}");
        }
    }

    #[test]
    fn mistakes_get_a_suggestion_in_our_own_words() {
        let (error, json) = refused(&["sned", TO, "--json"]);
        assert_eq!(error.to_string(), "unrecognized subcommand 'sned'");
        assert_eq!(error.hint_text(), Some("did you mean 'send'?"));
        assert!(json);
        for (line, meant) in [
            (&["shwo", TO][..], "'show'"),
            (&["list", "--limt", "3"], "'--limit'"),
            (&["list", "--format", "jsonn"], "'json'"),
        ] {
            let hint = refused(line).0.hint_text().map(str::to_owned);
            assert_eq!(hint, Some(format!("did you mean {meant}?")), "{line:?}");
        }
        let (error, json) = refused(&["send"]);
        assert_eq!(error.to_string(), "the following required arguments were not provided: <TO>");
        assert_eq!(error.hint_text(), Some("'convo send --help' shows how it is used"));
        assert!(!json);
    }

    #[test]
    fn help_and_version_are_shown() {
        for (line, code) in [(&["--help"][..], 0), (&["send", "-h"], 0), (&["-V"], 0), (&[], 2)] {
            match run(line) {
                Err(Refusal::Show(shown)) => assert_eq!(shown.exit_code(), code, "{line:?}"),
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn json_is_for_errors_too() {
        let json = |line: &[&str]| run(line).expect("a good command line").json_errors();
        assert!(json(&["list", "--json"]) && json(&["show", TO, "--format", "jsonl"]));
        assert!(json(&["send", TO, "Hi", "--json"]));
        assert!(!json(&["list", "--format", "csv"]) && !json(&["migrate"]));
    }
}
