//! `convo ask`: a question, and the text that the contact answers with.

use convo::sandbox::Behaviour;
use rustix::process::Signal;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, FakeServer, Home, OWN, Reply, Running, Server, TestDatabase, World, execute,
    is_id, wait_for, wait_until,
};

/// A contact that says nothing by itself.
fn silent() -> &'static str {
    Behaviour::Silent.number()
}

async fn quick(db: TestDatabase) -> World {
    World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await
}

/// Here, and through the server.
fn ways(world: &World) -> [Vec<String>; 2] {
    [Vec::new(), vec!["--server".to_owned(), world.server.url()]]
}

fn ask<'a>(args: &[&'a str], way: &'a [String]) -> Vec<&'a str> {
    let mut all = vec!["ask"];
    all.extend(args);
    all.extend(way.iter().map(String::as_str));
    all
}

async fn the_contacts_next_text_is_the_answer(db: TestDatabase) {
    let world = quick(db).await;
    for way in ways(&world) {
        let done = world.home.run(&ask(&[CONTACT, "please say a\\b"], &way)).exits(0);
        assert_eq!(done.out, "a\\\\b\n");
        let (id, told) = done.err.split_once(": ").expect("the id and a line");
        assert!(is_id(id) && told.contains(&format!(" {CONTACT} as 1 segment")), "{}", done.err);
        let lost = Behaviour::AnswerLost.number();
        let done = world.home.run(&ask(&[lost, "please say ok"], &way)).exits(0);
        assert_eq!(done.line(), "ok", "an answer settles the question");
        let both = world.home.run(&ask(&[CONTACT, "Well?", "--json"], &way)).silent().json();
        assert_eq!(
            (&both["question"]["body"], &both["answer"]["body"]),
            (&"Well?".into(), &"You said: Well?".into())
        );
        let thread = both["answer"]["conversation_id"].as_str().expect("an id").to_owned();
        let args = [&thread, "-", "--match", "(?i)^yes$"];
        let done = world.home.pipe("please say YES \n", &ask(&args, &way)).exits(0);
        assert_eq!(done.line(), "YES");
        world.home.run(&ask(&[&thread[28..], "Hi"], &way)).exits(2);
    }
}

async fn the_exit_code_says_why_there_is_no_answer(db: TestDatabase) {
    let world = quick(db).await;
    for (way, contact) in ways(&world).iter().zip(["+12125550001", "+12125550002"]) {
        let late = ["--timeout", "1s"];
        let args = [&[CONTACT, "Well?", "--match", "^yes$"][..], &late].concat();
        let done = world.home.run(&ask(&args, way)).exits(8);
        assert!(done.err.contains("convo: no answer within 1 s\n"), "{}", done.err);
        assert!(done.err.contains("--idempotency-key ") && done.out.is_empty(), "{}", done.err);
        for (behaviour, exit) in [
            (Behaviour::Refused, 6),
            (Behaviour::OptedOut, 7),
            (Behaviour::Undeliverable, 6),
            (Behaviour::SendingFailed, 6),
            (Behaviour::Unconfirmed, 8),
            (Behaviour::Vanished, 9),
        ] {
            let args = [&[behaviour.number(), "Well?"][..], &late].concat();
            let done = world.home.run(&ask(&args, way)).exits(exit);
            assert_eq!(done.out, "", "{behaviour:?}");
        }
        let done = world.home.run(&ask(&[contact, "please say STOP", "--json"], way)).exits(7);
        let error = done.error();
        assert_eq!((&error["code"], &error["exit"]), (&"opted_out".into(), &7.into()));
        assert!(is_id(error["message_id"].as_str().expect("an id")) && done.out.is_empty());
        world.home.run(&ask(&[contact, "Well?"], way)).exits(7);
    }
}

/// Waits until so many of a contact's texts were delivered.
fn wait_until_delivered(world: &World, contact: &str, count: usize) {
    world.wait_for_thread(contact, |thread| {
        let messages = thread["messages"].as_array().expect("messages");
        messages.iter().filter(|message| message["status"] == "delivered").count() == count
    });
}

async fn older_texts_are_no_answers_and_the_next_one_answers_every_question(db: TestDatabase) {
    let world = quick(db).await;
    for (way, contact) in ways(&world).iter().zip([silent(), CONTACT]) {
        let args = [contact, "please say 1", "--match", "^[a-z ]+$"];
        let start = || world.home.start(&ask(&args, way));
        let event = |id: &str, text: &str| Event::inbound(id, id, contact, text);
        let name = |id: &str| format!("{id}{}", way.len());
        let post = |event: Event| world.signer.post_to(world.server.address, event.to_string());
        assert_eq!(post(event(&name("before"), "sent before")).await, "stored");
        let asked: Vec<Running> = vec![start(), start()];
        wait_until_delivered(&world, contact, 2);
        let now = convo::clock::now();
        assert_eq!(post(event(&name("picture"), "").received_at(now)).await, "stored");
        let other = serde_json::json!([{"phone_number": "+15557654321"}]);
        // What counts is when it was stored; Telnyx's clock may say anything.
        let answer = event(&name("answer"), "sent after").with("to", other);
        assert_eq!(post(answer).await, "stored");
        for asked in asked {
            assert_eq!(asked.wait().exits(0).line(), "sent after");
        }
    }
}

