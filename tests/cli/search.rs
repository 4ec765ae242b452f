//! `convo search` and `GET /messages`: the same answers everywhere, and as a plain scan would give.

use std::time::Duration;

use convo::domain::search::{MessageSearch, Term};
use convo::sandbox::Behaviour;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{
    CONTACT, Event, Home, OWN, Server, Signer, TestDatabase, World, connect, eventually_some,
    execute, inbound, insert_numbered, open, open_to_read, query_one,
};

/// Texts in more than ten scripts.
const TEXTS: [&str; 24] = [
    "Your invoice no. 4711 of Café Müller is due on 2026-11-30.",
    "INVOICE 4712: paid, thank you!",
    "good morning, this is not the invoice",
    "Morning! Good to hear from you.",
    "Straße und Grüße aus München",
    "Счёт оплачен, спасибо. Ёлка куплена",
    "Το τιμολόγιο πληρώθηκε, ΟΔΟΣ 5",
    "שלום, החשבונית שולמה",
    "مرحبا، تم دفع الفاتورة",
    "नमस्ते, चालान का भुगतान हो गया है",
    "明日は日本語の勉強をします",
    "东京和北京的发票已经付了",
    "안녕하세요, 송장이 결제되었습니다",
    "กินข้าวแล้วหรือยัง",
    "გამარჯობა, ინვოისი გადახდილია",
    "Բարեւ, հաշիվը վճարված է",
    "Call me at +1 (212) 555-1234, or write to ada.l@example.com 👍🏽",
    "12125551234 is my number ❤\u{fe0f}",
    "ｆｕｌｌ ｗｉｄｔｈ ガイド ｶﾞｲﾄﾞ",
    "👩\u{200d}🚀 🇩🇪 to the moon",
    "<script>alert('1')</script> \u{1b}[31m \u{202e}abc \"quoted\" AND OR NOT NEAR(x)",
    "don't pay* the invoice_number it’s 100% 'wrong' & | ! : \\",
    "",
    "\u{1f44d}",
];

/// Words and phrases, and what must not be there.
const QUESTIONS: [(&[&str], &[&str]); 46] = [
    (&["invoice"], &[]),
    (&["INVOICE", "4712"], &[]),
    (&["invoice"], &["paid"]),
    (&["invoice"], &["not the", "4711"]),
    (&["inv*"], &[]),
    (&["i*"], &["inv*"]),
    (&["good morning"], &[]),
    (&["morning good"], &[]),
    (&["morning", "good"], &[]),
    (&["cafe muller"], &[]),
    (&["strasse"], &[]),
    (&["grusse", "munchen"], &[]),
    (&["счет"], &[]),
    (&["елка купл*"], &[]),
    (&["οδος"], &[]),
    (&["שלום"], &[]),
    (&["الفاتورة"], &[]),
    (&["चालान का"], &[]),
    (&["日本"], &[]),
    (&["日本語"], &[]),
    (&["本"], &[]),
    (&["語の勉強"], &[]),
    (&["发票"], &["北京"]),
    (&["发票"], &["上海"]),
    (&["안녕"], &[]),
    (&["송장이 결제"], &[]),
    (&["ข้าว"], &[]),
    (&["ก*"], &[]),
    (&["ინვოისი"], &[]),
    (&["հաշիվը"], &[]),
    (&["+12125551234"], &[]),
    (&["(212) 555-1234"], &[]),
    (&["555-1234"], &[]),
    (&["212"], &[]),
    (&["ada.l@example.com"], &[]),
    (&["example"], &[]),
    (&["👍"], &[]),
    (&["❤"], &[]),
    (&["🇩🇪"], &[]),
    (&["🚀"], &[]),
    (&["ガイド"], &[]),
    (&["full width"], &[]),
    (&["NEAR(x)"], &[]),
    (&["and or not"], &[]),
    (&["2026-11-30"], &[]),
    (&["nothing has this"], &[]),
];

fn term(text: &str) -> Term {
    Term::parse(text).expect("a term")
}

