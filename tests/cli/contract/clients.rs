//! Programs that read the document: a generator of clients, and a tester that makes requests from it.
//!
//! They are Python packages. Where they cannot be installed, because there is no Python or no network,
//! the tests say so and end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Home, TestDatabase, World, inbound};

const PACKAGES: [&str; 2] = ["openapi-python-client==0.29.1", "schemathesis==4.32.5"];
/// The most Python classes of a generated client; it was 147 when every refusal was one.
const MOST_CLASSES: usize = 70;

const TOKEN: &str = "0123456789abcdef";

/// The directory with the installed programs; `None` if they cannot be installed.
fn tools() -> Option<&'static Path> {
    static TOOLS: OnceLock<Option<PathBuf>> = OnceLock::new();
    TOOLS.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi-tools");
    let bin = directory.join("bin");
    let is_done = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
    let created = is_done(Command::new("python3").args(["-m", "venv"]).arg(&directory));
    let pip = ["install", "--quiet", "--disable-pip-version-check"];
    let installed = created && is_done(Command::new(bin.join("pip")).args(pip).args(PACKAGES));
    if !installed {
        eprintln!("skipped: {PACKAGES:?} cannot be installed with python3 -m venv and pip");
    }
    installed.then_some(bin)
}

/// Runs an installed program in a home; what it wrote.
#[track_caller]
fn run(tools: &Path, home: &Home, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(tools.join(program));
    let done = command.args(args).current_dir(home.path()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let out = text(done.stdout);
    assert!(done.status.success(), "{program}: {out}\n{}", text(done.stderr));
    out
}

/// A server with two conversations.
async fn world() -> World {
    let token = |home: Home| home.set("CONVO_API_TOKEN", TOKEN);
    let world = World::with(TestDatabase::sqlite(), token).await;
    for n in 0..2 {
        let contact = format!("+1212555123{n}");
        let body = inbound(&format!("e{n}"), &format!("m{n}"), &contact, "Hi");
        world.signer.post(&world.server, body).await;
    }
    world
}

fn write_document(home: &Home) {
    home.write("openapi.json", home.run(&["openapi"]).silent().out);
}

const CLIENT: &str = r#"
import sys
from client import AuthenticatedClient
from client.api.conversations import get_conversation, get_message, list_conversations
from client.api.feed import read_events
from client.api.sending import send_message
from client.api.server import health
from client.models import Direction, Error, SendPlan, SendRequest, Thread

client = AuthenticatedClient(base_url=sys.argv[1] + "/v1", token=sys.argv[2])
assert health.sync(client=client).status == "ok"
conversations = list_conversations.sync(client=client, direction=Direction.INBOUND, limit=10)
assert [each.contact_number for each in conversations] == ["+12125551231", "+12125551230"]
thread = get_conversation.sync(client=client, id=conversations[0].contact_number)
assert isinstance(thread, Thread) and thread.messages[0].body == "Hi"
since = conversations[1].last_message_at.replace(year=2020)
page = read_events.sync(client=client, since=since)
assert [event.kind for event in page.events] == ["message", "message"], page
assert page.events[0].message.body == "Hi" and page.next_ == page.events[1].cursor
message = get_message.sync(client=client, id=thread.messages[0].id)
assert message.history == [] and message.conversation_id == thread.id
plan = send_message.sync("+12125551230", client=client, body=SendRequest(message="Hi"), dry_run=True)
assert isinstance(plan, SendPlan) and plan.segments == 1
refused = get_conversation.sync(client=client, id="nobody")
assert isinstance(refused, Error) and refused.code == "conversation_not_found", refused
refused = send_message.sync("12125551230", client=client, body=SendRequest(message="Hi"))
assert isinstance(refused, Error) and refused.code == "invalid_number", refused
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_works_and_has_one_class_for_errors() {
    let Some(tools) = tools() else { return };
    let world = world().await;
    write_document(&world.home);
    let generate = ["generate", "--path", "openapi.json", "--meta", "none", "--output-path"];
    let out = run(
        tools,
        &world.home,
        "openapi-python-client",
        &[&generate[..], &["client", "--overwrite"]].concat(),
    );
    assert!(!out.contains("WARNING") && !out.contains("ERROR"), "{out}");
    let models = world.home.path().join("client/models");
    let names = std::fs::read_dir(models).expect("the models").flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().into_string().expect("text")).collect();
    assert!(names.len() < MOST_CLASSES, "{names:?}");
    world.home.write("use_client.py", CLIENT);
    run(tools, &world.home, "python", &["use_client.py", &world.server.url(), TOKEN]);
}

