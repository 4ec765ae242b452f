//! What every good program of the command line does: help, versions, colour.

use crate::support::{Home, OnTerminal, closed_address};

#[test]
fn the_version_names_the_commit_and_its_date() {
    let home = Home::new();
    let short = home.run(&["-V"]).silent();
    assert_eq!(short.out, home.run(&["--version"]).silent().out);
    let words: Vec<_> = short.line().split(' ').collect();
    assert_eq!(words[..2], ["convo", env!("CARGO_PKG_VERSION")]);
    // A development build has no commit.
    if let [commit, date] = words[2..] {
        let commit = commit.strip_prefix('(').expect("a bracket");
        assert!(commit.len() == 12 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{words:?}");
        let date = date.strip_suffix(')').expect("a bracket");
        assert!(chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok(), "{words:?}");
    } else {
        assert_eq!(words.len(), 2, "{words:?}");
    }
}

#[test]
fn help_is_the_long_help_of_a_command() {
    let home = Home::new();
    assert_eq!(home.run(&["help"]).silent().out, home.run(&["--help"]).silent().out);
    for command in ["send", "list", "completion", "help"] {
        let help = home.run(&["help", command]).silent().out;
        assert_eq!(help, home.run(&[command, "--help"]).silent().out, "{command}");
        assert_ne!(help, home.run(&[command, "-h"]).silent().out, "{command}");
    }
    home.run(&["help", "sned"]).exits(2).reports("hint: did you mean 'send'?");
    home.script("convo help > /dev/full").exits(1).reports("cannot write to standard output");
    assert_eq!(home.files(), [""; 0]);
}

/// Whether something is coloured, or bold.
fn is_styled(text: &str) -> bool {
    text.contains('\u{1b}')
}

#[test]
fn colour_of_help_follows_the_option() {
    let home = Home::new().set("TERM", "xterm");
    for help in [&["--help"][..], &["-h"], &["send", "--help"], &["help", "send"], &["help"]] {
        let shown = |option: &[&str]| home.on_terminal(80, &[help, option].concat()).silent().out;
        assert!(is_styled(&shown(&[])), "{help:?}");
        for never in [&["--color", "never"][..], &["--color=never"]] {
            assert!(!is_styled(&shown(never)), "{help:?}");
            let before = home.on_terminal(80, &[never, help].concat()).silent().out;
            assert!(!is_styled(&before), "{help:?}");
        }
        let piped = home.run(&[help, &["--color", "always"]].concat()).silent().out;
        assert!(is_styled(&piped) && !is_styled(&home.run(help).silent().out), "{help:?}");
    }
}

#[test]
fn colour_of_the_log_follows_the_option() {
    let away = format!("postgres://{}/convo", closed_address());
    let home = Home::new().set("TERM", "xterm").set("DATABASE_URL", away);
    let home = home.set("CONVO_START_TIMEOUT", "4");
    let logged = |option: &[&str]| {
        let serve = home.command(&[&["serve", "--listen", "127.0.0.1:0"], option].concat());
        let log = OnTerminal::typed(serve, 80, 24, "").wait().exits(5).out;
        assert!(log.contains("waiting for the database"), "{log}");
        log
    };
    assert!(is_styled(&logged(&[])));
    assert!(!is_styled(&logged(&["--color", "never"])));
}
