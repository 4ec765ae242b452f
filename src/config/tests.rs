//! Tests of the settings as a whole: which layer decides, and what is refused.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::layers::{Environment, Files};
use super::*;

/// A directory with files of settings, and an environment.
struct Place {
    dir: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
    files: Files,
}

impl Place {
    fn new(variables: &[(&str, &str)]) -> Self {
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, environment: environment.collect(), files: Files::default() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn dotenv(mut self, text: impl AsRef<[u8]>) -> Self {
        self.files.dotenv = Some(self.write("project/.env", text));
        self
    }

    /// The next weaker file of settings.
    fn settings(mut self, text: impl AsRef<[u8]>) -> Self {
        let name = format!("settings{}/env", self.files.settings.len());
        let path = self.write(&name, text);
        self.files.settings.push(path);
        self
    }

    fn config_with(&self, flags: Flags) -> Config {
        let environment = Environment::new(self.environment.clone());
        let directory = Some(self.path().join("project"));
        let source = Source::new(environment, self.files.clone(), directory);
        Config::new(flags, source).expect("flags that go together")
    }

    fn config(&self) -> Config {
        self.config_with(Flags::default())
    }
}

fn check(variables: &[(&str, &str)]) -> Result<Config, Error> {
    let config = Place::new(variables).config();
    config.check().map(|()| config)
}

fn source_of(config: &Config, name: &str) -> (Option<String>, String) {
    let setting = config.explain().into_iter().find(|setting| setting.name == name);
    let setting = setting.expect("a known variable");
    (setting.value, setting.source)
}

#[test]
fn the_defaults_are_the_contracts() {
    let place = Place::new(&[]);
    let config = place.config();
    let database = place.path().join("project/conversations.db");
    assert_eq!(config.database().expect("a default").path(), Some(database.as_path()));
    assert_eq!(config.listen().expect("a default"), "127.0.0.1:5000");
    let telnyx = config.telnyx().expect("a default");
    assert_eq!(telnyx.base_url.as_str(), "https://api.telnyx.com/v2");
    assert!(telnyx.api_key.is_none() && config.remote().expect("none").is_none());
}

/// The default that `convo config` shows is the one that applies.
#[test]
fn a_variable_set_to_its_default_changes_nothing() {
    let mut text = String::new();
    for variable in VARIABLES {
        if let Some(default) = variable.default {
            let _ = writeln!(text, "{}={default}", variable.name);
        }
    }
    let used = |config: &Config| {
        let (telnyx, policy) = (config.telnyx().expect("good"), config.policy().expect("good"));
        let (limits, stop) = (config.limits().expect("good"), config.stop().expect("good"));
        let started = (config.listen().expect("good"), config.start_timeout().expect("good"));
        format!("{telnyx:?} {policy:?} {limits:?} {stop:?} {started:?}")
    };
    let set = Place::new(&[]).dotenv(text);
    assert_eq!(used(&set.config()), used(&Place::new(&[]).config()));
    let path = set.config().database().expect("a database").path().map(Path::to_owned);
    assert_eq!(path, Some(set.path().join("project/conversations.db")));
}

#[test]
fn the_strongest_layer_decides() {
    let layers = ["environment", "/project/.env", "/settings0/env", "/settings1/env"];
    for strongest in 0..layers.len() {
        // An empty variable is unset.
        let value = |layer: usize| if layer < strongest { "" } else { layers[layer] };
        let line = |layer| format!("CONVO_LOG={}\n", value(layer));
        let place = Place::new(&[("CONVO_LOG", value(0))]);
        let place = place.dotenv(line(1)).settings(line(2)).settings(line(3));
        let (value, source) = source_of(&place.config(), "CONVO_LOG");
        assert_eq!(value.as_deref(), Some(layers[strongest]));
        assert!(source.ends_with(layers[strongest]), "{source}");
    }
}

#[test]
fn a_layer_that_cannot_be_read_stops_whoever_might_need_it() {
    let broken = "CONVO_LOG='\n";
    let database = [("DATABASE_URL", "sqlite:///here.db")];
    let server = [("CONVO_SERVER", "http://localhost:1")];
    let file = [("DATABASE_URL_FILE", "/nowhere")];
    let local = Flags { local: true, ..Flags::default() };
    let remote = Flags { server: Some("http://localhost:1".into()), ..Flags::default() };
    let sandbox = Flags { sandbox: true, ..Flags::default() };
    for (variables, flags, is_stopped) in [
        (&[][..], Flags::default(), true),
        (&[("TELNYX_API_KEY", "KEY")], Flags::default(), true),
        (&database, Flags::default(), false),
        (&file, Flags::default(), false),
        (&server, Flags::default(), false),
        (&server, local.clone(), true),
        (&database, local, false),
        (&[], remote, false),
        (&[], sandbox, false),
    ] {
        for place in [
            Place::new(variables).dotenv(broken),
            Place::new(variables).settings("").settings(broken),
        ] {
            let read = place.config_with(flags.clone()).find("CONVO_LISTEN");
            assert_eq!(read.is_err(), is_stopped, "{variables:?} {flags:?}");
            if let Err(error) = read {
                assert_eq!(error.exit_code(), 4);
                assert!(error.to_string().starts_with("line 1 of /"), "{error}");
            }
        }
    }
    // What is below cannot be told from what is not there.
    let place =
        Place::new(&[]).dotenv("CONVO_LISTEN=h:1\nDATABASE_URL=sqlite:a\n").settings(broken);
    assert!(place.config().find("CONVO_LOG").is_ok());
    assert_eq!(place.config().listen().expect("in the stronger layer"), "h:1");
}

#[test]
fn relative_paths_are_relative_to_their_layer() {
    let url = "DATABASE_URL=sqlite:///a.db\n";
    for (place, expected) in [
        (Place::new(&[("DATABASE_URL", "sqlite:///a.db")]), "project/a.db"),
        (Place::new(&[]).dotenv(url), "project/a.db"),
        (Place::new(&[]).settings(url), "settings0/a.db"),
    ] {
        let database = place.config().database().expect("a database");
        assert_eq!(database.path(), Some(place.path().join(expected).as_path()));
    }
}

#[test]
fn lists_and_numbers_are_read() {
    let config = check(&[
        ("TELNYX_PHONE_NUMBER", "+1 555 123 4567, +15557654321"),
        ("TELNYX_PUBLIC_KEY", "a, b,"),
        ("CONVO_API_TOKEN", "one,two"),
    ])
    .expect("good values");
    assert_eq!(config.numbers().expect("two")[0].as_str(), "+15551234567");
    assert_eq!(config.public_keys().expect("two").len(), 2);
    assert_eq!(config.api_tokens().expect("two").len(), 2);
}

#[test]
fn what_a_value_has_around_it_is_no_part_of_it() {
    for value in ["KEY", "KEY\n", " KEY\r\n", "\"KEY\"", "'KEY'", "\"KEY\"\n"] {
        let place = Place::new(&[("TELNYX_API_KEY", value), ("CONVO_API_TOKEN_FILE", "token")]);
        place.write("project/token", value);
        let config = place.config();
        let key = config.telnyx().expect("a key").api_key.expect("a key");
        assert_eq!(key.expose(), "KEY", "{value:?}");
        assert_eq!(config.api_tokens().expect("a token")[0].secret.expose(), "KEY", "{value:?}");
    }
}

#[test]
fn nonsense_names_its_variable() {
    for (name, value) in [
        ("TELNYX_PHONE_NUMBER", "5551234567"),
        ("TELNYX_BASE_URL", "http://example.com/v2"),
        ("TELNYX_BASE_URL", "https://u:secret@example.com/v2"),
        ("CONVO_LISTEN", ":5000"),
        ("CONVO_LISTEN", "5000"),
        ("CONVO_LISTEN", "::1:5000"),
        ("CONVO_SEND_TIMEOUT", "31"),
        ("CONVO_TAG", "maybe"),
        ("CONVO_SETTLE_WINDOW", "-1"),
        ("CONVO_SETTLE_WINDOW", "86401"),
        ("CONVO_REPLY_LIMIT", "-1"),
        ("CONVO_REPLY_LIMIT", "1001"),
        ("CONVO_SEND_LIMIT", "-1"),
        ("CONVO_SEND_LIMIT", "none"),
        ("CONVO_MAX_CONNECTIONS", "0"),
        ("CONVO_MAX_SENDS", "many"),
        ("CONVO_MAX_STREAMS", "0"),
        ("CONVO_KEEP_FEED", "30"),
        ("CONVO_KEEP_FEED", "0d"),
        ("CONVO_KEEP_FEED", "-1d"),
        ("CONVO_KEEP_FEED", "+1d"),
        ("CONVO_KEEP_FEED", "9999999999y"),
        ("CONVO_KEEP_FEED", "d"),
        ("CONVO_KEEP_FEED", "1 day"),
        ("CONVO_QUEUE", "-1"),
        ("CONVO_MAX_BODY", "1 GiB"),
        ("CONVO_MAX_BODY", "100"),
        ("CONVO_REQUEST_TIMEOUT", "0"),
        ("CONVO_KEEP_ALIVE", "inf"),
        ("CONVO_WEBHOOK_TIMEOUT", "2"),
        ("CONVO_START_TIMEOUT", "NaN"),
        ("CONVO_DRAIN", "10"),
        ("CONVO_SHUTDOWN_TIMEOUT", "0.5"),
        ("DATABASE_URL", "mysql://u:secret@h/d"),
        ("TELNYX_API_KEY_FILE", "nowhere"),
        ("CONVO_API_TOKEN_FILE", "/dev/zero"),
    ] {
        let error = check(&[(name, value)]).expect_err(value);
        let is_age = name.starts_with("CONVO_KEEP_") && name != "CONVO_KEEP_ALIVE";
        let code = if is_age { Code::InvalidRequest } else { Code::NotConfigured };
        assert_eq!(error.code(), code, "{value}");
        assert!(error.to_string().contains(name) || name == "DATABASE_URL", "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn a_wrong_setting_stops_only_what_needs_it() {
    let wrong = [
        ("TELNYX_API_KEY_FILE", "nowhere"),
        ("TELNYX_PHONE_NUMBER", "x"),
        ("CONVO_LISTEN", "x"),
        ("CONVO_MAX_SENDS", "x"),
        ("CONVO_SEND_TIMEOUT", "x"),
        ("CONVO_API_TOKEN", "a:b"),
    ];
    let mut place = Place::new(&wrong);
    let undecodable = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    place.environment.push(("TELNYX_PUBLIC_KEY".into(), undecodable));
    let config = place.config();
    assert!(config.database().is_ok() && config.remote().is_ok() && config.log().is_ok());
    assert!(config.telnyx().is_err() && config.limits().is_err() && config.listen().is_err());
    let error = config.public_keys().expect_err("no UTF-8");
    assert_eq!(error.to_string(), "TELNYX_PUBLIC_KEY is not valid UTF-8");
}

#[test]
fn an_age_has_a_unit() {
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3_600));
    for (text, age) in [
        ("90d", days(90)),
        ("2y", days(730)),
        ("2w", days(14)),
        ("48h", days(2)),
        ("forever", None),
        ("", days(30)),
    ] {
        let config = check(&[("CONVO_KEEP_FEED", text)]).expect(text);
        assert_eq!(config.policy().expect(text).keep_feed, age, "{text}");
    }
}

#[test]
fn limits_are_read() {
    let config = check(&[
        ("CONVO_MAX_CONNECTIONS", "2000"),
        ("CONVO_MAX_STREAMS", "5000"),
        ("CONVO_MAX_BODY", "256KiB"),
        ("CONVO_WEBHOOK_TIMEOUT", "0.75"),
        ("CONVO_KEEP_ALIVE", "90s"),
        ("CONVO_DRAIN", "20"),
        ("CONVO_SHUTDOWN_TIMEOUT", "40"),
    ])
    .expect("good values");
    let limits = config.limits().expect("good");
    assert_eq!((limits.connections, limits.streams, limits.body), (2_000, 5_000, 256 * 1024));
    assert_eq!(limits.webhook_time, Duration::from_millis(750));
    assert_eq!(limits.keep_alive, Duration::from_secs(90));
    assert_eq!(limits.sends, Limits::default().sends);
    assert_eq!(config.stop().expect("good").drain, Duration::from_secs(20));
    let short = check(&[("CONVO_SHUTDOWN_TIMEOUT", "2")]).and_then(|config| config.stop());
    let short = short.expect("a short deadline");
    assert!(short.drain < short.deadline, "the default drain gives way");
}

#[test]
fn a_sandbox_ignores_the_real_configuration() {
    let variables = [
        ("DATABASE_URL", "sqlite:////real.db"),
        ("TELNYX_API_KEY", "KEY"),
        ("TELNYX_BASE_URL", "https://api.telnyx.com/v2"),
        ("CONVO_SERVER", "https://example.com"),
        ("CONVO_API_TOKEN", "token"),
        ("CONVO_LISTEN", "127.0.0.1:5050"),
    ];
    let flags = Flags { sandbox: true, ..Flags::default() };
    let place = Place::new(&variables);
    let config = place.config_with(flags.clone());
    let path = place.path().join("project/sandbox.db");
    assert_eq!(config.database().expect("a database").path(), Some(path.as_path()));
    assert!(config.telnyx().expect("nothing").api_key.is_none());
    assert!(config.remote().expect("nothing").is_none());
    assert_eq!(config.api_tokens().expect("a token").len(), 1, "whoever sets one wants it");
    assert_eq!(config.listen().expect("an address"), "127.0.0.1:5050");
    let both = Flags { server: Some("http://localhost:5000".into()), ..flags };
    let error = Config::new(both, Source::read()).expect_err("exclusive flags");
    assert_eq!(error.code(), Code::InvalidRequest);
}

#[test]
fn flags_win() {
    let flags = Flags {
        server: Some("http://localhost:1/".into()),
        listen: Some("[::1]:7".into()),
        ..Flags::default()
    };
    let variables = [("CONVO_SERVER", "http://localhost:2"), ("CONVO_LISTEN", "x:1")];
    let config = Place::new(&variables).config_with(flags);
    let remote = config.remote().expect("a server").expect("a server");
    assert_eq!(remote.address, "http://localhost:1");
    assert_eq!(config.listen().expect("an address"), "[::1]:7");
    assert_eq!(source_of(&config, "CONVO_SERVER").1, "--server");
}

#[test]
fn a_server_is_ignored_only_on_request() {
    let place = Place::new(&[("CONVO_SERVER", "http://localhost:2")]);
    let error = place.config().require_database().expect_err("a server is set");
    assert_eq!((error.exit_code(), error.hint_text().is_some()), (2, true));
    let local = place.config_with(Flags { local: true, ..Flags::default() });
    assert!(local.require_database().is_ok() && local.remote().expect("none").is_none());
    let sandbox = place.config_with(Flags { sandbox: true, ..Flags::default() });
    assert!(sandbox.require_database().is_ok());
}

#[test]
fn the_dotenv_s_addresses_get_its_own_secrets_alone() {
    let telnyx = "TELNYX_BASE_URL=http://127.0.0.1:1/v2\n";
    let server = "CONVO_SERVER=http://127.0.0.1:1\n";
    for (place, may_go) in [
        (Place::new(&[("TELNYX_API_KEY", "K"), ("CONVO_API_TOKEN", "T")]), false),
        (Place::new(&[]).settings("TELNYX_API_KEY=K\nCONVO_API_TOKEN=T\n"), false),
        (Place::new(&[]), true),
    ] {
        let config = place.dotenv(format!("{telnyx}{server}")).config();
        assert_eq!(config.telnyx().is_ok(), may_go);
        assert_eq!(config.remote().is_ok(), may_go);
    }
    for (file, may_go) in [("key", true), ("sub/key", true), ("../key", false), ("link", false)] {
        let dotenv = format!("{telnyx}TELNYX_API_KEY_FILE={file}\n");
        let place = Place::new(&[]).dotenv(dotenv);
        for name in ["project/key", "project/sub/key", "key"] {
            place.write(name, "K");
        }
        let target = place.path().join("key");
        std::os::unix::fs::symlink(target, place.path().join("project/link")).expect("a link");
        assert_eq!(place.config().telnyx().is_ok(), may_go, "{file}");
    }
    let postgres = "DATABASE_URL=postgresql://me@db.example/convo\n";
    for (variables, text, may_go) in [
        (&[][..], postgres.to_owned(), true),
        (&[("PGPASSWORD", "pw")], postgres.to_owned(), false),
        (&[("PGPASSWORD", "pw")], postgres.replace("me@", "me:own@"), true),
        (&[("PGPASSWORD", "pw")], "DATABASE_URL=sqlite:///a.db\n".to_owned(), true),
        (&[("PGPASSWORD", "pw"), ("DATABASE_URL", "postgres://h/d")], postgres.to_owned(), true),
    ] {
        let place = Place::new(variables).dotenv(&text);
        assert_eq!(place.config().database().is_ok(), may_go, "{variables:?} {text}");
    }
}

#[test]
fn explaining_shows_no_secret() {
    let place = Place::new(&[
        ("TELNYX_API_KEY", "hunter2"),
        ("DATABASE_URL", "postgresql://u:hunter2@h/d"),
        ("CONVO_API_TOKEN_FILE", "token"),
        ("TELNYX_PUBLIC_KEY_FILE", "nowhere"),
    ]);
    place.write("project/token", "hunter2");
    let config = place.config();
    let shown = format!("{:?} {config:?}", config.explain());
    assert!(!shown.contains("hunter2"), "{shown}");
    let value = |name| source_of(&config, name);
    assert_eq!(value("TELNYX_API_KEY"), (Some("********".into()), "environment".into()));
    assert_eq!(value("DATABASE_URL").0.as_deref(), Some("postgresql://u:********@h/d"));
    assert_eq!(value("TELNYX_PUBLIC_KEY"), (None, "unreadable".into()));
    assert_eq!(value("CONVO_SERVER"), (None, "unset".into()));
    assert_eq!(value("CONVO_DRAIN"), (Some("3".into()), "default".into()));
}
