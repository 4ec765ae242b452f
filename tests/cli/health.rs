//! `convo health`: 0 or 5.

use crate::support::{FakeServer, Home, Reply, Server, Signer, closed_address};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_works_is_0_and_any_other_is_5() {
    let home = Home::new().set("CONVO_API_TOKEN", "a-token-of-32-letters-or-more-0123");
    let server = Server::start(&home);
    let url = server.url();
    let here = Home::new();
    assert_eq!(here.run(&["health", &url]).silent().out, "ok\n");
    assert_eq!(here.run(&["health", &url, "--json"]).silent().json()["status"], "ok");
    // Without a public key, no webhook would be accepted.
    here.run(&["health", "--ready", &url]).exits(5).reports("the convo server at");
    let known = home.without("DATABASE_URL").set("CONVO_SERVER", &url);
    known.run(&["health"]).silent();
    let done = known.run(&["health", "--ready"]).exits(5);
    assert!(done.reports("is not ready").err.contains("TELNYX_PUBLIC_KEY"));
    let listens = Home::new().set("CONVO_LISTEN", url.replace("http://", ""));
    listens.run(&["health"]).silent();
    let away = format!("http://{}", closed_address());
    here.run(&["health", &away]).exits(5).reports("cannot be reached");
    for answer in [
        Reply::Status(200, "<html>"),
        Reply::Status(404, "{}"),
        Reply::Raw(String::new()),
        Reply::Status(503, "busy"),
    ] {
        let other = FakeServer::replying(&[answer]).await;
        let url = other.url();
        for ready in [&[][..], &["--ready"]] {
            let args = [&["health", &url][..], ready].concat();
            here.run(&args).exits(5).reports("server at");
        }
    }
    let refused = here.run(&["health", &away, "--json"]).exits(5).error();
    assert_eq!((&refused["code"], &refused["exit"]), (&"server_unreachable".into(), &5.into()));
    here.run(&["health", "localhost"]).exits(2);
    assert_eq!(here.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_ready_says_so() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url()).accepting(&Signer::new(7));
    let server = Server::start(&home);
    assert_eq!(Home::new().run(&["health", "--ready", &server.url()]).silent().out, "ready\n");
}
