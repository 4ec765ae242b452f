//! A server without a token behind a real nginx: the webhook is reached, and nothing else.

use std::process::Stdio;

use crate::support::{
    CONTACT, Home, Nginx, Owner, Server, Signer, TestDatabase, bearer, inbound, raw, request,
};

const TOKEN: &str = "behind-a-proxy-0123456789";
/// How nginx asks since 1.29.7, with a host that names this machine.
const NEWER: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                     proxy_set_header Host localhost;";

/// What somebody elsewhere asks through the proxy.
async fn assert_only_the_webhook_is_open(server: &Server, proxy: &Nginx, signer: &Signer) {
    let ask = async |method: &str, path: &str, lines: &str, body: &str| {
        raw(proxy.address, request(method, path, lines, body)).await
    };
    for path in ["/conversations", "/messages/1", "/metrics", "/openapi.json"] {
        let refused = ask("GET", path, "", "").await;
        assert_eq!(refused.status_and_code(), (403, "forbidden".into()), "{path}");
    }
    let send = format!("/conversations/{CONTACT}/send?dry_run=true");
    assert_eq!(ask("POST", &send, "", r#"{"message":"Hi"}"#).await.status, 403);
    let ready = ask("GET", "/health/ready", "", "").await;
    assert!(ready.json().get("checks").is_none(), "{}", ready.body);
    assert_eq!(ask("GET", "/health", "", "").await.status, 200);
    let body = inbound("e1", "m1", CONTACT, "Hello");
    let posted = ask("POST", "/webhooks/sms", &signer.lines(&body), &body).await;
    assert_eq!(posted.status, 200, "{}", posted.body);
    // Beside it, a program of this user is served.
    assert_eq!(server.get("/conversations").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_nginx_opens_the_webhook_alone() {
    let signer = Signer::new(7);
    let home = Home::new().accepting(&signer);
    let server = Server::start(&home);
    let proxy = Nginx::before(server.address, "");
    assert_only_the_webhook_is_open(&server, &proxy, &signer).await;
}

/// Its requests differ from a local program's only in the user who makes them.
#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_hides_itself_is_known_by_its_user() {
    if !Owner::from_environment().is_another() {
        return;
    }
    let signer = Signer::new(7);
    let home = Home::new().accepting(&signer);
    let server = Server::start(&home);
    let proxy = Nginx::before(server.address, NEWER);
    assert_only_the_webhook_is_open(&server, &proxy, &signer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_token_is_served_through_either() {
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    for directives in ["", NEWER] {
        let proxy = Nginx::before(server.address, directives);
        let request = request("GET", "/conversations", &bearer(TOKEN), "");
        assert_eq!(raw(proxy.address, request).await.status, 200, "{directives}");
    }
}

/// Another user of this machine, without any proxy; also one that hangs up before it is answered,
/// whose socket the system then shows as root's.
#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_this_machine_is_a_stranger() {
    let owner = Owner::from_environment();
    if !owner.is_another() {
        return;
    }
    let db = TestDatabase::sqlite();
    let server = Server::start(&Home::new().with_database(&db));
    let (host, port) = (server.address.ip(), server.address.port());
    for read in ["cat <&3", "true"] {
        let script = format!(
            "exec 3<>/dev/tcp/{host}/{port}; \
             printf 'GET /conversations HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3; {read}"
        );
        let mut command = owner.command("bash".as_ref());
        let done = command.args(["-c", &script]).current_dir("/").stderr(Stdio::null()).output();
        let answer = String::from_utf8(done.expect("bash runs").stdout).expect("text");
        assert!(read == "true" || answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let served = |line: &str| line.contains("\"route\":\"/conversations\"") && line.contains("200");
    assert!(!server.log().lines().any(served), "{}", server.log());
}
