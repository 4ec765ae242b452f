//! Names of contacts: given, shown, and meant.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{CONTACT, Home, Server, TestDatabase, World, bearer, inbound, query_one};

const OTHER: &str = "+13125550001";
const THIRD: &str = "+13125550002";

/// Two contacts who have written.
async fn filled(db: TestDatabase) -> World {
    let world = World::start(db).await;
    for (n, contact) in [CONTACT, OTHER].iter().enumerate() {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), contact, &format!("Hello {n}"));
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    world
}

async fn a_named_contact_is_shown_by_its_name(db: TestDatabase) {
    let world = filled(db).await;
    let (home, server) = (&world.home, &world.server);
    let named = home.run(&["name", "+1 (212) 555-1234", " Ada  Lovelace"]).exits(0);
    assert_eq!((named.out.trim(), named.err.contains("is named Ada")), (CONTACT, true));
    let list = same(&world, &["list", "--json"]).json();
    let name_of = |list: &Value, contact: &str| {
        let rows = list.as_array().expect("an array");
        let row = rows.iter().find(|row| row["contact_number"] == contact).expect("the contact");
        row["contact_name"].clone()
    };
    assert_eq!(name_of(&list, CONTACT), "Ada  Lovelace");
    assert_eq!(name_of(&list, OTHER), Value::Null);
    assert!(same(&world, &["list"]).out.contains("\tAda  Lovelace\n"));
    assert!(same(&world, &["list", "--format", "table"]).out.contains("Ada  Lovelace"));
    let shown = same(&world, &["show", CONTACT, "--format", "table"]).out;
    assert!(shown.starts_with("Ada  Lovelace ") && shown.contains(CONTACT), "{shown}");
    assert_eq!(same(&world, &["show", CONTACT, "--json"]).json()["contact_name"], "Ada  Lovelace");
    let found = same(&world, &["search", "hello", "--json"]).json();
    assert_eq!(name_of(&found, CONTACT), "Ada  Lovelace");
    assert_eq!(name_of(&found, OTHER), Value::Null);
    let events = server.get("/events?since=2020-01-01T00:00:00Z").await.json();
    let names: Vec<_> =
        events["events"].as_array().expect("events").iter().map(|e| &e["contact_name"]).collect();
    assert_eq!(names, [&json!("Ada  Lovelace"), &Value::Null]);
    let watched = ["watch", "--since", "2020-01-01", "--count", "1", "--format", "table"];
    assert!(home.run(&watched).out.contains("Ada  Lovelace"));
    let contacts = same(&world, &["contact", "list", "--json"]).json();
    assert_eq!(contacts[0]["contact_name"], "Ada  Lovelace");
    same(&world, &["contact", "unname", CONTACT]).exits(0);
    assert_eq!(name_of(&home.run(&["list", "--json"]).json(), CONTACT), Value::Null);
    assert_eq!(same(&world, &["contact", "list"]).exits(0).out, "");
}

async fn a_name_means_its_contact(db: TestDatabase) {
    let world = filled(db).await;
    let home = &world.home;
    home.run(&["name", CONTACT, "Ada Straße"]).exits(0);
    home.run(&["name", OTHER, "Adam 100%_\\"]).exits(0);
    home.run(&["contact", "name", THIRD, "Zoë"]).exits(0);
    let meant = |name: &str| {
        let shown = same(&world, &["show", name, "--json"]).exits(0).json();
        shown["contact_number"].as_str().expect("a number").to_owned()
    };
    for name in ["Ada Straße", "ADA STRASSE", " ada  strasse ", "straße", "da s"] {
        assert_eq!(meant(name), CONTACT, "{name}");
    }
    for name in ["100%", "0%_\\", "adam"] {
        assert_eq!(meant(name), OTHER, "{name}");
    }
    let ambiguous = same(&world, &["show", "ada", "--json"]).exits(2);
    assert_eq!(ambiguous.error()["code"], "ambiguous_name");
    let hint = ambiguous.error()["hint"].to_string();
    assert!(hint.contains(CONTACT) && hint.contains(OTHER) && hint.contains("Adam 100%"), "{hint}");
    let none = same(&world, &["show", "zoë"]).exits(3);
    assert!(none.err.contains(THIRD), "{}", none.err);
    for nobody in ["a%s", "a_a", "nobody", "Zoe"] {
        same(&world, &["show", nobody]).exits(3);
    }
    // Two contacts of one name: only the number tells them apart.
    home.run(&["name", THIRD, "ADA strasse"]).exits(0);
    same(&world, &["show", "Ada Straße"]).exits(2);
    home.run(&["name", THIRD, "Zoë"]).exits(0);
    // Filters are names, too.
    for command in ["list", "search"] {
        let rows = same(&world, &[command, "--contact", "strasse", "--json"]).exits(0).json();
        assert_eq!(rows.as_array().map(Vec::len), Some(1), "{command}");
        same(&world, &[command, "--contact", "ada"]).exits(2);
        let nobody = same(&world, &[command, "--contact", "nobody", "--json"]).exits(0).json();
        assert_eq!(nobody, json!([]));
    }
    let counted = |name: &str| {
        let stats = same(&world, &["stats", "--contact", name, "--json"]).exits(0).json();
        stats["total"]["inbound"].as_u64().expect("a number")
    };
    assert_eq!((counted("strasse"), counted("nobody")), (counted(CONTACT), 0));
    assert!(counted(CONTACT) > 0);
    same(&world, &["stats", "--contact", "ada"]).exits(2);
    same(&world, &["watch", "--since", "2020-01-01", "--count", "1", "--contact", "Adam 100%_\\"])
        .exits(0);
    same(&world, &["export", "--contact", "ada straße", "--format", "csv"]).exits(0);
    same(&world, &["export", "--contact", "ada"]).exits(2);
}

