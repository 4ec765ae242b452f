//! How the screens look, at several widths, in colour and without, here and against a server.
//!
//! The looks are kept in `tests/cli/looks/`. `CONVO_TEST_BLESS=1` writes them anew, to be read
//! before they are committed.

use std::path::Path;

use convo::domain::{Status, Timestamp};
use convo::sandbox::Behaviour;

use crate::support::{CONTACT, Done, Home, OWN, OnTerminal, TestDatabase, World, execute, is_id};

const WIDTHS: [u16; 5] = [40, 60, 80, 120, 250];
/// A clock two hours ahead of UTC in summer, known without a file.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Asserts that a screen looks as it is kept.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "a variable says that the looks are to be written")]
fn looks(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/looks/{name}.txt"));
    if std::env::var_os("CONVO_TEST_BLESS").is_some() {
        std::fs::write(&path, shown).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("a kept look");
    assert!(shown == kept, "{name} looks different:\n{shown}\n--- kept ---\n{kept}");
}

/// Runs a command on a terminal, here and against the server, which must make no other difference.
#[track_caller]
fn both(world: &World, columns: u16, args: &[&str]) -> Done {
    let url = world.server.url();
    let remote: Vec<_> = args.iter().copied().chain(["--server", &url]).collect();
    let here = world.home.on_terminal(columns, args);
    let there = world.home.on_terminal(columns, &remote).without_server(&url);
    assert_eq!(here.bytes(), there.bytes(), "{args:?}");
    here
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn micros(time: &str) -> i64 {
    Timestamp::parse(time).expect("a time").as_micros()
}

/// The row of a thread.
fn thread(n: u32, contact: &str, messages: u32, last: &str, opted_out: Option<&str>) -> String {
    let (last, contact) = (micros(last), quoted(contact));
    let stop = opted_out.map(|at| format!("{}, '{OWN}'", micros(at)));
    let stop = stop.unwrap_or_else(|| "NULL, NULL".to_owned());
    format!(
        "INSERT INTO opt_outs (contact_number, opted_out_at, opted_out_number) \
         VALUES ({contact}, {stop}); INSERT INTO conversations (key, id, contact_number, message_count, last_message_at, created_at, \
         opted_out_at, opted_out_number) VALUES ({n}, x'018900000000700080000000e6f7{n:04x}', \
         {contact}, {messages}, {last}, {last}, {stop})"
    )
}

/// One message of a thread; `more` are further columns with their values.
struct Message<'a> {
    thread: u32,
    id: u32,
    at: &'a str,
    inbound: bool,
    contact: &'a str,
    own: &'a str,
    body: &'a str,
    status: Status,
    more: &'a [(&'a str, &'a str)],
}

impl Message<'_> {
    fn row(&self) -> String {
        let (from, to) =
            if self.inbound { (self.contact, self.own) } else { (self.own, self.contact) };
        let columns: String = self.more.iter().map(|(name, _)| format!(", {name}")).collect();
        let values: String =
            self.more.iter().map(|(_, text)| format!(", {}", quoted(text))).collect();
        let Self { thread, id, status, .. } = self;
        let way = if self.inbound { 0 } else { 1 };
        let (rank, at, body) = (status.rank(), micros(self.at), quoted(self.body));
        format!(
            "INSERT INTO messages (id, conversation_key, direction, from_number, to_number, body, \
             status_rank, created_at{columns}) VALUES \
             (x'01890000000070008000{id:012x}', {thread}, \
             {way}, {}, {}, {body}, {rank}, {at}{values})",
            quoted(from),
            quoted(to),
        )
    }
}

fn error(code: &str, title: &str, detail: &str) -> String {
    serde_json::json!({ "code": code, "title": title, "detail": detail }).to_string()
}

