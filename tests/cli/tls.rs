//! PostgreSQL over TLS, and where its password may be kept.

use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sea_orm::ConnectionTrait;

use crate::support::{CONTACT, Cluster, Done, Home, Server, Signer, connect, inbound, query_one};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate for a host or a user, and its key.
fn certificate(authority: &Authority, host: &str, user: &str) -> (String, String) {
    let hosts = if host.is_empty() { Vec::new() } else { vec![host.to_owned()] };
    let mut params = CertificateParams::new(hosts).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, user);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

/// A server that speaks TLS alone, and knows itself as `localhost`.
fn encrypted(authority: &Authority) -> Cluster {
    let (certificate, key) = certificate(authority, "localhost", "server");
    Cluster::with(|cluster| {
        let hba = "hostssl all convo 127.0.0.1/32 trust\n\
                   hostssl all certified 127.0.0.1/32 cert\n\
                   hostssl all guarded 127.0.0.1/32 scram-sha-256\n";
        let file = |name, text: &str| cluster.put(name, text).display().to_string();
        format!(
            "\nssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\nssl_ca_file = '{}'\n\
             hba_file = '{}'\n",
            file("server.crt", &certificate),
            file("server.key", &key),
            file("authority.crt", &authority.as_ref().pem()),
            file("hba.conf", hba),
        )
    })
}

fn run(home: &Home, url: &str, args: &[&str]) -> Done {
    home.run_with(&[("DATABASE_URL", url)], args)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_server_is_verified() {
    let (ours, theirs) = (authority(), authority());
    let cluster = encrypted(&ours);
    let home = Home::new();
    home.write("ours.crt", ours.as_ref().pem());
    home.write("theirs.crt", theirs.as_ref().pem());
    let port = cluster.port();
    let with = |host: &str, parameters: &str| {
        let url = format!("postgres://convo@{host}:{port}/postgres?{parameters}");
        run(&home, &url, &["migrate"])
    };
    for (host, parameters) in [
        ("localhost", "sslmode=verify-full&sslrootcert=ours.crt"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=ours.crt"),
        ("127.0.0.1", "sslmode=require&sslrootcert=ours.crt"),
        ("127.0.0.1", "sslmode=require"),
        ("127.0.0.1", "sslmode=prefer"),
        ("127.0.0.1", "sslmode=allow"),
        ("127.0.0.1", ""),
    ] {
        assert_eq!(with(host, parameters).exits(0).out, "", "{host} {parameters}");
    }
    let not_trusted = "not signed by a trusted authority";
    for (host, parameters, expected) in [
        ("localhost", "sslmode=verify-full&sslrootcert=theirs.crt", not_trusted),
        ("localhost", "sslmode=verify-full", not_trusted),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=theirs.crt", not_trusted),
        ("127.0.0.1", "sslmode=require&sslrootcert=theirs.crt", not_trusted),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=ours.crt", "is for another host name"),
        ("127.0.0.1", "sslmode=disable", "no encryption"),
        ("localhost", "sslmode=verify-full&sslrootcert=none.crt", "none.crt"),
    ] {
        with(host, parameters).exits(4).reports(expected);
    }
    let plain = Cluster::start();
    for mode in ["require", "verify-full"] {
        let url = format!("{}?sslmode={mode}", plain.url());
        run(&home, &url, &["list"]).exits(4).reports("the server does not support TLS");
    }
}

/// A server whose every connection is encrypted, and that shows a certificate of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_encrypted() {
    let authority = authority();
    let cluster = encrypted(&authority);
    let admin = connect(&cluster.url()).await;
    let role = "CREATE ROLE certified LOGIN; GRANT ALL ON SCHEMA public TO certified";
    admin.execute_unprepared(role).await.expect("a role");
    let signer = Signer::new(7);
    let home = Home::new();
    let (certificate, key) = certificate(&authority, "", "certified");
    home.write("authority.crt", authority.as_ref().pem());
    home.write("client.crt", certificate);
    home.write("client.key", key);
    let url = format!(
        "postgres://certified@localhost:{}/postgres?sslmode=verify-full\
         &sslrootcert=authority.crt&sslcert=client.crt&sslkey=client.key",
        cluster.port()
    );
    let home = home.set("DATABASE_URL", url).accepting(&signer);
    let server = Server::start(&home);
    assert_eq!(signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await, "stored");
    home.run(&["show", CONTACT]).silent();
    let asked = "SELECT count(*) FROM pg_stat_ssl \
                 JOIN pg_stat_activity USING (pid) WHERE usename = 'certified'";
    let encrypted = query_one::<i64>(&admin, &format!("{asked} AND ssl")).await;
    let all = query_one::<i64>(&admin, asked).await;
    assert!(all >= 2 && encrypted == all, "{encrypted} of {all}");
}

/// In the URL, in a file that holds the URL, in PostgreSQL's own password file; and never told.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_found_and_never_printed() {
    let cluster = encrypted(&authority());
    let admin = connect(&cluster.url()).await;
    let role =
        "CREATE ROLE guarded LOGIN PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO guarded";
    admin.execute_unprepared(role).await.expect("a role");
    let port = cluster.port();
    let url = |password: &str| format!("postgres://guarded{password}@127.0.0.1:{port}/postgres");
    let home = Home::new();
    run(&home, &url(":hunter2"), &["migrate"]).exits(0);
    home.write("url", url(":hunter2") + "\n");
    home.run_with(&[("DATABASE_URL_FILE", "url")], &["list"]).silent();
    let private = |name: &str, text: String| {
        let path = home.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    };
    private("passwords", format!("127.0.0.1:{port}:*:guarded:hunter2\n"));
    let variables = [("DATABASE_URL", url("")), ("PGPASSFILE", "passwords".to_owned())];
    home.run_with(&variables.each_ref().map(|(name, value)| (*name, value.as_str())), &["list"])
        .silent();
    run(&home, &url(""), &["list"]).exits(4).reports("password authentication failed");
    private(".pgpass", "*:*:*:guarded:hunter2\n".to_owned());
    run(&home, &url(""), &["list"]).silent();
    for (wrong, exit) in [
        (url(":s3cret"), 4),
        (format!("postgres://guarded:s3cret@127.0.0.1:{port}/none"), 4),
        ("postgres://guarded:s3cret@127.0.0.1:1/postgres".to_owned(), 5),
        ("postgres://guarded:s3cret@no-such-host.invalid/postgres".to_owned(), 5),
        (format!("postgres://guarded@127.0.0.1:{port}/none?password=s3cret"), 4),
        (format!("postgres://guarded:s3cret@127.0.0.1:{port}/d?sslmode=verify-full"), 4),
        (format!("postgres://guarded:s3cret@127.0.0.1:{port},b/d"), 4),
        (format!("postgres://guarded:s3cret@127.0.0.1:{port}/d?ssl=true&x=s3cret"), 4),
    ] {
        for args in [&["list"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
            let variables =
                [("DATABASE_URL", &*wrong), ("CONVO_LOG", "trace"), ("CONVO_START_TIMEOUT", "0")];
            let done = home.run_with(&variables, args).exits(exit);
            assert!(!done.err.contains("s3cret"), "{}", done.err);
        }
    }
}