/// The arguments of a question, to be followed by the words.
fn arguments<'a>(words: &[&'a str], not: &[&'a str]) -> Vec<&'a str> {
    let not = not.iter().flat_map(|word| ["--not", word]);
    ["search", "--json"].into_iter().chain(not).chain(words.iter().copied()).collect()
}

/// The bodies that were found, from new to old.
fn bodies(found: &Value) -> Vec<String> {
    let hits = found.as_array().expect("an array").iter();
    hits.map(|hit| hit["body"].as_str().expect("a text").to_owned()).collect()
}

async fn answers_are_those_of_a_plain_scan(db: TestDatabase) {
    let world = World::start(db).await;
    for (n, text) in TEXTS.iter().enumerate() {
        let at = format!("2026-11-{:02}T{:02}:00:00Z", 1 + n / 2, n % 2);
        let event = Event::inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, text);
        let stored = world.signer.post(&world.server, event.received_at(at).to_string()).await;
        assert_eq!(stored, "stored");
    }
    let mut found = 0;
    for (words, not) in QUESTIONS {
        let search = MessageSearch {
            terms: words.iter().map(|word| term(word)).collect(),
            exclusions: not.iter().map(|word| term(word)).collect(),
            ..MessageSearch::default()
        };
        let scan = TEXTS.iter().rev().filter(|text| search.find(text).is_some());
        let expected: Vec<_> = scan.map(|text| (*text).to_owned()).collect();
        let done = same(&world, &arguments(words, not)).silent();
        assert_eq!(bodies(&done.json()), expected, "{words:?} but not {not:?}");
        found += usize::from(!expected.is_empty());
    }
    assert_eq!(found, QUESTIONS.len() - 2, "most questions have an answer");
    // What a person sees.
    let table =
        same(&world, &["search", "cafe", "--format", "table", "--color", "always"]).silent();
    assert!(table.out.contains("\u{1b}[1m\u{1b}[35mCafé\u{1b}[0m"), "{}", table.out);
    let json = world.home.run(&["search", "cafe muller", "--json"]).silent().json();
    assert_eq!(json[0]["snippet"]["text"], TEXTS[0]);
    assert_eq!(json[0]["snippet"]["marks"], json!([[25, 36]]));
    assert_eq!(json[0]["contact_number"], CONTACT);
    same(&world, &["search", "inv*"]).silent();
    same(&world, &["search", "inv*", "--format", "csv"]).silent();
    world.home.run(&["search", "--not", "paid"]).exits(2);
    world.home.run(&["search", "?!"]).exits(2).reports("no word to search for");
    assert_eq!(world.server.get("/messages?q=%22good").await.status, 200);
    for bad in ["not=x", "q=%3F", "q=a&q=b", "word=a"] {
        assert_eq!(world.server.get(&format!("/messages?{bad}")).await.status, 400, "{bad}");
    }
}

async fn filters_work_with_and_without_words(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    let other = "+15557654321";
    for (n, (from, to, at)) in (0..).zip([
        ("+12125559001", OWN, "2026-01-01T12:00:00Z"),
        ("+12125559002", other, "2026-02-01T12:00:00Z"),
        ("+12125559001", other, "2026-03-01T12:00:00.5Z"),
    ]) {
        let text = format!("Hello {n}");
        let event = Event::inbound(&format!("e{n}"), &format!("m{n}"), from, &text);
        let event = event.received_at(at).with("to", json!([{"phone_number": to}]));
        world.signer.post(&world.server, event.to_string()).await;
    }
    for (behaviour, text, status) in [
        (Behaviour::Silent, "Hello 3", "delivered"),
        (Behaviour::Refused, "Hello 4", "sending_failed"),
        (Behaviour::Undeliverable, "Hello 5", "delivery_failed"),
    ] {
        let id = world.home.run(&["send", behaviour.number(), text]).id().to_owned();
        world.wait_for_message(behaviour.number(), &id, status);
    }
    world.home.run(&["send", Behaviour::Silent.number(), "Later 6", "--at", "2h"]).exits(0);
    for (filter, expected) in [
        (&["--direction", "inbound"][..], &[2, 1, 0][..]),
        (&["--direction", "outbound", "--status", "delivered"], &[3]),
        (&["--status", "failed"], &[5, 4]),
        (&["--status", "failed", "--limit", "1"], &[5]),
        (&["--status", "queued"], &[]),
        (&["--status", "failed", "--number", other], &[]),
        (&["--contact", "+1 (212) 555-9001"], &[2, 0]),
        (&["--contact", "+12125559001", "--number", other], &[2]),
        (&["--contact", "+12125559001", "--since", "2026-02-01"], &[2]),
        (&["--contact", "+19995550000"], &[]),
        (&["--number", other], &[2, 1]),
        (&["--until", "2026-02-01T12:00:00Z"], &[0]),
        (&["--since", "2026-02-01T12:00:00Z", "--until", "2026-03-01T12:00:00.5Z"], &[1]),
        (&["--since", "1h", "--status", "open,failed,delivered", "--limit", "9"], &[5, 4, 3]),
    ] {
        // With a word that all of them have, and without.
        for words in [&["hello"][..], &[]] {
            let args = [&["search", "--json"], filter, words].concat();
            let found = bodies(&same(&world, &args).silent().json());
            let found: Vec<_> =
                found.into_iter().filter(|text| !text.starts_with("Later")).collect();
            let expected: Vec<_> = expected.iter().map(|n| format!("Hello {n}")).collect();
            assert_eq!(found, expected, "{args:?}");
        }
    }
    let scheduled = same(&world, &["search", "--status", "scheduled", "--json"]).silent();
    assert_eq!(bodies(&scheduled.json()), ["Later 6"]);
}