/// A thread with everything that a chat may show, and some whose last message is worth a look.
fn rows() -> Vec<String> {
    let two = [("segments", "2")];
    let (carrier, gone) = (
        error("40008", "Undeliverable", "The recipient's carrier did not accept the message."),
        error("40014", "Message expired in queue", "Its validity period expired."),
    );
    let (carrier, gone) = ([("error", carrier.as_str())], [("error", gone.as_str())]);
    let photo = "[{\"url\":\"https://media.telnyx.com/a/path/that/goes/on/and/on/photo.jpeg\",\
                 \"content_type\":\"image/jpeg\",\"size\":48213}]";
    let photo = [("media", photo), ("subject", "The invoice")];
    let group = [("cc", "[\"+13125550003\",\"+13125550004\"]")];
    let later = micros("2024-06-21T07:00:00Z").to_string();
    let later = [("send_at", later.as_str())];
    let chat = |id, at, inbound, body, status, more| {
        let own = if id < 9 { OWN } else { "+15557654321" };
        Message { thread: 1, id, at, inbound, contact: CONTACT, own, body, status, more }.row()
    };
    let last = |thread, contact, at, inbound, body, status| {
        Message {
            thread,
            id: 100 + thread,
            at,
            inbound,
            contact,
            own: OWN,
            body,
            status,
            more: &[],
        }
        .row()
    };
    use Status as S;
    vec![
        thread(1, CONTACT, 11, "2024-06-20T09:30:00Z", None),
        thread(2, "+4930901820", 2, "2024-06-19T10:00:00Z", None),
        thread(3, "72975", 1, "2024-06-18T10:00:00Z", None),
        thread(4, "+447700900123", 3, "2024-06-17T10:00:00Z", Some("2024-06-17T10:00:00Z")),
        thread(5, "ACME Parcels", 1_234, "2024-06-16T10:00:00Z", None),
        thread(6, "+12025550110", 1, "2023-12-24T10:00:00Z", None),
        chat(
            1,
            "2024-06-18T12:29:00Z",
            true,
            "Hi, is anyone there?\nI have a question.",
            S::Received,
            &[],
        ),
        chat(
            2,
            "2024-06-18T12:31:00Z",
            false,
            "Hello from Telnyx! Yes, we are here every day from nine to five, and glad to help with your invoice.",
            S::Delivered,
            &two,
        ),
        chat(3, "2024-06-18T22:05:00Z", false, "Are you still there?", S::DeliveryFailed, &carrier),
        chat(4, "2024-06-19T07:06:00Z", true, "", S::Received, &photo),
        chat(
            5,
            "2024-06-19T07:07:00Z",
            false,
            "请问您的发票号码是多少？我们会尽快为您处理这个问题，谢谢您的耐心等待。",
            S::Sent,
            &[],
        ),
        chat(6, "2024-06-19T07:08:00Z", true, "👍🏽 👩‍👩‍👧 ❤️ 🇩🇪🇫🇷 cafe\u{301}", S::Received, &[]),
        chat(
            7,
            "2024-06-19T07:09:00Z",
            true,
            "\x1b]0;owned\x07\x1b[2Jred \u{202e}txet\u{202c} a\tb\rc",
            S::Received,
            &group,
        ),
        chat(8, "2024-06-19T07:10:00Z", false, "Thanks", S::Unknown, &[]),
        chat(9, "2024-06-20T09:28:00Z", false, "See you tomorrow", S::Scheduled, &later),
        chat(10, "2024-06-20T09:29:00Z", false, "Too late", S::SendingFailed, &gone),
        chat(
            11,
            "2024-06-20T09:30:00Z",
            true,
            "Thank you, that is all that I wanted to know for today",
            S::Received,
            &[],
        ),
        last(
            2,
            "+4930901820",
            "2024-06-19T10:00:00Z",
            false,
            "日本語のテキストはとても長いので切られます。そしてまだ続きます。",
            S::Delivered,
        ),
        last(3, "72975", "2024-06-18T10:00:00Z", false, "Yes please", S::DeliveryFailed),
        last(4, "+447700900123", "2024-06-17T10:00:00Z", true, "STOP", S::Received),
        last(
            5,
            "ACME Parcels",
            "2024-06-16T10:00:00Z",
            true,
            "Your parcel 👍🏽👍🏽👍🏽👍🏽👍🏽👍🏽👍🏽👍🏽 is on its way to you\nand more",
            S::Received,
        ),
        last(6, "+12025550110", "2023-12-24T10:00:00Z", false, "Did you get this?", S::Unknown),
    ]
}

async fn world() -> World {
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("TZ", ZONE).set("TERM", "xterm-256color").set("CONVO_SEND_TIMEOUT", "1")
    });
    let world = world.await;
    execute(&world.db.url, &rows().join(";\n")).await;
    world
}

