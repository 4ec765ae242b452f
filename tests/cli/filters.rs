//! `convo list` with its filters, here, there and over the REST API.

use convo::sandbox::Behaviour;
use sea_orm::{ConnectionTrait, Database};
use serde_json::Value;

use crate::harness::{Home, OWN, Server, World, inbound};
use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::TestDatabase;

const OTHER_OWN: &str = "+15557654321";

/// A contact's text that came when the second number says, to one of our numbers.
fn received(n: u32, from: &str, to: &str, at: &str) -> String {
    let mut event: Value =
        serde_json::from_str(&inbound(&format!("e{n}"), &format!("m{n}"), from, "Hi"))
            .expect("JSON");
    event["data"]["payload"]["received_at"] = at.into();
    event["data"]["payload"]["to"][0]["phone_number"] = to.into();
    event.to_string()
}

/// Threads of every kind.
async fn filled(db: TestDatabase) -> World {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    for (n, (from, to, at)) in (0..).zip([
        ("+12125559001", OWN, "2026-01-01T12:00:00Z"),
        ("+12125559002", OTHER_OWN, "2026-02-01T12:00:00Z"),
        ("+12125559003", OTHER_OWN, "2026-03-01T12:00:00.5Z"),
        ("72975", OWN, "2026-03-01T12:00:00.5Z"),
    ]) {
        world.signer.post(&world.server, received(n, from, to, at)).await;
    }
    let stop = received(9, "+12125559004", OWN, "2026-04-01T12:00:00Z")
        .replace("\"type\":", "\"autoresponse_type\":\"STOP\",\"type\":");
    world.signer.post(&world.server, stop).await;
    for (behaviour, status) in [
        (Behaviour::Silent, "delivered"),
        (Behaviour::Refused, "sending_failed"),
        (Behaviour::Undeliverable, "delivery_failed"),
        (Behaviour::Vanished, "unknown"),
    ] {
        // A report may be there before the send's own answer: the exit code is not the point here.
        let id = world.home.run(&["send", behaviour.number(), "Hi"]).id().to_owned();
        world.message(behaviour.number(), &id, status);
    }
    world
}

/// The contacts that a list shows.
#[track_caller]
fn contacts(world: &World, filter: &[&str]) -> Vec<String> {
    let done = same(world, &[&["list", "--json"], filter].concat()).silent();
    let list = done.json();
    let contact = |thread: &Value| thread["contact_number"].as_str().expect("one").to_owned();
    list.as_array().expect("an array").iter().map(contact).collect()
}

async fn each_filter_lists_what_it_says(db: TestDatabase) {
    let world = filled(db).await;
    let silent = Behaviour::Silent.number();
    let (refused, lost) = (Behaviour::Refused.number(), Behaviour::Vanished.number());
    let failed = Behaviour::Undeliverable.number();
    let (one, two, three) = ("+12125559001", "+12125559002", "+12125559003");
    let stopped = "+12125559004";
    let sent = [lost, failed, refused, silent];
    let all = contacts(&world, &[]);
    assert_eq!(all.len(), 9);
    for (filter, expected) in [
        (&["--status", "delivered"][..], &[silent][..]),
        (&["--status", "unknown,sending_failed"], &[lost, refused]),
        (&["--status", "undelivered"], &[failed]),
        (&["--status", "queued"], &[]),
        (&["--direction", "outbound"], &sent),
        (&["--direction=inbound", "--limit=1"], &[stopped]),
        (&["--direction", "inbound", "--status", "delivered"], &[]),
        (&["--number", OTHER_OWN], &[three, two]),
        (&["--number", "+1 (555) 765-4321", "--reverse"], &[two, three]),
        (&["--number", OWN, "--direction", "outbound"], &sent),
        (&["--number", "+19995550000"], &[]),
        (&["--opted-out"], &[stopped]),
        (&["--opted-out", "--direction", "outbound"], &[]),
        (&["--reverse", "--limit", "2"], &[one, two]),
        (&["--since", "2026-03-15"], &[lost, failed, refused, silent, stopped]),
        (&["--since", "2026-04-01T12:00:00Z", "--direction", "inbound"], &[stopped]),
        (&["--since", "2026-04-01T14:00:00.000001+02:00", "--direction", "inbound"], &[]),
        (&["--since", "1h"], &sent),
        (&["--since", "90m", "--reverse", "--status", "delivered,unknown"], &[silent, lost]),
    ] {
        assert_eq!(contacts(&world, filter), expected, "{filter:?}");
    }
    let mut reversed = contacts(&world, &["--reverse"]);
    reversed.reverse();
    assert_eq!(reversed, all);
    for form in ["table", "json", "jsonl", "csv", "ids"] {
        for filter in [&["--direction", "inbound"][..], &["--status", "read"], &["--reverse"]] {
            same(&world, &[&["list", "--format", form], filter].concat()).silent();
        }
    }
    let none = same(&world, &["list", "--format", "table", "--status", "read"]).silent();
    assert_eq!(none.out, "No conversation matches.\n");
}

/// Follows `Link` to the end; the ids on each page.
async fn walk(server: &Server, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let rows = page.json();
        let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
        pages.push(rows.as_array().expect("an array").iter().map(id).collect());
        let link = page.header("link").and_then(|link| link.strip_prefix('<'));
        next = link.map(|link| link.split_once('>').expect("a link").0.to_owned());
    }
    pages
}

