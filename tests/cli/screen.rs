//! Hostile texts on a real terminal: each is shown, and nothing else changes.

use std::process::Command;

use crate::support::{
    CONTACT, FakeServer, Home, OnTerminal, Reply, Running, TestDatabase, Tmux, WITNESS, World,
    inbound, response, wait_until,
};

/// What texts may try on a terminal.
const HOSTILE: &[(&str, &str)] = &[
    ("clear the screen", "\x1b[2J\x1b[H\x1b[3Jgone"),
    ("reset the terminal", "\x1bc"),
    ("a title", "\x1b]0;owned\x07\x1b]2;owned\x1b\\"),
    ("a window's name", "\x1bkowned\x1b\\"),
    ("the clipboard", "\x1b]52;c;b3duZWQ=\x07"),
    ("a link", "\x1b]8;;https://evil.example\x1b\\bank.example\x1b]8;;\x1b\\"),
    ("another screen", "\x1b[?1049h\x1b[?47h"),
    ("the mouse and the keyboard", "\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1h\x1b="),
    ("a hidden cursor and no wrap", "\x1b[?25l\x1b[?7l\x1b[4h\x1b[?6h"),
    ("a scroll region", "\x1b[1;3r\x1b[10;10H"),
    ("lines above", "\x1b[5Aoverwritten\x1b[5B"),
    ("colours for the rest", "\x1b[31;1;7mred"),
    ("answers typed for the user", "\x1b[6n\x1b[c\x1bP$qm\x1b\\\x05"),
    ("tmux itself", "\x1bPtmux;\x1b\x1b]0;owned\x07\x1b\\"),
    ("its size", "\x1b[8;10;10t\x1b[?3h"),
    ("another alphabet", "\x0e\x1b(0qqq\x1b)0"),
    ("C1 controls", "\u{9b}2J\u{9d}0;owned\u{9c}\u{90}q\u{9c}\u{85}\u{8d}"),
    ("a carriage return", "Balance: 1 000 000\rBalance: 0        "),
    ("backspaces and tabs", "abc\x08\x08\x08xyz\tend\x0b\x0c\x7f"),
    ("a bell", "\x07\x07"),
    ("text from right to left", "\u{202e}gnihton\u{202c} \u{2067}x\u{2069} \u{200f}\u{61c}"),
    ("other line ends", "one\u{2028}two\u{2029}three\u{85}four"),
    ("what cannot be seen", "pay\u{200b}pal\u{feff}\u{2060}\u{ad}\u{34f}\u{3164}\u{180e}"),
    ("tags", "hi\u{e0069}\u{e0067}\u{e006e}\u{e007f}"),
    ("a tower of marks", "z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}"),
    ("variation selectors", "a\u{fe0f}\u{fe00}\u{e0100}b\u{180b}"),
    ("emoji of all kinds", "👍🏽 👩‍👩‍👧‍👦 ❤️ 🇩🇪🇫🇷 1️⃣ 🏴‍☠️ ☺️ ⚡"),
    ("wide and narrow", "日本語 ﾊﾝｶｸ 한국어 ｆｕｌｌ"),
    (
        "a forged screen",
        "ok\n\n+15550000000 · 1 message\n\nMonday, 1 January 2024\n  09:00 ← Pay me",
    ),
];
const COLUMNS: u16 = 78;
/// A contact other than a number, as a webhook may name one.
const NAME: &str = "👍🏽👍🏽\u{202e}ECNANIF";

async fn world() -> World {
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("TERM", "screen-256color").set("LC_ALL", "C.UTF-8")
    });
    let world = world.await;
    for (n, (_, text)) in HOSTILE.iter().enumerate() {
        let contact = format!("+121255512{n:02}");
        let body = inbound(&format!("e{n}"), &format!("m{n}"), &contact, text);
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let body = inbound("e-name", "m-name", NAME, "Hi");
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    world
}