/// What the document cannot say: a search has words and not only exclusions, two positions exclude each
/// other, only cursors that were given out are known, a contact is a number or a name that somebody has, and
/// changes of the clock are in order. Nobody waits a minute for an event here.
const HOOKS: &str = r#"
import schemathesis

@schemathesis.hook
def map_query(context, query):
    if query and "before" in query and "after" in query:
        del query["before"]
    if context.operation.path == "/events" and query:
        query.pop("after", None)
        query.pop("wait", None)
    if context.operation.path == "/contacts" and query:
        query.pop("after", None)
    if context.operation.path == "/stats" and query and "utc_offset" in query:
        query["utc_offset"] = "+02:00"
    if context.operation.path == "/messages" and query:
        for name in ("q", "not"):
            if name in query:
                query[name] = "hi" if name == "q" else "nothing"
        if "q" not in query:
            query.pop("not", None)
    return query

@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if context.operation.path == "/contacts/{id}":
        path_parameters["id"] = "+12125551234"
    return path_parameters
"#;

/// What the document cannot say of a message: there is a text or a file, the sender is one of the
/// server's numbers, files are at URLs, only an MMS has a subject, and a time is not in the past. An
/// idempotency key is not used for two messages.
const SENDING_HOOKS: &str = r#"
import uuid
import schemathesis

@schemathesis.hook
def map_headers(context, headers):
    if headers and headers.get("Idempotency-Key"):
        headers["Idempotency-Key"] = f"{headers['Idempotency-Key'][:200]}-{uuid.uuid4()}"
    return headers

@schemathesis.hook
def map_body(context, body):
    path = context.operation.path
    if path.endswith("/check"):
        return {"rows": []}
    if not path.endswith("/send"):
        return body
    kept = {name: body[name] for name in ("no_retry", "despite_opt_out") if name in body}
    return kept | {"message": (body.get("message") or "") + "."}
"#;

/// Requests made from the document, valid and invalid ones: no failure of the server, no answer that the
/// document does not describe, and nothing accepted or refused against it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tester_finds_no_contradiction() {
    let Some(tools) = tools() else { return };
    let world = world().await;
    write_document(&world.home);
    world.home.write("hooks.py", HOOKS);
    world.home.write("sending_hooks.py", SENDING_HOOKS);
    let url = format!("{}/v1", world.server.url());
    let check = |checks: &str, hooks: &str, arguments: &[&str]| {
        let mut command = Command::new(tools.join("schemathesis"));
        let done = command
            .args(["run", "openapi.json", "--url", &url, "--checks", checks, "--seed", "1"])
            .args(["--max-examples", "25", "--no-color", "-H"])
            .arg(format!("Authorization: Bearer {TOKEN}"))
            .args(arguments)
            .env("SCHEMATHESIS_HOOKS", hooks)
            .env("PYTHONPATH", world.home.path())
            .current_dir(world.home.path())
            .output()
            .expect("it starts");
        let out = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{out}\n{}", String::from_utf8_lossy(&done.stderr));
    };
    let conformance = "not_a_server_error,status_code_conformance,content_type_conformance,\
                       response_schema_conformance,response_headers_conformance";
    // Readiness is 503 for a reason of its own, and a webhook needs a signature.
    let not_ready = ["--exclude-path", "/health/ready"];
    // The hooks do not reach the requests of the coverage phase, and those for events would wait.
    let all = ["--exclude-path", "/events", "--phases", "examples,coverage,fuzzing"];
    check(conformance, "hooks", &[&not_ready[..], &all].concat());
    let events = ["--include-path", "/events", "--phases", "examples,fuzzing"];
    check(conformance, "hooks", &events);
    let (accepts, rejects) = ("positive_data_acceptance", "negative_data_rejection");
    let reading = ["--include-method", "GET", "--phases", "examples,fuzzing"];
    check(&format!("{accepts},{rejects}"), "hooks", &[&not_ready[..], &reading].concat());
    // Apart, because what the hook changes is not invalid any more. The messages go to a sandbox.
    let sending =
        |mode| ["--include-tag", "sending", "--phases", "examples,fuzzing", "--mode", mode];
    check(accepts, "sending_hooks", &sending("positive"));
    check(rejects, "hooks", &sending("negative"));
}