async fn what_sends_or_removes_wants_the_whole_name(db: TestDatabase) {
    let world = filled(db).await;
    let home = &world.home;
    home.run(&["name", CONTACT, "Ada Lovelace"]).exits(0);
    home.run(&["name", THIRD, "Zoë"]).exits(0);
    let offers = world.offers();
    for command in [&["send", "ada", "Hi"][..], &["ask", "ada", "Hi?"], &["forget", "ada", "--yes"]]
    {
        let refused = same(&world, command).exits(2);
        assert!(refused.err.contains("Ada Lovelace (+12125551234)"), "{}", refused.err);
    }
    same(&world, &["send", "nobody", "Hi"]).exits(2).reports("no contact is named");
    same(&world, &["send", "+1212555123x", "Hi"]).exits(2);
    let id =
        home.run(&["show", CONTACT, "--json"]).json()["id"].as_str().expect("an id").to_owned();
    same(&world, &["send", &id[28..], "Hi"]).exits(2);
    assert_eq!(world.offers(), offers, "nothing was offered");
    for to in ["ada lovelace", "ADA LOVELACE", &id, "Zoë"] {
        let plan = same(&world, &["send", to, "Hi", "--dry-run", "--json"]).exits(0).json();
        assert_eq!(plan["to"], if to == "Zoë" { THIRD } else { CONTACT }, "{to}");
    }
    // Under one key it is the same message, whichever way its recipient is given.
    let send = |to: &str, more: &[&str]| {
        let args = [&["send", to, "Hi", "--idempotency-key", "k"][..], more].concat();
        home.run(&args).exits(0).id().to_owned()
    };
    let url = world.server.url();
    let sent = send("Ada Lovelace", &[]);
    assert_eq!(send(CONTACT, &["--server", &url]), sent);
    assert_eq!(send("ada lovelace", &["--server", &url]), sent);
    world.wait_for_message(CONTACT, &sent, "delivered");
    // A contact who has only a name can be forgotten.
    let receipt = same(&world, &["forget", "zoë", "--dry-run"]).exits(0);
    assert!(receipt.out.contains("messages\t0"), "{}", receipt.out);
    let forgotten = home.run(&["forget", "zoë", "--yes", "--json"]).exits(0).json();
    assert_eq!((&forgotten["named"], &forgotten["contact_number"]), (&json!(true), &json!(THIRD)));
    same(&world, &["forget", "zoë", "--yes"]).exits(2);
}

