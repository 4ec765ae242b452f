//! The network as the settings and the system have it: addresses, proxies, certificates.

use std::net::{Ipv6Addr, SocketAddr};

use crate::support::{CONTACT, FakeServer, Home, OWN, Reply, Server, bearer, raw, request};

async fn fake() -> FakeServer {
    FakeServer::replying(&[Reply::Accept]).await
}

/// A client may take either address of the name.
#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_listened_on_in_both_families() {
    let home = Home::new();
    let server = Server::start_with(&home, &["serve", "--listen", "LocalHost:0"]);
    assert!(server.address.is_ipv4(), "{}", server.address);
    assert_eq!(server.get("/health").await.status, 200);
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("not tested without IPv6: its loopback address");
        return;
    }
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, server.address.port()));
    assert_eq!(raw(six, request("GET", "/health", "", "")).await.status, 200);
    let list = format!("http://localhost:{}", server.address.port());
    home.run(&["list", "--server", &list]).silent();
    let taken = format!("localhost:{}", server.address.port());
    home.run(&["serve", "--listen", &taken]).exits(5).reports("cannot listen on 127.0.0.1:");
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_incomplete_address_to_listen_on_is_not_configured() {
    for listen in [":5000", "5000", "localhost", "::1:5000", "[::1]"] {
        let done = Home::new().set("CONVO_LISTEN", listen).run(&["serve"]).exits(4);
        let done = done.reports("CONVO_LISTEN is not an address to listen on");
        assert!(done.err.contains("hint: write it as HOST:PORT"), "{}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_with_a_token_may_listen_on_a_public_address() {
    let token = "0123456789abcdef0123";
    let home = Home::new();
    let public = ["serve", "--sandbox", "--listen", "0.0.0.0:0"];
    home.run(&public).exits(4).reports("set CONVO_API_TOKEN");
    let home = home.set("CONVO_API_TOKEN", token);
    let server = Server::start_with(&home, &public);
    let address = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let status = |lines: String| async move {
        raw(address, request("GET", "/conversations", &lines, "")).await.status
    };
    assert_eq!(status(String::new()).await, 401);
    assert_eq!(status(bearer(token)).await, 200);
}

/// However the address of this machine is written, no proxy learns of what is sent to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_used_for_this_machine() {
    let (telnyx, proxy) = (fake().await, fake().await);
    let base = telnyx.base_url();
    let rest = base.strip_prefix("http://").expect("an address");
    let home = Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("ALL_PROXY", proxy.url())
        .set("HTTP_PROXY", proxy.url())
        .set("http_proxy", proxy.url());
    let spellings = [
        base.clone(),
        format!("HTTP://{rest}/"),
        format!("hTTp:/{rest}"),
        format!(" http:{rest}"),
        format!("http:\\\\{rest}"),
        format!("http://{}", rest.replace("127.0.0.1", "2130706433")),
    ];
    for url in &spellings {
        home.run_with(&[("TELNYX_BASE_URL", url)], &["send", CONTACT, "Hi"]).exits(0);
    }
    for part in [format!("http://me:hunter2@{rest}"), format!("{base}?x=y"), format!("{base}#x")] {
        let done = home.run_with(&[("TELNYX_BASE_URL", &part)], &["send", CONTACT, "Hi"]);
        assert!(!done.exits(4).reports("TELNYX_BASE_URL contains").err.contains("hunter2"));
    }
    let server = Server::start(&home);
    for url in [server.url(), server.url().replace("http://", " HTTP:/")] {
        home.run_with(&[("CONVO_SERVER", &url)], &["list"]).silent();
    }
    assert_eq!((telnyx.requests().len(), proxy.requests().len()), (spellings.len(), 0));
}

/// A SOCKS proxy would be talked to as if it spoke HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_is_not_configured() {
    let telnyx = fake().await;
    for variable in ["ALL_PROXY", "https_proxy"] {
        let home = Home::new()
            .set(variable, "socks5://127.0.0.1:9")
            .set("TELNYX_API_KEY", "KEY")
            .set("TELNYX_PHONE_NUMBER", OWN);
        for args in
            [&["send", CONTACT, "Hi"][..], &["serve"], &["list", "--server", "https://c.example"]]
        {
            let done = home.run(args).exits(4).reports("a socks5:// proxy");
            assert!(done.err.contains("NO_PROXY"), "{}", done.err);
        }
        assert_eq!(home.files(), [""; 0], "no database was made in vain");
        let local = [("TELNYX_BASE_URL", &*telnyx.base_url())];
        home.run_with(&local, &["send", CONTACT, "Hi"]).exits(0);
    }
}

/// Where nothing is encrypted, nobody needs a certificate.
#[tokio::test(flavor = "multi_thread")]
async fn no_certificates_are_needed_without_tls() {
    let telnyx = fake().await;
    let bare = |home: Home| home.set("SSL_CERT_FILE", "/nowhere").set("SSL_CERT_DIR", "/nowhere");
    let home = bare(Home::new());
    let server = Server::start_with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    home.run(&["--sandbox", "send", CONTACT, "Hi"]).exits(0);
    home.run(&["list", "--server", &server.url()]).silent();
    let home = bare(Home::new().sending_to(&telnyx.base_url()));
    home.run(&["send", CONTACT, "Hi"]).exits(0);
    let home = bare(Home::new()).set("TELNYX_API_KEY", "KEY").set("TELNYX_PHONE_NUMBER", OWN);
    home.run(&["send", CONTACT, "Hi"]).exits(4).reports("no CA certificates were found");
}

#[test]
fn an_unknown_time_zone_is_said_where_times_are_local() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    let list = |zone: &str, args: &[&str]| {
        home.run_with(&[("TZ", zone)], &[&["list"], args].concat()).exits(0).err
    };
    for zone in ["Mars/Base", "Europe/Berlim", ":nowhere"] {
        let said = list(zone, &["--format", "table"]);
        assert!(said.contains(&format!("TZ={zone} is unknown; times are shown in UTC")), "{said}");
        assert_eq!(list(zone, &[]) + &list(zone, &["--json"]), "", "these are in UTC");
        assert_eq!(list(zone, &["--format", "table", "--utc"]), "");
    }
    for zone in ["UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", ""] {
        assert_eq!(list(zone, &["--format", "table"]), "", "{zone}");
    }
}
