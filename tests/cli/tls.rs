//! PostgreSQL over TLS, and where its password may be kept.

use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sea_orm::{ConnectionTrait, Database, Statement};

use crate::harness::{CONTACT, Done, Home, Running, Server, Signer, inbound};
use crate::support::cluster::Cluster;

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
    let mut command = home.command(args);
    command.env("DATABASE_URL", url);
    Running::start(command, None).wait()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_the_one_that_was_meant() {
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
    let not_trusted = "not signed by an authority that is trusted";
    for (host, parameters, told) in [
        ("localhost", "sslmode=verify-full&sslrootcert=theirs.crt", not_trusted),
        ("localhost", "sslmode=verify-full", not_trusted),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=theirs.crt", not_trusted),
        ("127.0.0.1", "sslmode=require&sslrootcert=theirs.crt", not_trusted),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=ours.crt", "made for another host"),
        ("127.0.0.1", "sslmode=disable", "no encryption"),
        ("localhost", "sslmode=verify-full&sslrootcert=none.crt", "none.crt"),
    ] {
        with(host, parameters).exits(4).tells(told);
    }
    let plain = Cluster::start();
    for mode in ["require", "verify-full"] {
        let url = format!("{}?sslmode={mode}", plain.url());
        run(&home, &url, &["list"]).exits(4).tells("it does not speak TLS");
    }
}

/// A server whose every connection is encrypted, and that shows a certificate of its own.
#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_over_tls() {
    let authority = authority();
    let cluster = encrypted(&authority);
    let admin = Database::connect(cluster.url()).await.expect("it answers");
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
    let home = home.set("DATABASE_URL", url).set("TELNYX_PUBLIC_KEY", signer.public_key());
    let server = Server::start(&home);
    assert_eq!(signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await, "stored");
    home.run(&["show", CONTACT]).silent();
    let asked = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl \
                 JOIN pg_stat_activity USING (pid) WHERE usename = 'certified'";
    let asked = Statement::from_string(sea_orm::DatabaseBackend::Postgres, asked);
    let row = admin.query_one_raw(asked).await.expect("asked").expect("a row");
    let count = |place| row.try_get_by_index::<i64>(place).expect("a count");
    assert!(count(1) >= 2 && count(0) == count(1), "{} of {}", count(0), count(1));
}

/// In the URL, in a file that holds the URL, in PostgreSQL's own password file; and never told.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_found_and_never_told() {
    let cluster = encrypted(&authority());
    let admin = Database::connect(cluster.url()).await.expect("it answers");
    let role =
        "CREATE ROLE guarded LOGIN PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO guarded";
    admin.execute_unprepared(role).await.expect("a role");
    let port = cluster.port();
    let url = |password: &str| format!("postgres://guarded{password}@127.0.0.1:{port}/postgres");
    let home = Home::new();
    run(&home, &url(":hunter2"), &["migrate"]).exits(0);
    home.write("url", url(":hunter2") + "\n");
    let mut command = home.command(&["list"]);
    command.env("DATABASE_URL_FILE", "url");
    Running::start(command, None).wait().silent();
    let private = |name: &str, text: String| {
        let path = home.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    };
    private("passwords", format!("127.0.0.1:{port}:*:guarded:hunter2\n"));
    let mut command = home.command(&["list"]);
    command.env("DATABASE_URL", url("")).env("PGPASSFILE", "passwords");
    Running::start(command, None).wait().silent();
    run(&home, &url(""), &["list"]).exits(4).tells("password authentication failed");
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
            let mut command = home.command(args);
            command.env("DATABASE_URL", &wrong).env("CONVO_LOG", "trace");
            command.env("CONVO_START_TIMEOUT", "0");
            let done = Running::start(command, None).wait().exits(exit);
            assert!(!done.err.contains("s3cret"), "{}", done.err);
        }
    }
}
