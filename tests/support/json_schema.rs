//! JSON Schema: the library `jsonschema-rs` in a Python process. As a dependency of this package it would
//! switch on features of others that convo does without, so that the checks before a merge would compile
//! most dependencies once more for what is published.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

/// Reads a schema, and on a second line the values to hold against it; writes what is wrong with them.
const SCRIPT: &str = "
import functools, json, sys
import jsonschema_rs as library

@functools.cache
def schema_of(line):
    schema = json.loads(line)
    library.meta.validate(schema)
    return library.validator_for(schema, validate_formats=True)

for line in sys.stdin:
    asked = json.loads(sys.stdin.readline())
    try:
        schema = schema_of(line)
        found = [f'{fault.instance_path}: {fault.message}' for value in asked for fault in schema.iter_errors(value)]
    except (ValueError, library.ReferencingError) as error:
        found = [f'the schema: {error}']
    print(json.dumps(found), flush=True)
";

/// It ends with the tests, at the end of its input.
struct Validator {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

static VALIDATOR: LazyLock<Mutex<Validator>> = LazyLock::new(|| {
    let packages =
        std::env::var("CONVO_TEST_PYTHON").expect("CONVO_TEST_PYTHON is not set: run scripts/test");
    let mut process = Command::new("python3")
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let input = process.stdin.take().expect("piped");
    let output = BufReader::new(process.stdout.take().expect("piped"));
    Mutex::new(Validator { _process: process, input, output })
});

/// What is wrong with a value by a schema of the draft of 2020-12, formats included, or with the schema.
pub fn faults(schema: &str, value: &Value) -> Vec<String> {
    ask(schema, &json!([value]))
}

/// What is wrong with a schema.
pub fn schema_faults(schema: &str) -> Vec<String> {
    ask(schema, &json!([]))
}

fn ask(schema: &str, values: &Value) -> Vec<String> {
    // A test that fails elsewhere leaves it in order.
    let mut validator = VALIDATOR.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(validator.input, "{schema}\n{values}").expect("the validator reads");
    let mut line = String::new();
    validator.output.read_line(&mut line).expect("the validator answers");
    serde_json::from_str(&line).expect("a list of faults")
}