/// A search that follows a commit finds it, whoever asks.
async fn a_search_is_complete_to_the_last_commit(db: TestDatabase) {
    let world = World::start(db).await;
    for n in 0..20 {
        let (text, word) = (format!("number{n} of many"), format!("number{n}"));
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &text);
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
        if n % 2 == 0 {
            let found = world.server.get(&format!("/messages?q={word}&limit=5")).await;
            assert_eq!(found.header("search-incomplete-before"), None);
            assert_eq!(bodies(&found.json()), [text.as_str()]);
        } else {
            let found = world.home.run(&["search", &word, "--json"]).silent().json();
            assert_eq!(bodies(&found), [text.as_str()]);
        }
    }
}

const MANY: u32 = 3_000;

/// Messages as an earlier release or an import leaves them: not in the feed, and all of one second.
async fn old_messages(db: &TestDatabase) -> Home {
    let home = Home::new().with_database(db);
    home.run(&["migrate"]).exits(0);
    let direct = connect(&db.url).await;
    let (count, at) = (MANY.to_string(), "1781793000000000");
    let conversation = [
        ("id", "{id:01a00000}"),
        ("contact_number", "'+12125551234'"),
        ("message_count", count.as_str()),
        ("last_message_at", at),
        ("created_at", at),
    ];
    insert_numbered(&direct, "conversations", 1, &conversation).await;
    let created_at = format!("{at} + i % 7");
    let body = "'common ' || CASE WHEN i % 100 = 3 THEN 'phrase here' WHEN i % 100 = 4 \
                THEN 'here phrase' WHEN i % 1000 = 7 THEN 'seldom text' ELSE 'text' END";
    let message = [
        ("id", "{id:01b00000}"),
        ("conversation_key", "1"),
        ("direction", "0"),
        ("from_number", "'+12125551234'"),
        ("to_number", "'+15551234567'"),
        ("body", body),
        ("status_rank", "130"),
        ("created_at", created_at.as_str()),
    ];
    insert_numbered(&direct, "messages", MANY, &message).await;
    direct.close().await.expect("closed");
    home
}

/// The ids of some of them from new to old.
fn expected(is_one: impl Fn(&u32) -> bool) -> Vec<String> {
    let mut all: Vec<u32> = (1..=MANY).filter(is_one).collect();
    all.sort_by_key(|n| std::cmp::Reverse((n % 7, *n)));
    all.into_iter().map(|n| format!("01b00000-0000-7000-8000-{n:012x}")).collect()
}

