//! The tables of the README and of `docs/` agree with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Arg, CommandFactory};
use convo::commands::Cli;
use convo::config::VARIABLES;
use convo::error::Code;
use convo::sandbox::MAGIC_NUMBERS;

use crate::exposition;
use crate::markdown::{PAGES, anchors, code, code_spans, links, path, read, table};
use crate::play::Play;

#[test]
fn commands() {
    let rows = table(&read("README.md"), &["command", "what it does"]);
    let documented: BTreeSet<_> = rows.iter().map(|row| code(&row[0]).to_owned()).collect();
    let cli = Cli::command();
    let visible = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let usage = visible.map(|command| {
        let action = command.get_subcommand_value_name().map(str::to_owned);
        let positionals = action.into_iter().chain(command.get_positionals().map(placeholder));
        ["convo".to_owned(), command.get_name().to_owned()]
            .into_iter()
            .chain(positionals)
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(documented, usage.collect());
    assert_eq!(documented.len(), rows.len(), "a command stands there twice");
}

fn placeholder(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let name =
        names.first().map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    let takes_several = matches!(arg.get_action(), clap::ArgAction::Append);
    let name = if takes_several { format!("{name}...") } else { name };
    if arg.is_required_set() { name } else { format!("[{name}]") }
}

#[test]
fn variables() {
    let rows = table(&read("docs/reference.md"), &["variable", "default", ""]);
    let documented: BTreeSet<_> = rows.iter().map(|row| code(&row[0])).collect();
    assert_eq!(documented, VARIABLES.iter().map(|variable| variable.name).collect());
    assert_eq!(documented.len(), rows.len(), "a variable stands there twice");
    let in_files = rows.iter().filter(|row| row[2].contains("*file*")).map(|row| code(&row[0]));
    let secrets = VARIABLES.iter().filter(|variable| variable.is_secret);
    assert_eq!(in_files.collect::<BTreeSet<_>>(), secrets.map(|secret| secret.name).collect());
}

#[test]
fn the_example_of_env_has_every_variable() {
    let example = read(".env.example");
    let assigned = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let names = assigned.map(|(name, _)| name).filter(|name| !name.contains(' '));
    let known = VARIABLES.iter().map(|variable| variable.name);
    assert_eq!(names.collect::<BTreeSet<_>>(), known.collect());
}

#[test]
fn exit_codes() {
    let mut used: BTreeSet<_> = Code::ALL.iter().map(|code| code.exit_code().to_string()).collect();
    // Success is no failure.
    used.insert("0".to_owned());
    let rows = table(&read("README.md"), &["exit", "meaning"]);
    let documented: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, used.into_iter().collect::<Vec<_>>());
}

#[test]
fn magic_numbers() {
    let rows = table(&read("docs/reference.md"), &["number", "what happens"]);
    let documented: Vec<_> = rows.iter().map(|row| (code(&row[0]), row[1].as_str())).collect();
    let known: Vec<_> = MAGIC_NUMBERS.iter().map(|magic| (magic.number, magic.does)).collect();
    assert_eq!(documented, known);
}

#[test]
fn routes() {
    let rows = table(&read("docs/reference.md"), &["route", ""]);
    let documented: BTreeSet<_> = rows.iter().map(|row| pattern(code(&row[0]))).collect();
    assert_eq!(documented, routes_in_source(), "on the right src/server/routes");
    let play = Play::start("convo serve --sandbox");
    let word = |method: &str, path: &str| play.request(method, path).1["code"].clone();
    for route in &documented {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let path = path.replace("{}", "0190b2c3-6f70-7819-a2b3-c4d5e6f70819");
        let (status, body) = play.request(method, &path);
        assert_ne!(status, 0, "{route} is not answered");
        assert_ne!(body["code"], "not_found", "{route}");
        assert_ne!(body["code"], "method_not_allowed", "{route}");
        assert_eq!(word("PATCH", &path), "method_not_allowed", "{route}");
    }
    assert_eq!(word("GET", "/nowhere"), "not_found");
}

/// `GET /messages/{id}` as `GET /messages/{}`.
fn pattern(route: &str) -> String {
    let parts = route.split('{').enumerate();
    let parts = parts.map(|(at, part)| match part.split_once('}') {
        Some((_, rest)) if at > 0 => format!("{{}}{rest}"),
        _ => part.to_owned(),
    });
    parts.collect()
}

/// Each `path!` of the server with the method that follows it.
fn routes_in_source() -> BTreeSet<String> {
    let labels = read("src/metrics/labels.rs");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/routes");
    let files = std::fs::read_dir(directory).expect("the routes").map(|file| file.expect("a file"));
    let source: String =
        files.map(|file| std::fs::read_to_string(file.path()).expect("a source file")).collect();
    let leaves = source.split("path!(").skip(1).map(|leaf| {
        let (path, rest) = leaf.split_once(')').expect("a closed path");
        let segments = path.split(" / ").map(|segment| match segment.trim_matches('"') {
            "Segment" => "/{}".to_owned(),
            literal => format!("/{literal}"),
        });
        let segments = segments.collect::<String>();
        let (_, route) = rest.split_once(".and(route(Route::").expect("its route");
        let (name, rest) = route.split_once("))").expect("its end");
        let template = labels.lines().find_map(|line| {
            line.trim().strip_prefix(name)?.strip_prefix(" => \"")?.strip_suffix("\",")
        });
        let template = template.expect("the template of the route");
        assert_eq!(pattern(template), segments, "the template that logs and metrics name");
        let method = match rest.trim_start() {
            rest if rest.starts_with(".and(post())") => "POST",
            rest if rest.starts_with(".and(put") => "PUT",
            rest if rest.starts_with(".and(delete") => "DELETE",
            _ => "GET",
        };
        format!("{method} {segments}")
    });
    leaves.collect()
}

#[test]
fn fields_in_a_pipe() {
    let play = Play::start("convo serve --sandbox");
    let server = play.pasted("In another terminal, through this server:").join("\n");
    let rows = table(&read("docs/reference.md"), &["command", "fields in a pipe"]);
    assert_eq!(
        rows.iter().map(|row| code(&row[0])).collect::<Vec<_>>(),
        ["list", "show", "search", "contact list", "stats", "watch"]
    );
    play.terminal(&format!("{server}\nconvo name +12125551234 Ada"));
    let commands = [
        "list",
        "show +12125551234",
        "search",
        "contact list",
        "stats",
        "watch --since 1h --count 1",
    ];
    for (row, command) in rows.iter().zip(commands) {
        let csv = play.terminal(&format!("{server}\nconvo {command} --format csv")).out;
        let first = row[1].split(' ').next().expect("a field");
        let header = csv.lines().find(|line| line.starts_with(first)).expect("a header");
        assert_eq!(row[1].replace(", ", ","), header.trim(), "{command}");
        let pipe = play.terminal(&format!("{server}\nconvo {command}")).out;
        let record = pipe.lines().last().expect("a record");
        assert_eq!(record.split('\t').count(), header.split(',').count(), "{record}");
    }
}

#[test]
fn links_and_paths_lead_somewhere() {
    for page in PAGES {
        let text = read(page);
        let folder = Path::new(page).parent().expect("a page is a file");
        let elsewhere = |link: &&str| !link.contains("://") && !link.starts_with("mailto:");
        for link in links(&text).into_iter().filter(elsewhere) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { page.into() } else { folder.join(file) };
            let file = file.to_str().expect("UTF-8");
            assert!(path(file).exists(), "{page}: {link}");
            let has_anchor = anchor.is_empty() || anchors(&read(file)).contains(&anchor.into());
            assert!(has_anchor, "{page}: {link}");
        }
        let folders = ["src/", "tests/", "migration/", "man/", "completions/", "scripts/", ".ci/"];
        let spans = code_spans(&text).into_iter().filter(|span| !span.contains(['*', ' ']));
        for span in spans.filter(|span| folders.iter().any(|folder| span.starts_with(folder))) {
            assert!(path(&span).exists(), "{page}: {span}");
        }
    }
}