async fn a_question_is_sent_once_under_its_key(db: TestDatabase) {
    let world = quick(db).await;
    for (way, key) in ways(&world).iter().zip(["here", "there"]) {
        let args = ask(&[CONTACT, "please say blue", "--idempotency-key", key], way);
        assert_eq!(world.home.run(&args).exits(0).line(), "blue");
        let offers = world.offers();
        world.home.run(&["send", CONTACT, "please say green"]).exits(0);
        world.wait_for_thread(CONTACT, |thread| {
            let messages = thread["messages"].as_array().expect("messages");
            messages.last().is_some_and(|message| message["body"] == "green")
        });
        assert_eq!(world.home.run(&args).exits(0).line(), "blue");
        let green = [&args[..], &["--match", "green"]].concat();
        assert_eq!(world.home.run(&green).exits(0).line(), "green");
        let late = [&args[..], &["--match", "red", "--timeout", "0s"]].concat();
        world.home.run(&late).exits(8);
        assert_eq!(world.offers(), offers + 1, "the one of `send`");
        let other = ask(&[CONTACT, "please say red", "--idempotency-key", key], way);
        world.home.run(&other).exits(2);
        // Also when the feed no longer reaches back to the question.
        let trim = "DELETE FROM feed WHERE position < (SELECT max(position) FROM feed)";
        execute(&world.db.url, trim).await;
        assert_eq!(world.home.run(&args).exits(0).line(), "blue");
        assert_eq!(world.home.run(&green).exits(0).line(), "green");
    }
}

/// The server is killed and another one takes its place while the answer is waited for.
async fn a_question_survives_the_restart_of_its_server(db: TestDatabase) {
    let mut world = quick(db).await;
    let (url, address) = (world.server.url(), world.server.address);
    let asked = world.home.start(&["ask", silent(), "Well?", "--server", &url]);
    wait_until_delivered(&world, silent(), 1);
    let next = || Server::start_with(&world.home, &["serve", "--listen", &address.to_string()]);
    let event = |id: &str, text: &str| Event::inbound(id, id, silent(), text);
    world.server.signal(Signal::KILL);
    wait_until("the server to end", || std::net::TcpStream::connect(address).is_err());
    let server = next();
    world.server = server;
    let now = convo::clock::now();
    let answer = event("answer", "here I am").received_at(now);
    assert_eq!(world.signer.post_to(address, answer.to_string()).await, "stored");
    assert_eq!(asked.wait().exits(0).line(), "here I am");
    assert_eq!(world.offers(), 1);
}

on_both_databases!(
    a_question_survives_the_restart_of_its_server,
    the_contacts_next_text_is_the_answer,
    the_exit_code_says_why_there_is_no_answer,
    older_texts_are_no_answers_and_the_next_one_answers_every_question,
    a_question_is_sent_once_under_its_key,
);

/// What is wrong is found before anything is sent, and Ctrl-C ends the wait.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_for_a_wrong_command_and_an_interrupt_ends_the_wait() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    for (args, expected) in [
        (&[CONTACT, "Well?", "--match", "(yes"][..], "unclosed group"),
        (&[CONTACT, "Well?", "--timeout", "soon"], "30s, 2m or 1h"),
        (&[CONTACT, ""], "the message is empty"),
        (&["2125551234", "Well?"], "country code"),
        (&[CONTACT, "Well?", "--idempotency-key", "a b"], "idempotency key"),
    ] {
        home.run(&[&["ask"], args].concat()).exits(2).reports(expected);
    }
    assert_eq!(telnyx.offers().len(), 0);
    let asked = home.start(&["ask", CONTACT, "Well?", "--from", OWN, "--json"]);
    let sent = wait_for("the question to be queued", || {
        let list = home.run(&["show", CONTACT, "--json"]);
        let thread = (list.code == 0).then(|| list.json())?;
        let message: Value = thread["messages"][0].clone();
        (message["status"] == "queued").then_some(message)
    });
    asked.signal(Signal::INT);
    let error = asked.wait().exits(8).error();
    assert_eq!((&error["code"], &error["message_id"]), (&"timed_out".into(), &sent["id"]));
    assert!(error["message"].as_str().is_some_and(|told| told.contains("interrupted")), "{error}");
}
