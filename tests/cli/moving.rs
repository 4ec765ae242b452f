//! `convo export` and `convo import`: nothing is lost on the way.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, QueryResult, Statement};
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, FakeServer, Home, Reply, TestDatabase, World, connect, example, execute,
    inbound, opt, query_one, wait_until,
};

const TABLES: [&str; 6] =
    ["conversations", "messages", "delivery_reports", "events", "opt_outs", "merged_messages"];
const STRANGER: &str = "+12025550110";

/// A database in which there is something of everything.
async fn full(db: TestDatabase) -> World {
    let world = World::start(db).await;
    for name in ["inbound_sms", "inbound_mms", "inbound_group_mms", "finalized_failed"] {
        world.signer.post(&world.server, example(name)).await;
    }
    let id = world.home.run(&["send", CONTACT, "Hällo 😀\n\t\\\u{202e}"]).exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &id, "delivered");
    world.home.run(&["send", "+12125550002", "please say STOP"]).exits(0);
    world.wait_for_thread("+12125550002", |thread| !thread["opted_out_at"].is_null());
    let strange = "\u{0} \u{feff} \u{202e}'; DROP TABLE messages; --";
    let body = inbound("strange", "strange", "someone@example.com", strange);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    for (n, word) in ["STOP", "START"].iter().enumerate() {
        let body = opt(&format!("opt-{n}"), &format!("opt-m{n}"), "+12125550003", word);
        world.signer.post(&world.server, body).await;
    }
    world.wait_until_counted();
    let (uuid, bytes) = match db_kind(&world.db.url) {
        DatabaseBackend::Sqlite => ("randomblob(16)", "randomblob(30)"),
        _ => ("gen_random_uuid()", "'\\x00ff'::bytea"),
    };
    let rows = [
        format!("INSERT INTO merged_messages SELECT {uuid}, id FROM messages WHERE body LIKE 'H%'"),
        format!(
            // It waits from a time that is still to come: the server does not settle it meanwhile.
            "INSERT INTO delivery_reports (telnyx_message_id, event_id, recipient, status, \
             occurred_at, waiting_since) VALUES ({bytes}, {bytes}, '', 'odd', 5, 9000000000000000)"
        ),
        "UPDATE messages SET in_reply_to = id, subject = 'S', refusal = \
         '{\"error\":\"no\",\"code\":\"telnyx_refused\"}', repeats_left = 1 WHERE body LIKE 'H%'"
            .to_owned(),
    ];
    // Nothing of Telnyx's id is text here, so it must be one behind the prefix.
    let rows = rows.map(|row| row.replace("randomblob(30)", "CAST('not a UUID: text x' AS BLOB)"));
    let rows = rows.map(|row| row.replace("'\\x00ff'::bytea", "'not a UUID: text x'::bytea"));
    for row in rows {
        execute(&world.db.url, &row).await;
    }
    world
}

fn db_kind(url: &str) -> DatabaseBackend {
    if url.starts_with("sqlite") { DatabaseBackend::Sqlite } else { DatabaseBackend::Postgres }
}

/// Every field of every row of a table, in an order of their own, alike for both databases. Keys that only
/// count are left out, and what is unread: nothing that an import brings is.
async fn rows(db: &DatabaseConnection, table: &str) -> Vec<BTreeMap<String, Option<String>>> {
    let backend = db.get_database_backend();
    let columns = match backend {
        DatabaseBackend::Sqlite => {
            format!("SELECT name, lower(type) FROM pragma_table_info('{table}')")
        }
        _ => format!(
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_name = '{table}' AND table_schema = current_schema()"
        ),
    };
    let columns =
        db.query_all_raw(Statement::from_string(backend, columns)).await.expect("columns");
    let text = |row: &QueryResult, at| row.try_get_by_index::<String>(at).expect("a text");
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in &columns {
        let (name, kind) = (text(column, 0), text(column, 1));
        let value = match (name.as_str(), kind.contains("blob"), kind.as_str()) {
            ("key" | "arrived" | "read_up_to" | "unread_count" | "arrival", ..) => continue,
            ("conversation_key", ..) => {
                "(SELECT contact_number FROM conversations c WHERE c.key = conversation_key)".into()
            }
            (_, true, _) => format!("lower(hex({name}))"),
            (_, _, "bytea") => format!("coalesce(encode({name}, 'hex'), '')"),
            (_, _, "uuid") => format!("coalesce(replace({name}::text, '-', ''), '')"),
            _ => format!("CAST({name} AS text)"),
        };
        names.push(name);
        values.push(value);
    }
    let sql = format!("SELECT {} FROM {table}", values.join(", "));
    let found = db.query_all_raw(Statement::from_string(backend, sql)).await.expect("rows");
    let row = |row: &QueryResult| {
        let value = |at| row.try_get_by_index::<Option<String>>(at).expect("a text");
        names.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect()
    };
    let mut rows: Vec<BTreeMap<_, _>> = found.iter().map(row).collect();
    rows.sort();
    rows
}

