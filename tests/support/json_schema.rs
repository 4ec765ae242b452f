//! JSON Schema: the library `jsonschema-rs` in a Python process. As a dependency of this package it would
//! switch on features of others that convo does without, so that the checks before a merge would compile
//! most dependencies once more for what is published.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

/// Reads a schema and a value, or only a schema, a line; writes what is wrong with them.
const SCRIPT: &str = "
import json, sys
import jsonschema_rs as library
for line in sys.stdin:
    asked = json.loads(line)
    try:
        if 'value' in asked:
            schema = library.validator_for(asked['schema'], validate_formats=asked['formats'])
            found = [f'{fault.instance_path}: {fault.message}' for fault in schema.iter_errors(asked['value'])]
        else:
            library.meta.validate(asked['schema'])
            library.validator_for(asked['schema'])
            found = []
    except (ValueError, library.ValidationError, library.ReferencingError) as error:
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

/// What is wrong with a value by a schema of the draft of 2020-12, formats included.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    ask(&json!({ "schema": schema, "value": value, "formats": true }))
}

/// The same without formats, which a schema may name without a promise.
pub fn faults_but_of_format(schema: &Value, value: &Value) -> Vec<String> {
    ask(&json!({ "schema": schema, "value": value, "formats": false }))
}

/// What is wrong with a schema.
pub fn schema_faults(schema: &Value) -> Vec<String> {
    ask(&json!({ "schema": schema }))
}

fn ask(question: &Value) -> Vec<String> {
    // A test that fails elsewhere leaves it in order.
    let mut validator = VALIDATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    writeln!(validator.input, "{question}").expect("the validator reads");
    let mut line = String::new();
    validator.output.read_line(&mut line).expect("the validator answers");
    serde_json::from_str(&line).expect("a list of faults")
}