/// A line that is meant to be followed or pasted, and so is never broken.
fn is_whole(line: &str) -> bool {
    ["https://", "convo "].iter().any(|start| line.trim_start().starts_with(start))
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_chats_fit_every_width_with_and_without_colour() {
    let world = world().await;
    for (name, args) in [("list", &["list"][..]), ("show", &["show", CONTACT])] {
        for columns in WIDTHS {
            let with = |more: &[&str]| {
                let args = [args, &["--no-pager"], more].concat();
                both(&world, columns, &args).silent().out
            };
            let plain = with(&["--color", "never"]);
            looks(&format!("{name}-{columns}"), &plain);
            for line in plain.lines().filter(|line| !is_whole(line)) {
                let width = convo::output::width::columns(line);
                assert!(width <= usize::from(columns), "{width} > {columns}: {line}");
            }
            let colored = with(&[]);
            assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
            if columns == 80 {
                looks(&format!("{name}-80-color"), &colored.replace('\x1b', "\\e"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_pages_backwards() {
    let world = world().await;
    let args = ["show", CONTACT, "--limit", "2", "--no-pager", "--color", "never"];
    let newest = both(&world, 80, &args).silent().out;
    looks("show-80-limit", &newest);
    let command = newest.lines().find_map(|line| line.trim().strip_prefix("convo ")).expect("one");
    let pasted: Vec<_> = command.split(' ').chain(["--no-pager", "--color", "never"]).collect();
    looks("show-80-before", &both(&world, 80, &pasted).silent().out);
    // A time is read on the clock that is shown: 00:05 on the wall is 22:05 in UTC.
    for (before, utc, last) in [
        ("2024-06-19", &[][..], 2),
        ("2024-06-19", &["--utc"], 3),
        ("2024-06-18T22:05:00Z", &[], 2),
        ("2024-06-18T22:05:00.000001Z", &[], 3),
    ] {
        let args = ["show", CONTACT, "--format", "ids", "--before", before];
        let ids = both(&world, 80, &[&args, utc].concat()).silent().out;
        let expected: String =
            (1..=last).map(|id| format!("01890000-0000-7000-8000-{id:012x}\n")).collect();
        assert_eq!(ids, expected, "{before}");
    }
    let elsewhere = "01890000-0000-7000-8000-000000000066";
    both(&world, 80, &["show", CONTACT, "--before", elsewhere])
        .exits(3)
        .reports("Message not found");
    both(&world, 80, &["show", CONTACT, "--before", "soon"])
        .exits(2)
        .reports("invalid value 'soon'");
}

#[tokio::test(flavor = "multi_thread")]
async fn dumb_terminals_and_utc_are_supported() {
    let world = world().await;
    looks(
        "show-80-utc",
        &both(&world, 80, &["show", "e6f70001", "--utc", "--no-pager", "--color", "never"])
            .silent()
            .out,
    );
    let stopped = ["show", "+447700900123", "--no-pager", "--color", "never"];
    looks("show-60-stopped", &both(&world, 60, &stopped).silent().out);
    let dumb = |args: &[&str]| {
        let mut command = world.home.command(args);
        command.env("TERM", "dumb").env("CONVO_PAGER", "false");
        OnTerminal::start(command, 80, 10).wait().silent().out
    };
    let (list, show) = (dumb(&["list"]), dumb(&["show", "72975"]));
    assert!(!list.contains('\x1b') && !show.contains('\x1b'));
    looks("dumb-80", &format!("{list}\n{show}"));
    // What a pipe gets does not depend on the terminal or its clock.
    let piped = world.home.run(&["show", CONTACT]).silent().out;
    assert_eq!(piped, world.home.run(&["show", CONTACT, "--utc"]).silent().out);
    assert!(piped.starts_with("2024-06-18T12:29:00.000000Z\tinbound\t"), "{piped}");
}

/// Ids differ from run to run, and so does the server's port.
fn without_ids(text: &str) -> String {
    let word = |word: &str| {
        let at = word.find(|c: char| c.is_ascii_hexdigit());
        match at.and_then(|at| word.get(at..at + 36)).filter(|id| is_id(id)) {
            Some(id) => word.replace(id, "<id>"),
            None => word.to_owned(),
        }
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

/// The words of a shell-like line.
fn words(line: &str) -> Vec<String> {
    shlex::split(line).expect("a good line")
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_and_failures_read_the_same_locally_and_remotely() {
    let world = world().await;
    let (refused, lost) = (Behaviour::Refused.number(), Behaviour::Vanished.number());
    let mut transcript = String::new();
    for line in [
        "list --no-such",
        "list --limt 3",
        "sned +12125551234 Hello",
        "lsit",
        "show",
        "show +12125550000",
        "show e6f7",
        "show 01890000",
        "show +12125551234 --before tomorrow",
        "list --server localhost:5000",
        "send +12125551234",
        "send 2125551234 Hello",
        "send +12125551234 Hello --dry-run",
        "send +447700900123 Hello",
        &format!("send {refused} Hello"),
        &format!("send {lost} Hello"),
        "retry 01890000-0000-7000-8000-000000000002",
    ] {
        let args = words(line);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let url = world.server.url();
        let here = world.home.run(&args);
        let there = match line.contains("--server") {
            true => here.clone(),
            false => {
                let remote = world.home.run(&[&args[..], &["--server", &url]].concat());
                remote.without_server(&url)
            }
        };
        let shown = |done: &Done| without_ids(&format!("{}{}", done.err, done.out));
        assert_eq!((here.code, shown(&here)), (there.code, shown(&there)), "{line}");
        transcript += &format!("$ convo {line}\n{}[{}]\n\n", shown(&here), here.code);
    }
    for (name, missing) in [("no key", "TELNYX_API_KEY"), ("no number", "TELNYX_PHONE_NUMBER")] {
        let home = world.home.without(missing);
        let done = home.run(&["send", CONTACT, "Hello"]);
        transcript += &format!(
            "# {name}\n$ convo send {CONTACT} Hello\n{}[{}]\n\n",
            without_ids(&done.err),
            done.code
        );
    }
    let done = Home::new().run(&["list"]);
    let place = without_directory(&done.err);
    transcript += &format!("# no database\n$ convo list\n{place}[{}]\n", done.code);
    looks("transcript", &transcript);
}

/// The text without the directory that it names, which is another one each time.
fn without_directory(text: &str) -> String {
    let word = |word: &str| match word.find("/tmp/") {
        Some(at) => format!("{}<dir>/{}", &word[..at], word.rsplit('/').next().unwrap_or_default()),
        None => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
