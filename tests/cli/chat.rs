//! `convo chat`, on a real terminal.

use convo::sandbox::Behaviour;
use rustix::process::{Signal, kill_process, test_kill_process};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Home, Server, TestDatabase, Tmux, WITNESS, World, execute, inbound, wait_until,
};

const PROMPT: &str = ">";

/// A chat on a screen of its own, ready to type in. The screen ends before its home.
#[track_caller]
fn enter(world: &World, contact: &str, way: &[&str]) -> (Home, Tmux) {
    let home = Home::new();
    let tmux = Tmux::start(&home, 80, 40);
    tmux.enter(&world.home.command(&[&["chat", contact], way].concat()));
    tmux.wait_for_last(PROMPT);
    (home, tmux)
}

/// Types a line, enters it, and waits until the next one can be typed.
#[track_caller]
fn enter_line(tmux: &Tmux, line: &str) {
    tmux.type_text(line);
    tmux.wait_for_last(&format!("> {line}"));
    tmux.press("Enter");
    tmux.wait_for_last(PROMPT);
}

fn silent() -> &'static str {
    Behaviour::Silent.number()
}

async fn a_line_is_typed_and_sent_while_others_come_in(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    world.home.run(&["send", silent(), "earlier"]).exits(0);
    for (round, way) in [&[][..], &["--server", &url]].into_iter().enumerate() {
        let before = world.offers();
        let (_home, tmux) = enter(&world, silent(), way);
        tmux.wait_for_row("the thread", |row| row.contains("earlier"));
        let state = tmux.state();
        let typed = "Hello w\u{f6}rld \u{65e5}\u{672c}";
        let line = format!("> {typed}");
        tmux.type_text(typed);
        tmux.wait_for_last(&line);
        let id = format!("chat{round}");
        let hostile = "come \u{1b}]0;owned\u{7}\u{1b}[2J in\r";
        world.signer.post_to(world.server.address, inbound(&id, &id, silent(), hostile)).await;
        tmux.wait_for_row("the message", |row| row.contains("come \\u{1b}]0;owned\\u{7}"));
        tmux.wait_for_last(&line);
        assert_eq!(tmux.state(), state);
        // In the middle of the line.
        tmux.press("Home");
        tmux.type_text("Oh, ");
        tmux.resize(50);
        let line = format!("> Oh, {typed}");
        tmux.wait_for_last(&line);
        let id = format!("more{round}");
        world.signer.post_to(world.server.address, inbound(&id, &id, silent(), "more")).await;
        tmux.wait_for_row("the message", |row| row.ends_with("\u{2190} more"));
        tmux.wait_for_last(&line);
        tmux.press("Enter");
        tmux.wait_for_row("its status", |row| row.contains("delivered  Oh, Hello w\u{f6}rld"));
        tmux.wait_for_last(PROMPT);
        tmux.press("C-c");
        assert_eq!(tmux.wait_for_exit(), "0");
        assert_eq!(world.offers(), before + 1);
        assert_eq!(tmux.below(), WITNESS);
        let thread = world.home.run(&["show", silent()]);
        assert!(thread.out.contains(&format!("Oh, {typed}")), "{}", thread.out);
    }
}

async fn several_pasted_lines_are_one_text_after_a_question(db: TestDatabase) {
    let world = World::start(db).await;
    let before = world.offers();
    let (_home, tmux) = enter(&world, silent(), &[]);
    tmux.paste("one\ntwo\u{8}\u{7}\u{1b}]0;owned\u{7}\nthree");
    tmux.wait_for_last("three");
    tmux.press("Enter");
    tmux.wait_for_row("why not", |row| row.contains("contains control characters"));
    tmux.wait_for_last(PROMPT);
    for answer in ["n", "y"] {
        assert_eq!(world.offers(), before);
        tmux.paste("four\nfive");
        tmux.wait_for_last("five");
        tmux.press("Enter");
        tmux.wait_for_last("send these 2 lines as one text? [y/N]");
        tmux.type_text(answer);
        tmux.press("Enter");
        tmux.wait_for_last(PROMPT);
    }
    tmux.wait_for_row("its status", |row| row.contains("delivered  four"));
    assert!(!tmux.state().contains("owned"), "{}", tmux.state());
    assert_eq!(world.offers(), before + 1);
    let thread = world.home.run(&["show", silent(), "--json"]).json();
    assert_eq!(thread["messages"][0]["body"], "four\nfive");
}

async fn only_what_is_meant_to_be_sent_is_sent(db: TestDatabase) {
    let world = World::start(db).await;
    let before = world.offers();
    let (_home, tmux) = enter(&world, silent(), &[]);
    tmux.wait_for_row("that it is empty", |row| row.contains("no messages with"));
    tmux.type_text("half a line");
    tmux.wait_for_last("> half a line");
    tmux.press("C-c");
    tmux.wait_for_last(PROMPT);
    enter_line(&tmux, "/qiut");
    tmux.wait_for_row("what is wrong", |row| row.contains("/qiut is not a command"));
    enter_line(&tmux, "/retry");
    tmux.wait_for_row("what is wrong", |row| row.contains("there is nothing to repeat"));
    enter_line(&tmux, "/help");
    tmux.wait_for_row("the commands", |row| row.contains("//TEXT  send a text"));
    tmux.press("Enter");
    assert_eq!(world.offers(), before);
    enter_line(&tmux, "//slash");
    tmux.wait_for_row("its status", |row| row.contains("delivered  /slash"));
    assert_eq!(world.offers(), before + 1);
    tmux.type_text("/quit");
    tmux.press("Enter");
    assert_eq!(tmux.wait_for_exit(), "0");
}