async fn assert_same_rows(one: &str, other: &str) {
    let (one, other) = (connect(one).await, connect(other).await);
    for table in TABLES {
        let found = rows(&one, table).await;
        assert!(!found.is_empty(), "{table} is empty");
        assert_eq!(found, rows(&other, table).await, "{table}");
    }
}

fn on(world: &World, url: &str, args: &[&str]) -> Done {
    world.home.run_with(&[("DATABASE_URL", url)], args)
}

async fn other_kind(url: &str) -> TestDatabase {
    match db_kind(url) {
        DatabaseBackend::Sqlite => {
            let db = TestDatabase::postgres().await;
            Home::new().with_database(&db).run(&["migrate"]).exits(0);
            db
        }
        _ => TestDatabase::sqlite(),
    }
}

async fn number(url: &str, sql: &str) -> i64 {
    query_one(&connect(url).await, sql).await
}

fn count(done: &Done, kind: &str) -> (u64, u64) {
    let row = done.out.lines().find(|row| row.starts_with(&format!("{kind}\t"))).expect(kind);
    let mut numbers = row.split('\t').skip(1).map(|number| number.parse().expect("a number"));
    (numbers.next().expect("new"), numbers.next().expect("known"))
}

async fn a_round_trip_over_both_databases_loses_nothing(db: TestDatabase) {
    let world = full(db).await;
    // It would settle the odd report, and hear of answers, while two databases are compared.
    let address = world.server.address;
    world.server.signal(Signal::KILL);
    wait_until("the end of the server", || std::net::TcpStream::connect(address).is_err());
    let out = world.home.file("all.jsonl");
    let path = out.to_str().expect("UTF-8");
    world.home.run(&["export", "--raw", "--out", path]).silent();
    let mode = out.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let there = other_kind(&world.db.url).await;
    let imported = on(&world, &there.url, &["import", path]).exits(0);
    assert!(
        count(&imported, "messages").0 > 5 && imported.err.contains("imported "),
        "{imported:?}"
    );
    assert_same_rows(&world.db.url, &there.url).await;
    // And back, into the kind that it came from.
    let exported = on(&world, &there.url, &["export", "--raw"]).silent().out;
    assert_eq!(exported, std::fs::read_to_string(&out).expect("an export"));
    let back = other_kind(&there.url).await;
    let command = world.home.write("back.jsonl", &exported);
    on(&world, &back.url, &["import", command.to_str().expect("UTF-8")]).exits(0);
    assert_same_rows(&world.db.url, &back.url).await;
    // Nothing of it is in the feed.
    let entries = "SELECT CAST(count(*) AS bigint) FROM feed WHERE kind > 0";
    assert_eq!(number(&back.url, entries).await, 0);
    // The same again changes nothing.
    for kind in ["--dry-run", "--local"] {
        let again = on(&world, &back.url, &["import", path, kind]).exits(0);
        for row in again.out.lines() {
            assert!(row.contains("\t0\t"), "{row}");
        }
    }
    assert_same_rows(&world.db.url, &back.url).await;
}