async fn what_is_no_name_is_refused(db: TestDatabase) {
    let world = filled(db).await;
    let long = "x".repeat(201);
    for name in ["", " ", "+13125550009", "555-1234", "a\nb", "\u{1b}[2J", &long, "12345"] {
        same(&world, &["name", CONTACT, name]).exits(2);
        let body = json!({ "name": format!("x{name}\u{7}") }).to_string();
        let path = format!("/conversations/{CONTACT}/name");
        let answer = world.server.ask("PUT", &path, "", &body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    same(&world, &["name", "2125551234", "Ada"]).exits(2).reports("no country code");
    same(&world, &["name", "nobody", "Ada"]).exits(2);
    // What would drive the terminal is shown, and not done.
    same(&world, &["name", CONTACT, "Ada\u{202e}x"]).exits(0);
    for args in [&["list"][..], &["list", "--json"], &["show", CONTACT], &["contact", "list"]] {
        let out = same(&world, args).exits(0).out;
        assert!(!out.contains('\u{202e}'), "{args:?}: {out}");
    }
    let path = format!("/conversations/{CONTACT}/name");
    for (body, status) in [("{}", 400), (r#"{"nam": null}"#, 400), (r#"{"name": null}"#, 200)] {
        let answer = world.server.ask("PUT", &path, "", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    assert_eq!(world.home.run(&["contact", "list"]).exits(0).out, "");
}

/// A name from before a contact was forgotten does not come back with an old backup.
async fn a_forgotten_contact_has_no_name_in_an_old_backup(db: TestDatabase) {
    let world = filled(db).await;
    let home = &world.home;
    home.run(&["name", THIRD, "Zoë"]).exits(0);
    home.run(&["name", OTHER, "Bob"]).exits(0);
    home.run(&["backup", "old.db"]).exits(0);
    home.run(&["forget", THIRD, "--yes"]).exits(0);
    home.write("marks.json", &home.run(&["forget", "--list"]).silent().out);
    for (args, left) in [(&[][..], 2), (&["--forgotten", "marks.json"][..], 1)] {
        let to = TestDatabase::sqlite();
        let with = [("DATABASE_URL", to.url.as_str())];
        home.run_with(&with, &[&["restore", "old.db"][..], args].concat()).exits(0);
        let count = "SELECT count(*) FROM contact_names";
        let db = crate::support::connect(&to.url).await;
        assert_eq!(query_one::<i64>(&db, count).await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn naming_takes_the_scope_send() {
    let token = |name: &str| format!("{name}0123456789abcdef0123456789abcdef");
    let tokens = format!("r:read:{},s:send:{}", token("r"), token("s"));
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db).set("CONVO_API_TOKEN", tokens);
    let server = Server::start(&home);
    let path = format!("/conversations/{CONTACT}/name");
    for (name, put, get, resolved) in [("r", 403, 200, 200), ("s", 200, 403, 200)] {
        let lines = bearer(&token(name));
        let answer = server.ask("PUT", &path, &lines, r#"{"name": "Ada"}"#).await;
        assert_eq!(answer.status, put, "{}", answer.body);
        assert_eq!(server.ask("DELETE", &path, &lines, "").await.status, put);
        assert_eq!(server.ask("PUT", "/contacts", &lines, r#"{"contacts": []}"#).await.status, put);
        assert_eq!(server.get_with("/contacts", &lines).await.status, get);
        let path = format!("/contacts/{CONTACT}");
        assert_eq!(server.get_with(&path, &lines).await.status, resolved);
    }
}

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nTEL;TYPE=CELL:+1 (212) 555-1234\r\n\
                     item1.TEL;VALUE=uri:tel:+13125550009;ext=7\r\nEND:VCARD\r\n\
                     BEGIN:VCARD\r\nVERSION:4.0\r\nN:Builder;Bob;;;\r\nTEL:+13125550001\r\nTEL:3125550002\r\n\
                     END:VCARD\r\n";

async fn names_are_imported_and_exported(db: TestDatabase) {
    let world = filled(db).await;
    let home = &world.home;
    home.write("cards.vcf", CARDS);
    home.run(&["name", OTHER, "Robert"]).exits(0);
    let counts = |report: &Value| {
        ["added", "changed", "known", "conflicts", "refused"]
            .map(|name| report[name].as_u64().expect("a number"))
    };
    home.run(&["contact", "import", "cards.vcf"]).exits(2).reports("--yes");
    let dry = same(&world, &["contact", "import", "cards.vcf", "--dry-run", "--json"]).exits(2);
    assert_eq!(counts(&dry.json()), [2, 0, 0, 1, 1], "{}", dry.out);
    let told = same(&world, &["contact", "import", "cards.vcf", "--dry-run"]).exits(2).out;
    let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0], ["added", "4", CONTACT, "Ada Lovelace", ""]);
    assert_eq!(lines[2], ["conflict", "10", OTHER, "Bob Builder", "Robert"]);
    assert_eq!(lines[3][..2], ["refused", "11"]);
    assert!(lines[3][4].contains("has no country code"), "{told}");
    assert_eq!(
        home.run(&["contact", "list"]).exits(0).out.lines().count(),
        1,
        "nothing is changed"
    );
    let url = world.server.url();
    let import = ["contact", "import", "cards.vcf", "--yes", "--json", "--server", &url];
    assert_eq!(counts(&home.run(&import).exits(2).json()), [2, 0, 0, 1, 1]);
    let again = ["contact", "import", "cards.vcf", "--yes", "--json", "--replace"];
    assert_eq!(counts(&home.run(&again).exits(2).json()), [0, 1, 2, 0, 1]);
    assert_eq!(home.run(&["show", "bob builder", "--json"]).json()["contact_number"], OTHER);
    let list = home.run(&["contact", "list", "--format", "csv"]).exits(0).out;
    for form in ["vcard", "csv"] {
        let exported = same(&world, &["contact", "export", "--format", form]).exits(0).out;
        home.write("exported", &exported);
        let known = ["contact", "import", "exported", "--dry-run", "--json"];
        assert_eq!(counts(&home.run(&known).exits(0).json()), [0, 0, 3, 0, 0], "{exported}");
    }
    assert_eq!(home.run(&["contact", "list", "--format", "csv"]).exits(0).out, list);
}

on_both_databases! {
    a_named_contact_is_shown_by_its_name,
    a_name_means_its_contact,
    what_sends_or_removes_wants_the_whole_name,
    what_is_no_name_is_refused,
    a_forgotten_contact_has_no_name_in_an_old_backup,
    names_are_imported_and_exported,
}

#[test]
fn what_is_no_address_book_is_refused() {
    let home = Home::new();
    for (content, what) in
        [("", "no column"), ("a,b\n1,2\n", "no column"), ("{\"name\": 1}\n", "no column")]
    {
        home.write("file", content);
        home.run(&["contact", "import", "file", "--dry-run"]).exits(2).reports(what);
    }
    home.run(&["contact", "import", "nowhere", "--dry-run"]).exits(2).reports("cannot be read");
}
