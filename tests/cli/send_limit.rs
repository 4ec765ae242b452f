//! `CONVO_SEND_LIMIT`: how many texts a contact may get within an hour, here and through a server.

use serde_json::json;

use crate::on_both_databases;
use crate::support::{CONTACT, TestDatabase, World};

async fn a_contact_gets_no_more_texts_than_are_allowed(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_LIMIT", "2")).await;
    let url = world.server.url();
    world.home.run(&["send", CONTACT, "One"]).exits(0);
    world.home.run(&["send", CONTACT, "Two", "--server", &url]).exits(0);
    for remote in [&[][..], &["--server", &url]] {
        let third = [&["send", CONTACT, "Three"], remote].concat();
        let done = world.home.run(&third).exits(5).reports("2 texts within the last hour");
        assert_eq!(done.out, "", "nothing was stored");
        let error = world.home.run(&[&third[..], &["--json"]].concat()).exits(5).error();
        assert_eq!(error["code"], "send_limit");
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("--despite-send-limit")));
    }
    let path = format!("/conversations/{CONTACT}/send");
    let answer = world.server.post(&path, "", &json!({"message": "Three"}).to_string()).await;
    assert_eq!(answer.status_and_code(), (429, "send_limit".into()));
    let wait: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((3_500..=3_601).contains(&wait), "{wait}");
    assert_eq!(world.offers(), 2);
    world.home.run(&["send", CONTACT, "Three", "--despite-send-limit"]).exits(0);
    let despite = ["send", CONTACT, "Four", "--despite-send-limit", "--server", &url];
    world.home.run(&despite).exits(0);
    assert_eq!(world.offers(), 4);
}

on_both_databases!(a_contact_gets_no_more_texts_than_are_allowed,);