#[test]
fn checks() {
    let rows = table(&read("docs/observing.md"), &["check", "passes when"]);
    let documented: Vec<_> = rows.iter().map(|row| code(&row[0]).to_owned()).collect();
    let (_, ready) = Play::start("convo serve --sandbox").request("GET", "/health/ready");
    let checks = ready["checks"].as_array().expect("checks").iter();
    let names = checks.map(|check| check["name"].as_str().expect("a name").to_owned());
    assert_eq!(documented, names.collect::<Vec<_>>());
}

/// Every metric of the page is served, and every one that is served stands there.
#[test]
fn metrics() {
    let rows = table(&read("docs/observing.md"), &["metric", "type", "labels", ""]);
    let documented: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let labels = code_spans(&row[2]).into_iter().collect::<BTreeSet<_>>();
            (code(&row[0]).to_owned(), (row[1].clone(), labels, row[3].clone()))
        })
        .collect();
    assert_eq!(documented.len(), rows.len(), "a metric stands there twice");
    let play = Play::start("convo serve --sandbox");
    let server = play.pasted("In another terminal, through this server:").join("\n");
    play.terminal(&format!("{server}\nconvo send +12125551234 Hello"));
    play.request("GET", "/nowhere");
    // The reports come by themselves; from the first on, everything is there.
    let served = play.until(|| {
        let page = play.terminal("curl http://localhost:5000/metrics").out;
        let served = exposition::parse(&page);
        served.contains_key("convo_webhook_last_accepted_timestamp_seconds").then_some(served)
    });
    let words = code_spans(&read("docs/observing.md"));
    for (name, family) in &served {
        let labels = family.samples.iter().flat_map(|(_, labels, _)| labels);
        for (_, word) in labels.filter(|(label, _)| {
            ["outcome", "reason", "class", "state", "request"].contains(&label.as_str())
        }) {
            assert!(words.contains(word), "{name}: '{word}' is not explained");
        }
    }
    let served: BTreeMap<_, _> = served
        .into_iter()
        .map(|(name, family)| {
            let labels = family.samples.iter().flat_map(|(_, labels, _)| labels.keys());
            let labels = labels.filter(|label| *label != "le").cloned().collect();
            (name, (family.kind, labels, family.help))
        })
        .collect();
    for (name, told) in &documented {
        assert_eq!(served.get(name), Some(told), "{name}");
    }
    for name in served.keys().filter(|name| !name.starts_with("process_")) {
        assert!(documented.contains_key(name), "{name} is not documented");
    }
}