async fn an_export_is_the_same_here_and_there(db: TestDatabase) {
    let world = full(db).await;
    for args in [
        &["export", "--raw"][..],
        &["export", "--contact", CONTACT, "--raw"],
        &["export", "--since", "2026-06-01", "--until", "2h"],
        &["export", "--format", "csv"],
        &["export", "--format", "text", "--utc"],
        &["export", "--contact", STRANGER, "--json"],
    ] {
        super::same_bytes::same(&world, args);
    }
    let text = world.home.run(&["export", "--format", "text", "--contact", CONTACT]).silent().out;
    assert!(text.starts_with(&format!("Conversation with {CONTACT}\n")), "{text}");
    assert!(text.contains("Hällo 😀\n") && text.contains("(delivered)"), "{text}");
    assert!(!text.contains('\u{202e}'), "{text}");
    let csv = world.home.run(&["export", "--format", "csv"]).silent().out;
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let rows = csv.records().filter(Result::is_ok).count();
    let messages = "SELECT CAST(count(*) AS bigint) FROM messages";
    assert_eq!(i64::try_from(rows).expect("few"), number(&world.db.url, messages).await);
    let of_contact = world.home.run(&["export", "--contact", CONTACT, "--raw"]).silent().out;
    let lines: Vec<Value> =
        of_contact.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        let contact = line["contact_number"].as_str().unwrap_or(CONTACT);
        assert_eq!(contact, CONTACT);
    }
    for kind in ["conversation", "message", "event", "merged", "end"] {
        assert!(lines.iter().any(|line| line["type"] == kind), "{kind}: {of_contact}");
    }
    world.home.run(&["export", "--contact", "+19995550000"]).exits(3);
    world.home.run(&["export", "--raw", "--format", "csv"]).exits(2);
    let taken = world.home.write("taken", "mine");
    world.home.run(&["export", "--out", taken.to_str().expect("UTF-8")]).exits(2);
    assert_eq!(std::fs::read_to_string(taken).expect("it is there"), "mine");
}

/// Nothing that a server sends controls the terminal; a pipe gets it as it came.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_a_server_does_not_control_the_terminal() {
    let hostile =
        "{\"type\":\"convo_export\",\"note\":\"\u{1b}[2J\u{202e}\"}\n{\"type\":\"end\"}\n";
    let length = hostile.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n";
    let answer = Reply::Raw(format!("{head}content-length: {length}\r\n\r\n{hostile}"));
    let server = FakeServer::replying(&[answer]).await;
    let home = Home::new();
    let url = server.url();
    let args = ["export", "--server", &url];
    assert_eq!(home.run(&args).silent().out, hostile);
    let shown = home.on_terminal(120, &args).exits(0).out;
    assert!(shown.contains("convo_export") && !shown.contains("\u{1b}[2J"), "{shown:?}");
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
}

/// A server looks at earlier messages once more, for media of those that an import brings.
async fn media_of_imported_messages_are_looked_for(db: TestDatabase) {
    let world = full(db).await;
    let export = world.home.run(&["export"]).silent().out;
    let target = TestDatabase::sqlite();
    let home = Home::new().with_database(&target);
    home.run(&["migrate"]).exits(0);
    let looked = "INSERT INTO media_progress (id, position, nonce, walked) VALUES (1, 1, 0, 1)";
    execute(&target.url, looked).await;
    home.write("all.jsonl", export);
    home.run(&["import", "all.jsonl"]).exits(0);
    let walked = "SELECT CAST(walked AS bigint) FROM media_progress";
    assert_eq!(query_one::<i64>(&connect(&target.url).await, walked).await, 0);
}