async fn a_failure_is_told_and_the_chat_goes_on(db: TestDatabase) {
    let world = World::start(db).await;
    let (_home, tmux) = enter(&world, Behaviour::Refused.number(), &[]);
    enter_line(&tmux, "Hello");
    tmux.wait_for_row("the failure", |row| row.contains("not sent: "));
    tmux.wait_for_row("its hint", |row| row.contains("hint: "));
    tmux.wait_for_row("what to do", |row| row.contains("/retry repeats it"));
    let before = world.offers();
    enter_line(&tmux, "/retry");
    crate::support::wait_until("the second attempt", || world.offers() == before + 1);
    tmux.wait_for_last(PROMPT);
    tmux.press("C-d");
    assert_eq!(tmux.wait_for_exit(), "0");
}

async fn a_chat_survives_the_restart_of_its_server(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    let address = world.server.address;
    let (_home, tmux) = enter(&world, silent(), &["--server", &url]);
    let World { home, server, telnyx: _telnyx, signer, .. } = &world;
    server.signal(rustix::process::Signal::TERM);
    // The reason may be a long one, which takes two rows.
    tmux.wait_for_row("that it is gone", |row| row.ends_with("again"));
    enter_line(&tmux, "Hello");
    tmux.wait_for_row("the failure", |row| row.contains("not sent: "));
    tmux.wait_for_row("what to do", |row| row.contains("/retry repeats it"));
    tmux.type_text("half");
    tmux.wait_for_last("> half");
    let _server = Server::start_with(home, &["serve", "--listen", &address.to_string()]);
    signer.post_to(address, inbound("back", "back", silent(), "welcome back")).await;
    tmux.wait_for_row("that it is back", |row| row.contains("back again"));
    tmux.wait_for_row("the message", |row| row.ends_with("\u{2190} welcome back"));
    tmux.wait_for_last("> half");
    tmux.press("C-c");
    tmux.wait_for_last(PROMPT);
    enter_line(&tmux, "/retry");
    tmux.wait_for_row("its status", |row| row.contains("delivered  Hello"));
    tmux.press("C-d");
    assert_eq!(tmux.wait_for_exit(), "0");
    assert_eq!(world.offers(), 1);
}

/// SIGTERM, and the end of its terminal: what is half typed is not sent.
async fn a_signal_ends_a_chat_and_leaves_the_terminal_as_it_was(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for way in [&[][..], &["--server", &url]] {
        let (_home, tmux) = enter(&world, silent(), way);
        let state = tmux.state();
        assert!(!tmux.is_cooked());
        tmux.type_text("half a line");
        tmux.wait_for_last("> half a line");
        kill_process(tmux.program(), Signal::TERM).expect("signalled");
        assert_eq!(tmux.wait_for_exit(), "0");
        assert!(tmux.is_cooked());
        assert_eq!(tmux.state(), state);
        let (_home, tmux) = enter(&world, silent(), way);
        tmux.type_text("half a line");
        tmux.wait_for_last("> half a line");
        let program = tmux.program();
        tmux.hang_up();
        wait_until("the program to end", || test_kill_process(program).is_err());
    }
    assert_eq!(world.offers(), 0);
    world.home.run(&["show", silent()]).exits(3);
}

/// While it was suspended, the feed moved on and what it had not seen was removed.
async fn a_chat_goes_on_after_its_place_in_the_feed_was_removed(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for (round, way) in [&[][..], &["--server", &url]].into_iter().enumerate() {
        let (_home, tmux) = enter(&world, silent(), way);
        let post = async |text: &str| {
            let id = format!("{text}{round}");
            let event = inbound(&id, &id, silent(), text);
            assert_eq!(world.signer.post_to(world.server.address, event).await, "stored");
        };
        post("seen").await;
        tmux.wait_for_row("a message", |row| row.ends_with("\u{2190} seen"));
        // Stopped while it marks the message as read, it would hold SQLite's lock.
        world.wait_for_thread(silent(), |thread| thread["unread_count"] == 0);
        let program = tmux.program();
        kill_process(program, Signal::STOP).expect("signalled");
        for text in ["missed", "kept"] {
            post(text).await;
        }
        let trim = "DELETE FROM feed WHERE position < (SELECT max(position) FROM feed)";
        execute(&world.db.url, trim).await;
        kill_process(program, Signal::CONT).expect("signalled");
        tmux.wait_for_row("that it is expired", |row| row.contains("the cursor has expired"));
        tmux.wait_for_row("what that means", |row| row.contains("new ones are shown again"));
        post("news").await;
        tmux.wait_for_row("a message", |row| row.ends_with("\u{2190} news"));
        enter_line(&tmux, "Hello");
        tmux.wait_for_row("its status", |row| row.contains("delivered  Hello"));
        tmux.press("C-d");
        assert_eq!(tmux.wait_for_exit(), "0");
    }
}

on_both_databases!(
    a_signal_ends_a_chat_and_leaves_the_terminal_as_it_was,
    a_chat_goes_on_after_its_place_in_the_feed_was_removed,
    a_line_is_typed_and_sent_while_others_come_in,
    several_pasted_lines_are_one_text_after_a_question,
    only_what_is_meant_to_be_sent_is_sent,
    a_failure_is_told_and_the_chat_goes_on,
    a_chat_survives_the_restart_of_its_server,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_needs_a_terminal_and_a_contact() {
    let home = Home::new();
    home.run(&["chat", CONTACT]).exits(2).reports("convo chat needs a terminal");
    let tmux = Tmux::start(&home, 80, 24);
    tmux.enter(&home.command(&["chat", "2125551234"]));
    tmux.wait_for_row("what is wrong", |row| row.contains("country code"));
    assert_eq!(tmux.wait_for_exit(), "2");
}
