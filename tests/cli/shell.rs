//! The habits of shells: loops, pipes, substitutions, closed and full outputs.

use std::os::unix::fs::PermissionsExt;

use crate::support::{
    CONTACT, FakeServer, Home, OWN, Reply, Running, TestDatabase, World, inbound, is_id,
};

/// A home whose sends are all accepted.
async fn sender() -> (Home, FakeServer) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    (home, telnyx)
}

/// The texts that Telnyx was asked to send, in order.
fn texts(telnyx: &FakeServer) -> Vec<String> {
    let text = |body: serde_json::Value| body["text"].as_str().unwrap_or_default().to_owned();
    telnyx.requests().iter().map(|request| text(request.json())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn send_in_a_loop_does_not_consume_its_input() {
    let (home, telnyx) = sender().await;
    home.write("numbers", "+12125550001\n+12125550002\n+12125550003\n");
    let read = r#"while read -r n; do convo send "$n" "to $n" 2>/dev/null; done < numbers"#;
    let done = home.script(read).exits(0);
    assert_eq!(done.out.lines().filter(|line| is_id(line)).count(), 3, "{}", done.out);
    assert_eq!(texts(&telnyx), ["to +12125550001", "to +12125550002", "to +12125550003"]);
    // Nothing is read even where the input never ends.
    home.script("mkfifo open && exec 3<>open && convo send +12125550001 Hi <&3").exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_from_a_pipe_loses_one_newline() {
    let (home, telnyx) = sender().await;
    let pipes = [
        ("printf 'Hi'", "Hi"),
        ("echo Hi", "Hi"),
        ("printf 'Hi\\r\\n'", "Hi"),
        ("printf 'Hi\\n\\n'", "Hi\n"),
        ("printf ' a\\nb '", " a\nb "),
        ("printf 'caf\\xc3\\xa9 \\xf0\\x9f\\x98\\x80'", "café 😀"),
    ];
    for (pipe, _) in pipes {
        home.script(&format!("set -o pipefail; {pipe} | convo send {CONTACT}")).exits(0);
    }
    assert_eq!(texts(&telnyx), pipes.map(|(_, text)| text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_may_look_like_an_option() {
    let (home, telnyx) = sender().await;
    for (words, text) in [
        ("-1", "-1"),
        ("'- milk\n- eggs'", "- milk\n- eggs"),
        ("-- --json", "--json"),
        ("'--hello you'", "--hello you"),
        ("-x", "-x"),
        ("'$HOME `id` \\'", "$HOME `id` \\"),
    ] {
        let done = home.script(&format!("convo send {CONTACT} {words}")).exits(0);
        assert!(is_id(done.line()), "{words}");
        assert_eq!(texts(&telnyx).pop().as_deref(), Some(text), "{words}");
    }
    let sent = texts(&telnyx).len();
    home.script(&format!("convo send {CONTACT} --jsn"))
        .exits(2)
        .reports("not an option of convo send");
    home.script(&format!("convo send -- -1 {CONTACT}")).exits(2);
    assert_eq!(texts(&telnyx).len(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_can_be_piped_between_commands() {
    let (home, _telnyx) = sender().await;
    let done = home.script("id=$(convo send +12125551234 Hello 2>/dev/null) && echo \"<$id>\"");
    let line = done.exits(0).line().to_owned();
    assert!(is_id(line.trim_matches(['<', '>'])), "{line}");
    home.run(&["send", "+442079460958", "Hello"]).exits(0);
    let all = home.script("set -e; convo list --format ids | xargs -n1 convo show").silent();
    assert_eq!(all.out.lines().count(), 2, "{}", all.out);
    let cut = "convo list | cut -f2 | xargs -n1 convo show --format ids";
    assert_eq!(home.script(cut).silent().out.lines().filter(|line| is_id(line)).count(), 2);
}

/// A world with more to print than any pipe holds.
async fn much() -> World {
    let world = World::start(TestDatabase::sqlite()).await;
    let text = "x".repeat(1_000);
    for round in 0..10 {
        let posts = (round * 30..round * 30 + 30).map(|n| {
            let from = if n < 150 { CONTACT.to_owned() } else { format!("+1212556{n:04}") };
            let body = inbound(&format!("e{n}"), &format!("m{n}"), &from, &text);
            world.signer.post(&world.server, body)
        });
        futures_util::future::join_all(posts).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
    let world = much().await;
    let url = world.server.url();
    for server in ["", &format!("--server {url}")] {
        for form in ["", "--format table", "--json", "--format csv", "--format ids"] {
            for command in ["list", "show +12125551234"] {
                let line = format!("convo {server} {command} {form}");
                let done = world.home.script(&format!("{line} | head -1; exit ${{PIPESTATUS[0]}}"));
                assert_eq!(done.silent().out.lines().count(), 1, "{line}");
                let full = world.home.script(&format!("{line} > /dev/full")).exits(1);
                let reported = full.err.contains("cannot write to standard output: No space left");
                assert!(reported, "{line}: {}", full.err);
            }
        }
    }
    // A closed output is nobody's fault, and nothing of it lands in the database.
    world.home.script("convo list >&-").silent();
    world.home.script("convo list >&- 2>&- <&-").silent();
    world.home.script("convo show nobody 2>&-").exits(3);
    world.home.script("convo show nobody 2>/dev/full").exits(3);
    world
        .home
        .script("convo --help > /dev/full")
        .exits(1)
        .reports("cannot write to standard output");
    world.home.script("convo --version > /dev/full").exits(1);
    world.home.script("convo --help | true").exits(0);
    assert_eq!(world.wait_until_counted(), 151);
}

/// Another program may have made the terminal or the pipe that it shares with convo non-blocking.
fn make_non_blocking(stream: &impl std::os::fd::AsFd) {
    let flags = rustix::fs::fcntl_getfl(stream).expect("flags");
    rustix::fs::fcntl_setfl(stream, flags | rustix::fs::OFlags::NONBLOCK).expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_non_blocking_are_waited_for() {
    let world = much().await;
    let expected = world.home.run(&["show", CONTACT]).silent().out;
    assert!(expected.len() > 100_000, "more than a pipe holds");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    make_non_blocking(&writer);
    let mut command = world.home.command(&["show", CONTACT]);
    command.stdout(writer);
    let running = Running::start_with_output(command);
    running.wait_until_idle();
    let reading = std::thread::spawn(move || {
        let mut out = String::new();
        std::io::Read::read_to_string(&mut reader, &mut out).expect("UTF-8");
        out
    });
    running.wait().silent();
    assert_eq!(reading.join().expect("read"), expected);

    let (home, telnyx) = sender().await;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    make_non_blocking(&reader);
    let mut command = home.command(&["send", CONTACT]);
    command.stdin(reader);
    let running = Running::start(command, None);
    running.wait_until_idle();
    std::io::Write::write_all(&mut writer, b"Hi\n").expect("written");
    drop(writer);
    running.wait().exits(0);
    assert_eq!(texts(&telnyx), ["Hi"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_cannot_print_its_id_reports_it() {
    let (home, telnyx) = sender().await;
    let done = home.script("convo send +12125551234 Hello > /dev/full").exits(1);
    assert!(done.err.contains("the message was accepted nevertheless"), "{}", done.err);
    let id = done.err.trim_end().rsplit(' ').next().expect("an id");
    assert!(is_id(id), "{}", done.err);
    home.script("convo send +12125551234 Hello | true").exits(0);
    home.script("convo send +12125551234 Hello >&- 2>&-").exits(0);
    assert_eq!(texts(&telnyx).len(), 3);
    let thread = home.run(&["show", CONTACT, "--format", "ids"]).silent();
    assert_eq!(thread.out.lines().count(), 3);
    assert!(thread.out.contains(id));
}

#[test]
fn an_unwritable_directory_is_reported() {
    let home = Home::new().set("TELNYX_API_KEY", "KEY").set("TELNYX_PHONE_NUMBER", OWN);
    let closed = home.write("closed/keep", "");
    let directory = closed.parent().expect("a directory");
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o500)).expect("closed");
    if rustix::process::geteuid().is_root() {
        println!("not tested as root: a directory without the right to write");
        return;
    }
    let done = home.script("cd closed && convo send +12125551234 Hi");
    done.exits(4).reports("cannot create a database at");
}