/// What a program prints on a terminal of the same size, line by line.
fn lines(command: Command) -> Vec<String> {
    let shown = OnTerminal::start(command, COLUMNS, 60).wait().out;
    let plain = anstream::adapter::strip_str(&shown).to_string();
    plain.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_shown_and_have_no_effect() {
    let world = world().await;
    let tmux = Tmux::start(&world.home, COLUMNS, 60);
    let before = tmux.state();
    let contacts = (0..HOSTILE.len()).map(|n| format!("+121255512{n:02}"));
    let shows = contacts.map(|contact| vec!["show".to_owned(), contact]);
    for args in std::iter::once(vec!["list".to_owned()]).chain(shows) {
        let command = || world.home.command(&[&args[..], &["--no-pager".to_owned()]].concat());
        let expected = lines(command());
        let (code, rows) = tmux.draw(command());
        // Row for row what was printed: no line was a column too long, or changed another.
        assert_eq!((code, rows), (0, expected), "{args:?}");
        assert_eq!(tmux.state(), before, "{args:?}");
    }
    assert_eq!((tmux.below().as_str(), tmux.clipboard().as_str()), (WITNESS, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_hostile_texts_have_no_effect_and_are_complete() {
    let world = world().await;
    let tmux = Tmux::start(&world.home, COLUMNS, 60);
    let before = tmux.state();
    for (n, (what, text)) in HOSTILE.iter().enumerate() {
        let contact = format!("+121255512{n:02}");
        for format in ["json", "jsonl", "csv"] {
            let command = world.home.command(&["show", &contact, "--format", format]);
            assert_eq!(
                (tmux.draw(command).0, tmux.state()),
                (0, before.clone()),
                "{what} {format}"
            );
        }
        let piped = world.home.command(&["show", &contact]);
        let piped = Running::start(piped, None).wait().silent().out;
        tmux.print(&piped);
        assert_eq!(tmux.draw(world.home.command(&["--version"])).0, 0);
        assert_eq!(tmux.state(), before, "{what} in a pipe");
        let json = world.home.run(&["show", &contact, "--json"]).silent().json();
        assert_eq!(json["messages"][0]["body"], *text, "{what}");
    }
    assert_eq!((tmux.below().as_str(), tmux.clipboard().as_str()), (WITNESS, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_with_hostile_texts_have_no_effect() {
    let evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u202e\\r\\n\\u009b31m";
    let errors = format!(
        r#"{{"errors":[{{"code":"40310","title":"Title {evil}","detail":"Detail {evil}"}}]}}"#
    );
    let telnyx =
        FakeServer::replying(&[Reply::Raw(response("400 Bad Request", "", &errors))]).await;
    let base_url = telnyx.base_url();
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("TELNYX_BASE_URL", base_url).set("TERM", "screen-256color")
    })
    .await;
    for n in 0..2 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), &format!("{NAME}{n}"), "Hi");
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let ids = world.home.run(&["list", "--format", "ids"]).silent().out;
    let common = &ids[..4];
    let tmux = Tmux::start(&world.home, COLUMNS, 40);
    let before = tmux.state();
    let typed = "\x1b]0;owned\x07\x1b[2J\u{202e}\r\u{9b}31m";
    let option = format!("--{typed}");
    let url = world.server.url();
    for (args, code) in [
        (&["send", CONTACT, "Hello"][..], 6),
        (&["send", CONTACT, "Hello", "--server", &url], 6),
        (&["send", typed, "Hello"], 2),
        (&["show", CONTACT], 0),
        (&["show", common], 2),
        (&["show", common, "--server", &url], 2),
        (&["show", typed], 3),
        (&["show", CONTACT, "--before", typed], 2),
        (&["list", &option], 2),
        (&["list", "--format", typed], 2),
        (&["list", "--server", typed], 2),
        (&[typed], 2),
        (&["show", common, "--json"], 2),
    ] {
        let (ended, rows) = tmux.draw(world.home.command(args));
        assert_eq!(ended, code, "{args:?}: {rows:?}");
        assert!(rows.iter().any(|row| !row.is_empty()), "{args:?}");
        assert_eq!(tmux.state(), before, "{args:?}: {rows:?}");
    }
    assert_eq!((tmux.below().as_str(), tmux.clipboard().as_str()), (WITNESS, ""));
}

/// The tests above would see it if a text got through.
#[test]
fn the_terminal_of_these_tests_obeys_escape_sequences() {
    let home = Home::new();
    let tmux = Tmux::start(&home, COLUMNS, 20);
    let before = tmux.state();
    tmux.print("\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[?25l\x1b[?1000h");
    wait_until("the terminal to obey", || {
        let state = tmux.state();
        state != before && state.contains("owned") && tmux.clipboard().contains("owned")
    });
}