async fn an_import_joins_what_is_there(db: TestDatabase) {
    let world = full(db).await;
    let export = world.home.run(&["export", "--contact", CONTACT]).silent().out;
    let find = |kind: &str| {
        let mut lines =
            export.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find(|line| line["type"] == kind).expect(kind)
    };
    let (header, known) = (find("convo_export"), find("message"));
    let message = |changes: &[(&str, Value)]| {
        let mut message = find("message");
        message["reports"] = Value::Array(Vec::new());
        for (field, value) in changes {
            message[field] = value.clone();
        }
        message
    };
    let other = "11111111-2222-4333-8444-555555555555";
    let lines = [
        header,
        // Telnyx's id is known, under another id of ours.
        message(&[("id", other.into()), ("conversation_id", other.into())]),
        // The id is known, of another message.
        message(&[
            ("telnyx_message_id", "another".into()),
            ("body", "elsewhere\u{0}".into()),
            ("conversation_id", other.into()),
        ]),
        serde_json::json!({"type": "opt_out", "contact_number": "+12125550002",
            "decided_at": "2020-01-01T00:00:00Z"}),
        serde_json::json!({"type": "end", "lines": 4}),
    ];
    let file: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let head = "SELECT max(position) FROM feed";
    let before = number(&world.db.url, head).await;
    for new in [1, 0] {
        let done = world.home.pipe(&file, &["import", "-"]).exits(0);
        assert_eq!(count(&done, "messages"), (new, 2 - new), "{done:?}");
        assert_eq!(count(&done, "opt_outs"), (0, 1), "the later STOP stays");
    }
    let thread = world.home.run(&["show", CONTACT, "--json"]).silent().json();
    let messages = thread["messages"].as_array().expect("messages");
    assert_eq!(thread["message_count"], messages.len());
    assert_eq!(thread["id"], known["conversation_id"]);
    let joined = messages.iter().find(|message| message["body"] == "elsewhere\u{fffd}");
    assert_ne!(joined.expect("it joined")["id"], known["id"]);
    // Found under the id that it has elsewhere, too.
    let shown = world.home.run(&["show", other, "--json"]).exits(0).json();
    assert_eq!(shown["messages"][0]["id"].as_str().or(shown["id"].as_str()), known["id"].as_str());
    assert_eq!(number(&world.db.url, head).await, before);
}

/// What is refused: see also the tests of the lines themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_kind_is_refused_and_creates_nothing() {
    let home = Home::new();
    home.write("poem.txt", "Shall I compare thee\n");
    home.write("sandbox.jsonl", "{\"type\":\"convo_export\",\"version\":1,\"sandbox\":true}\n");
    let cut = "{\"type\":\"convo_export\",\"version\":1,\"sandbox\":false}\n\
               {\"type\":\"conversation\",\"id\":\"11111111-2222-4333-8444-555555555555\",\
               \"contact_number\":\"+12125551234\",\"last_message_at\":\"2026-06-18T14:30:00Z\",\
               \"created_at\":\"2026-06-18T14:30:00Z\"}\n{\"type\":\"mess";
    home.write("cut.jsonl", cut);
    for (from, told) in [
        ("poem.txt", "line 1: this is not an export of convo"),
        ("sandbox.jsonl", "this export is of a sandbox database"),
        ("missing", "cannot read"),
        ("postgresql://u:secret@localhost/x", "password"),
        ("mysql://localhost/x", "mysql"),
        ("sqlite:///missing.db", "there is no file at"),
    ] {
        let done = home.run(&["import", from]);
        assert!(matches!(done.code, 2 | 4), "{from}: {done:?}");
        assert!(done.err.contains(told) && !done.err.contains("secret"), "{from}: {}", done.err);
    }
    assert_eq!(home.files(), ["cut.jsonl", "poem.txt", "sandbox.jsonl"]);
    let done = home.run(&["import", "cut.jsonl"]).exits(2);
    assert!(done.err.contains("line 3: the line is cut off"), "{}", done.err);
    assert!(done.out.contains("conversations\t1\t0"), "what came before it stays: {}", done.out);
    let own = home.run(&["import", "conversations.db"]).exits(2);
    assert!(
        own.err.contains("is a database of convo") && own.err.contains("convo copy"),
        "{own:?}"
    );
    let there = [("CONVO_SERVER", "http://127.0.0.1:9")];
    home.run_with(&there, &["import", "cut.jsonl"]).exits(2).reports("CONVO_SERVER");
}

on_both_databases!(
    a_round_trip_over_both_databases_loses_nothing,
    an_export_is_the_same_here_and_there,
    an_import_joins_what_is_there,
    media_of_imported_messages_are_looked_for,
);
