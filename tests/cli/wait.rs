//! `convo send --wait`: the exit code tells what became of the text.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use convo::sandbox::Behaviour;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Home, OWN, StandIn, World, is_id};
use crate::on_both_databases;
use crate::support::TestDatabase;

async fn the_exit_code_tells_how_it_ended(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        for (behaviour, wait, exit, told) in [
            (Behaviour::Silent, "--wait", 0, "delivered to "),
            (Behaviour::Silent, "--wait=sent", 0, " to "),
            (Behaviour::Silent, "--wait=delivered", 0, "delivered to "),
            (Behaviour::Undeliverable, "--wait", 6, "delivery_failed"),
            (Behaviour::SendingFailed, "--wait=sent", 6, "sending_failed"),
            (Behaviour::Unconfirmed, "--wait", 0, "sent to "),
            (Behaviour::Unconfirmed, "--wait=sent", 0, "sent to "),
            (Behaviour::Unconfirmed, "--wait=delivered", 9, "never confirmed"),
            (Behaviour::Refused, "--wait", 6, "Invalid"),
        ] {
            let args = ["send", behaviour.number(), "Hi", wait];
            let done = world.home.run(&[&args, remote].concat()).exits(exit);
            assert!(is_id(done.line()), "{wait}: {}", done.out);
            assert!(done.err.contains(told), "{wait} {}: {}", behaviour.number(), done.err);
        }
        let args = ["send", Behaviour::Unconfirmed.number(), "Hi", "--wait=delivered", "--json"];
        let done = world.home.run(&[&args, remote].concat()).exits(9);
        assert!(done.error()["idempotency_key"].is_string(), "{}", done.err);
        // Silence: the answer is lost and no report ever comes.
        let args = ["send", Behaviour::Vanished.number(), "Hi", "--wait", "--timeout", "1s"];
        let done = world.home.run(&[&args, remote].concat()).exits(9);
        assert!(is_id(done.line()) && done.err.contains("--idempotency-key "), "{}", done.err);
        // The answer is lost, but a report settles it.
        let args = ["send", Behaviour::AnswerLost.number(), "Hi", "--wait", "--json"];
        let message = world.home.run(&[&args, remote].concat()).silent().json();
        assert_eq!(message["status"], "delivered");
    }
}

on_both_databases!(the_exit_code_tells_how_it_ended);

/// A home whose sends are accepted, and never reported on.
async fn accepted() -> (Home, StandIn) {
    let answer = r#"{"data":{"id":"{n}","to":[{"status":"queued"}]}}"#;
    let telnyx = StandIn::with("200 OK", "", answer).await;
    let home = Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", &telnyx.base_url);
    (home, telnyx)
}

#[tokio::test(flavor = "multi_thread")]
async fn to_wait_in_vain_is_8_and_the_text_is_sent_once() {
    let (home, telnyx) = accepted().await;
    let send = ["send", "+12125551234", "Hi", "--wait=delivered", "--timeout", "1s"];
    let done = home.run(&send).exits(8).tells("the message was still queued after 1 s");
    assert!(is_id(done.line()));
    let done = home.run(&[&send[..], &["--json"]].concat()).exits(8);
    assert_eq!(done.json()["status"], "queued");
    let error = done.error();
    assert_eq!((&error["code"], &error["exit"]), (&"not_final".into(), &8.into()));
    assert_eq!(error["message_id"], done.json()["id"]);
    let posts = telnyx.asked().iter().filter(|(head, _)| head.starts_with("post")).count();
    assert_eq!(posts, 2, "one for each send");
    for (wrong, told) in [
        (&["--wait", "--dry-run"][..], "--dry-run"),
        (&["--timeout", "3s"], "--wait"),
        (&["--wait", "--timeout", "soon"], "30s, 2m or 1h"),
        (&["--wait=read"], "'read'"),
    ] {
        let args = [&["send", "+12125551234", "Hi"][..], wrong].concat();
        home.run(&args).exits(2).tells(told);
    }
}

/// The id is there before the end, and Ctrl-C tells what is known.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_comes_at_once_and_an_interrupt_ends_the_wait() {
    let (home, _telnyx) = accepted().await;
    let mut command = home.command(&["send", "+12125551234", "Hi", "--wait", "--timeout", "1h"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut id = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut id).expect("a line");
    assert!(is_id(id.trim_end()), "{id}");
    assert_eq!(child.try_wait().expect("a child"), None, "it waits");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
    kill_process(pid, Signal::INT).expect("signalled");
    let ended = child.wait_with_output().expect("it ends");
    let told = String::from_utf8(ended.stderr).expect("UTF-8");
    assert_eq!(ended.status.code(), Some(8), "{told}");
    assert!(told.contains("still queued when the wait was interrupted"), "{told}");
}