/// The alert rules are about metrics that there are, and labels and values that they have.
#[test]
fn alerts() {
    let pages = ["docs/observing.md", "docs/forwarding.md"].map(read);
    let words: BTreeSet<_> = pages.iter().flat_map(|page| code_spans(page)).collect();
    let rules = read("docs/alerts.yaml");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names: BTreeSet<_> = rules
        .split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("convo_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        assert!(words.contains(name), "{name} is no metric");
    }
    for (at, _) in rules.match_indices("=\"").chain(rules.match_indices("=~\"")) {
        let label = rules[..at].trim_end_matches('!').rsplit(|c: char| !is_part(c)).next();
        let value = rules[at..].split('"').nth(1).expect("a value");
        for value in value.split('|').filter(|_| label != Some("job")) {
            let is_code = Code::ALL.iter().any(|code| code.as_str() == value);
            let is_status = convo::domain::Status::parse(value).is_some();
            assert!(words.contains(value) || is_code || is_status, "{label:?}: {value}");
        }
    }
    let alerts = rules.matches("- alert: ").count();
    for field in ["expr: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(rules.matches(field).count(), alerts, "{field}");
    }
}

/// Prometheus itself accepts them, where its tool is installed.
#[test]
fn alerts_are_rules_for_prometheus() {
    let rules = path("docs/alerts.yaml");
    match std::process::Command::new("promtool").args(["check", "rules"]).arg(rules).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(_) => eprintln!("promtool is not installed"),
    }
}