async fn pages_keep_the_filter_and_no_thread_comes_twice(db: TestDatabase) {
    let world = filled(db).await;
    let at = &world.server;
    for (filter, parameters) in [
        (&["--direction", "inbound"][..], "direction=inbound"),
        (&["--reverse"], "reverse=true"),
        (
            &["--number", OWN, "--since", "2026-01-02"],
            "number=%2B1+555-123-4567&since=2026-01-02T00:00:00Z",
        ),
        (&["--status", "received,unknown", "--reverse"], "status=received,unknown&reverse=true"),
    ] {
        let listed = world.home.run(&[&["list", "--format", "ids"], filter].concat()).silent().out;
        let listed: Vec<_> = listed.lines().map(str::to_owned).collect();
        let pages = walk(at, &format!("/conversations?limit=2&{parameters}")).await;
        assert_eq!(pages.concat(), listed, "{parameters}");
        let streamed = at.get(&format!("/conversations?{parameters}")).await.json();
        assert_eq!(streamed.as_array().map(Vec::len), Some(listed.len()), "{parameters}");
    }
    // From old to new, too: whoever becomes active meanwhile moves behind the end.
    let page = at.get("/conversations?limit=3&reverse=true").await;
    let next = page.header("link").and_then(|link| link[1..].split_once('>')).expect("a link").0;
    let now = convo::clock::now().to_string();
    world.signer.post(at, received(77, "+12125559001", OWN, &now)).await;
    let rest = walk(at, next).await.concat();
    assert_eq!(rest.len(), 6, "{rest:?}");
    let first = page.json()[0]["id"].as_str().expect("an id").to_owned();
    assert!(!rest.contains(&first));
}

async fn nonsense_is_named(db: TestDatabase) {
    let world = World::start(db).await;
    for (args, told) in [
        (["--status", "deliverd"], "'deliverd'"),
        (["--direction", "sideways"], "'sideways'"),
        (["--number", "5551234567"], "no country code"),
        (["--since", "yesterday"], "as a date like 2026-11-22"),
        (["--timeout", "3s"], "--timeout"),
    ] {
        let done = same(&world, &[&["list", "--json"][..], &args].concat()).exits(2);
        let message = done.error()["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(told), "{args:?}: {message}");
    }
    for (query, code) in [
        ("status=deliverd", "invalid_request"),
        ("status=", "invalid_request"),
        ("direction=up", "invalid_request"),
        ("number=5551234567", "invalid_number"),
        ("since=2h", "invalid_request"),
        ("since=2026-11-22T13:00:00", "invalid_request"),
        ("opted_out=yes", "invalid_request"),
        ("reverse=true&reverse=true", "invalid_request"),
        ("contact=1", "unknown_parameter"),
    ] {
        let answer = world.server.get(&format!("/conversations?{query}")).await;
        assert_eq!(answer.told(), (400, code.to_owned()), "{query}: {}", answer.body);
    }
}

on_both_databases!(
    each_filter_lists_what_it_says,
    pages_keep_the_filter_and_no_thread_comes_twice,
    nonsense_is_named,
    a_rare_match_is_found_in_bounded_steps,
);

/// One message of ours, behind 12,000 threads whose contacts wrote last.
async fn a_rare_match_is_found_in_bounded_steps(db: TestDatabase) {
    let home = Home::new().set("DATABASE_URL", &db.url);
    home.run(&["migrate"]).exits(0);
    let is_sqlite = db.url.starts_with("sqlite:");
    let url = if is_sqlite { format!("sqlite:{}", db.file().display()) } else { db.url.clone() };
    let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)";
    let id = |first: &str| match is_sqlite {
        true => format!("printf('{first}-0000-7000-8000-%012x', i)"),
        false => format!("'{first}-0000-7000-8000-' || lpad(to_hex(i), 12, '0')"),
    };
    let direct = Database::connect(url).await.expect("the database");
    for sql in [
        format!(
            "INSERT INTO conversations (id, contact_number, message_count, last_message_at, \
             created_at) {count} SELECT {}, '+1' || (2000000000 + i), 1, i, i FROM n",
            id("01a00000")
        ),
        format!(
            "INSERT INTO messages (id, conversation_id, direction, from_number, to_number, body, \
             status, status_rank, created_at) {count} SELECT {}, {}, \
             CASE WHEN i = 5 THEN 'outbound' ELSE 'inbound' END, '+1', '+2', 'Hi', \
             CASE WHEN i = 5 THEN 'delivery_failed' ELSE 'received' END, \
             CASE WHEN i = 5 THEN 100 ELSE 130 END, i FROM n",
            id("01b00000"),
            id("01a00000")
        ),
    ] {
        direct.execute_unprepared(&sql).await.expect(&sql);
    }
    direct.close().await.expect("closed");
    let server = Server::start(&home);
    let found = "01a00000-0000-7000-8000-000000000005";
    let pages = walk(&server, "/conversations?limit=100&direction=outbound").await;
    assert_eq!(pages, [vec![], vec![], vec![found.to_owned()]]);
    let pages = walk(&server, "/conversations?limit=100&status=delivery_failed").await;
    assert_eq!(pages, [[found]], "one glance a thread looks far");
    for wish in ["direction=outbound", "status=delivery_failed"] {
        let streamed = server.get(&format!("/conversations?{wish}")).await;
        assert_eq!(streamed.json()[0]["id"], found);
    }
    for remote in [&[][..], &["--server", &server.url()]] {
        for extent in [&[][..], &["--limit", "1"], &["--reverse"]] {
            let args = ["list", "--direction", "outbound", "--format", "ids"];
            assert_eq!(home.run(&[&args, extent, remote].concat()).silent().out.trim(), found);
        }
        let all = home.run(&[&["list", "--format", "ids"], remote].concat()).silent().out;
        assert_eq!(all.lines().count(), 12_000);
    }
}