async fn pages_have_each_message_once(db: TestDatabase) {
    let home = old_messages(&db).await;
    let server = Server::start(&home);
    let phrase = |n: &u32| n % 100 == 3;
    for (query, expected) in [
        ("q=common", expected(|_| true)),
        ("contact=%2B12125551234", expected(|_| true)),
        ("direction=inbound", expected(|_| true)),
        ("q=%22phrase+here%22", expected(phrase)),
        ("q=%22phrase+here%22&contact=%2B12125551234", expected(phrase)),
        // Both words are common; then one of several is rare.
        ("q=common+text", expected(|n| ![3, 4].contains(&(n % 100)))),
        ("q=seldom", expected(|n| n % 1_000 == 7)),
        ("q=common+seldom", expected(|n| n % 1_000 == 7)),
        ("q=common+phrase+here", expected(|n| [3, 4].contains(&(n % 100)))),
        ("q=common&not=text", expected(|n| [3, 4].contains(&(n % 100)))),
        ("q=phr*+com*&not=%22here+phrase%22", expected(phrase)),
    ] {
        let ids = |page: &Value| -> Vec<String> {
            let hits = page.as_array().expect("an array").iter();
            hits.map(|hit| hit["id"].as_str().expect("an id").to_owned()).collect()
        };
        let mut all = eventually_some("the index to be complete", async || {
            let answer = server.get(&format!("/messages?{query}")).await;
            answer.header("search-incomplete-before").is_none().then(|| ids(&answer.json()))
        })
        .await;
        assert_eq!(all, expected, "{query} streamed");
        all.clear();
        let mut next = Some(format!("/messages?{query}&limit=97"));
        while let Some(path) = next {
            let page = server.get(&path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            all.extend(ids(&page.json()));
            next = page.next(&path);
        }
        assert_eq!(all, expected, "{query} in pages");
    }
    let ids = home.run(&["search", "common", "--format", "ids", "--limit", "5"]).silent().out;
    assert_eq!(ids.lines().collect::<Vec<_>>(), expected(|_| true)[..5]);
}

/// What the index does not have yet is said to be missing.
async fn an_index_that_is_far_behind_says_so(db: TestDatabase) {
    let _home = old_messages(&db).await;
    let opened = open(&db.url).await;
    let search = MessageSearch { terms: vec![term("common")], ..MessageSearch::default() };
    let page = opened.search(&search, None, 10, Duration::ZERO).await.expect("a page");
    assert!(page.hits.is_empty() && page.incomplete_before.is_some(), "{page:?}");
    let page = opened.search(&search, None, 10, Duration::from_secs(60)).await.expect("a page");
    assert_eq!((page.hits.len(), page.incomplete_before), (10, None));
    opened.close().await;
    // It is complete for those, too, who cannot change it.
    let reading = open_to_read(&db.url).await;
    let page = reading.search(&search, None, 10, Duration::ZERO).await.expect("a page");
    assert_eq!((page.hits.len(), page.incomplete_before), (10, None));
    reading.close().await;
}

/// The words of a very long text are in several rows of the index.
async fn a_very_long_text_is_found_by_any_of_its_words(db: TestDatabase) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(&db).accepting(&signer);
    let server = Server::start(&home);
    let words: Vec<String> = (0..90_000).map(|n| format!("w{n:05}")).collect();
    let text = words.join(" ");
    assert_eq!(signer.post(&server, inbound("e1", "m1", CONTACT, &text)).await, "stored");
    for (words, count) in [
        (&["w00000"][..], 1),
        (&["w89999"], 1),
        (&["w00000", "w89999", "w45000"], 1),
        (&["w44999 w45000"], 1),
        (&["w45000 w44999"], 0),
        (&["w00000", "missing"], 0),
        (&["w0000*", "w8999*"], 1),
    ] {
        let args = [&["search", "--format", "ids"], words].concat();
        for contact in [&[][..], &["--contact", CONTACT]] {
            let done = home.run(&[&args, contact].concat()).silent();
            assert_eq!(done.out.lines().count(), count, "{words:?}");
        }
    }
    let parts = "SELECT count(*) FROM search_rows";
    assert!(query_one::<i64>(&connect(&db.url).await, parts).await > 1);
}

/// A copy has no index, and makes its own.
async fn a_copied_database_can_be_searched(from: TestDatabase) {
    let home = old_messages(&from).await;
    let search = ["search", "phrase", "--format", "ids"];
    let before = home.run(&search).silent().out;
    assert_eq!(before.lines().count(), 60);
    let to = TestDatabase::sqlite();
    home.copy(&[&from.url, &to.url]).exits(0);
    let there = Home::new().with_database(&to);
    assert_eq!(there.run(&search).silent().out, before);
    // The source takes no changes any more, but what its index has is found.
    assert_eq!(home.run(&search).silent().out, before);
}

/// An index that is damaged or of another release's rules is made again.
async fn an_index_of_other_rules_is_made_again(db: TestDatabase) {
    let home = old_messages(&db).await;
    let search = ["search", "phrase", "--format", "ids"];
    let before = home.run(&search).silent().out;
    assert_eq!(before.lines().count(), 60);
    execute(&db.url, "UPDATE search_place SET version = 99").await;
    assert_eq!(home.run(&search).silent().out, before);
    let rows = query_one::<i64>(&connect(&db.url).await, "SELECT count(*) FROM search_rows").await;
    assert_eq!(rows, i64::from(MANY));
    // The feed that it followed is gone, as after restoring a backup.
    execute(&db.url, "UPDATE search_place SET nonce = nonce + 1").await;
    assert_eq!(home.run(&search).silent().out, before);
    let rows = query_one::<i64>(&connect(&db.url).await, "SELECT count(*) FROM search_rows").await;
    assert_eq!(rows, i64::from(MANY), "no message is in it twice");
}

on_both_databases!(
    answers_are_those_of_a_plain_scan,
    filters_work_with_and_without_words,
    a_search_is_complete_to_the_last_commit,
    pages_have_each_message_once,
    an_index_that_is_far_behind_says_so,
    a_very_long_text_is_found_by_any_of_its_words,
    a_copied_database_can_be_searched,
    an_index_of_other_rules_is_made_again,
);
