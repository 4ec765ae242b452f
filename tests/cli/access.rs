//! Who may call, and where a server may listen.

use crate::support::{CONTACT, Home, Server};

/// The status of a request made of these header lines.
async fn ask(server: &Server, line: &str, headers: &str) -> (u16, String) {
    let length = if line.starts_with("POST") { "content-length: 2\r\n" } else { "" };
    let body = if line.starts_with("POST") { "{}" } else { "" };
    let request = format!("{line} HTTP/1.1\r\n{headers}connection: close\r\n{length}\r\n{body}");
    let answer = server.raw(request).await;
    match answer.status {
        200 => (200, String::new()),
        _ => answer.status_and_code(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_only_direct_local_callers_are_served() {
    let home = Home::new();
    let server = Server::start(&home);
    let port = server.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LocalHost", "127.0.0.2"] {
        let headers = format!("host: {host}:{port}\r\n");
        assert_eq!(ask(&server, "GET /conversations", &headers).await.0, 200, "{host}");
    }
    assert_eq!(
        ask(&server, "GET /conversations", "host: localhost\r\nsec-fetch-site: none\r\n").await.0,
        200
    );
    for headers in [
        "host: convo.example\r\n",
        "host: localhost.convo.example\r\n",
        "host: 127.0.0.1.nip.io\r\n",
        "host: localhost@evil.example\r\n",
        "host: \r\n",
        "host: localhost\r\nhost: evil.example\r\n",
        "host: localhost\r\norigin: http://localhost\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: localhost\r\nsec-fetch-site: same-origin\r\n",
        "host: localhost\r\nsec-fetch-site: cross-site\r\n",
        "host: localhost\r\nvia: 1.1 proxy\r\n",
        "host: localhost\r\nforwarded: for=127.0.0.1\r\n",
        "host: localhost\r\nx-forwarded-for: 127.0.0.1\r\n",
        "host: localhost\r\nX-Forwarded-Proto: https\r\n",
        "host: localhost\r\nx-forwarded-host: localhost\r\n",
        "host: localhost\r\nx-real-ip: 127.0.0.1\r\n",
    ] {
        for line in ["GET /conversations", "GET /metrics", "GET /messages/1"] {
            let answer = ask(&server, line, headers).await;
            assert_eq!(answer, (403, "forbidden".into()), "{line}: {headers}");
        }
        let ready = format!("GET /health/ready HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let ready = server.raw(ready).await;
        assert_eq!((ready.status, &*ready.body), (503, r#"{"status":"not ready"}"#), "{headers}");
        let send = format!("POST /conversations/{CONTACT}/send");
        let json = format!("{headers}content-type: application/json\r\n");
        assert_eq!(ask(&server, &send, &json).await, (403, "forbidden".into()), "{headers}");
        assert_eq!(ask(&server, "GET /health", headers).await.0, 200, "health is open");
        // Through the same tunnel the webhook is reached, and judged by its signature.
        let answer = ask(&server, "POST /webhooks/sms", headers).await;
        assert_eq!(answer, (401, "invalid_signature".into()), "{headers}");
    }
    // What a page in a browser can post without asking first.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = format!("host: localhost\r\ncontent-type: {kind}\r\n");
        let send = format!("POST /conversations/{CONTACT}/send");
        let answer = ask(&server, &send, &headers).await;
        assert_eq!(answer, (415, "unsupported_media_type".into()), "{kind}");
    }
    let answer = ask(&server, "GET http://evil.example/conversations", "host: localhost\r\n").await;
    assert_eq!(answer.0, 403);
}

/// Tricks with the host, over IPv4 and IPv6: none of them makes a stranger a local program.
#[tokio::test(flavor = "multi_thread")]
async fn only_loopback_names_in_host_are_accepted() {
    for listen in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        let home = Home::new();
        let server = Server::start_with(&home, &["serve", "--listen", listen]);
        let port = server.address.port();
        for host in ["localhost", "127.0.0.1", "127.255.0.1", "[::1]"] {
            let lines = format!("host: {host}:{port}\r\n");
            assert_eq!(ask(&server, "GET /conversations", &lines).await.0, 200, "{host}");
        }
        for host in [
            // Names that somebody else owns, or that a resolver may be led to point here.
            "rebound.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "localhost.localdomain",
            "ip6-localhost",
            // Other writings of addresses.
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:0:0:1%25lo]",
            "::1",
            "192.0.2.1",
            // Leftovers of a careless parser.
            "evil.example@localhost",
            "localhost@evil.example",
            "localhost:80:80",
            "localhost:80@evil.example",
            "localhost#evil.example",
            "localhost/evil.example",
            "localhost, evil.example",
            "localhost evil.example",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "[::1",
            "[::1]evil.example",
            "",
        ] {
            // A browser that was led here by its own page, and a bare program.
            let browser = "sec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\n\
                           referer: http://rebound.evil.example/\r\n";
            for more in ["", browser] {
                let lines = format!("host: {host}\r\n{more}");
                let answer = ask(&server, "GET /conversations", &lines).await;
                assert_eq!(answer, (403, "forbidden".into()), "{listen}: {host}");
            }
        }
        // Without a host at all, and with another one in the request line.
        for lines in ["", "host: localhost\r\n"] {
            let old = server.raw(format!("GET /conversations HTTP/1.0\r\n{lines}\r\n")).await;
            assert_eq!(old.status_and_code(), (403, "forbidden".into()), "{lines}");
        }
        let line = format!("GET http://rebound.evil.example:{port}/conversations");
        assert_eq!(ask(&server, &line, "host: localhost\r\n").await.0, 403);
    }
}

/// Whatever a proxy, a tunnel or a content network leaves in a request gives it away.
#[tokio::test(flavor = "multi_thread")]
async fn any_header_of_a_proxy_is_refused() {
    let home = Home::new();
    let server = Server::start(&home);
    for name in [
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-prefix",
        "X-FORWARDED-FOR",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-original-host",
        "x-envoy-external-address",
        "true-client-ip",
        "cf-connecting-ip",
        "proxy-connection",
        "client-ip",
        "x-amzn-trace-id",
        "x-amz-cf-id",
        "tailscale-user-login",
        "tailscale-user-name",
        "x-forwarded",
        "x-azure-clientip",
        "x-appengine-user-ip",
        "do-connecting-ip",
        "wl-proxy-client-ip",
        "x-cloud-trace-context",
        "ngrok-auth-user-email",
        "cdn-loop",
        "cf-ray",
        "fly-client-ip",
        "fastly-client-ip",
    ] {
        for value in ["127.0.0.1", "", "localhost"] {
            let lines = format!("host: localhost\r\n{name}: {value}\r\n");
            let answer = ask(&server, "GET /conversations", &lines).await;
            assert_eq!(answer, (403, "forbidden".into()), "{name}: {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_required_once_it_is_set() {
    let home = Home::new().set("CONVO_API_TOKEN", "alpha-token,beta-token");
    let server = Server::start(&home);
    for headers in [
        "host: localhost\r\n",
        "host: localhost\r\nauthorization: Bearer\r\n",
        "host: localhost\r\nauthorization: Bearer alpha\r\n",
        "host: localhost\r\nauthorization: Bearer alpha-token,beta-token\r\n",
        "host: localhost\r\nauthorization: Basic alpha-token\r\n",
        "host: localhost\r\nauthorization: Bearer alpha-token\r\nauthorization: Bearer x\r\n",
    ] {
        for line in ["GET /conversations", "GET /messages/1", "GET /metrics"] {
            let answer = ask(&server, line, headers).await;
            assert_eq!(answer, (401, "unauthorized".into()), "{line}: {headers}");
        }
    }
    for token in ["alpha-token", "beta-token"] {
        // With a token a proxy may stand in between.
        let headers = format!(
            "host: convo.example\r\nx-forwarded-for: 192.0.2.1\r\nauthorization: Bearer {token}\r\n"
        );
        assert_eq!(ask(&server, "GET /conversations", &headers).await.0, 200, "{token}");
        let old = format!("GET /conversations HTTP/1.0\r\n{headers}\r\n");
        assert_eq!(server.raw(old).await.status, 200, "also of HTTP/1.0");
    }
    assert_eq!(ask(&server, "GET /health", "host: localhost\r\n").await.0, 200);
}

#[test]
fn a_server_without_a_token_listens_on_loopback_only() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let home = Home::new();
        let args = ["serve", "--listen", listen];
        home.run(&args).exits(4).reports("without an API token would give anyone access");
        assert_eq!(home.files(), [""; 0], "nothing is made before");
        let home = Home::new().set("CONVO_LISTEN", listen);
        home.run(&["serve"]).exits(4).reports("CONVO_API_TOKEN");
        home.run(&["serve", "--sandbox"]).exits(4).reports("give anyone access");
    }
    let home = Home::new().set("NOTIFY_SOCKET", "1");
    let args = ["serve", "--listen", "127.0.0.1:0"];
    home.run(&args).exits(4).reports("an API token is required under systemd");
    let home = home.set("CONVO_API_TOKEN", "token");
    assert_eq!(Server::start_with(&home, &args).stop(), 0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let home = Home::new();
    home.run(&["serve", "--listen", &listen]).exits(5).reports("cannot listen on");
    assert_eq!(home.files(), [""; 0]);
}
