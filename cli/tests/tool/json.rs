//! JSON follows the schema in `cli/schema.json`.

use std::process::Command;

use serde_json::Value;
use shmcomm::semaphore::{self, New, Semaphore};
use shmcomm::{Name, Side};

use crate::support::*;

fn schema() -> Value {
    let text = std::fs::read_to_string(format!("{ROOT}/cli/schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What is wrong with a value, by the few words that the schema uses.
fn fault(value: &Value, schema: &Value, root: &Value) -> Option<String> {
    if let Some(reference) = schema.get("$ref") {
        let name = reference
            .as_str()
            .unwrap()
            .strip_prefix("#/$defs/")
            .unwrap();
        return fault(value, &root["$defs"][name], root);
    }
    if let Some(schemas) = schema.get("anyOf").and_then(Value::as_array) {
        let mut faults = schemas.iter().map(|schema| fault(value, schema, root));
        let first = faults.next().unwrap();
        return first.filter(|_| faults.all(|fault| fault.is_some()));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return (!values.contains(value)).then(|| format!("{value} is none of {values:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let fits = |allowed: &Value| *allowed == kind || (*allowed == "number" && kind == "integer");
    if !kinds.iter().any(fits) {
        return Some(format!("{value} is no {kinds:?}"));
    }
    if let Some(items) = value.as_array() {
        return items
            .iter()
            .find_map(|item| fault(item, &schema["items"], root));
    }
    let object = value.as_object()?;
    for required in schema["required"].as_array().unwrap() {
        if !object.contains_key(required.as_str().unwrap()) {
            return Some(format!("{required} is missing"));
        }
    }
    object
        .iter()
        .find_map(|(key, value)| match schema["properties"].get(key) {
            None => Some(format!("{key} is not in the schema")),
            Some(schema) => fault(value, schema, root).map(|fault| format!("{key}: {fault}")),
        })
}

/// Checks a line of output against the schema of its command; with Python's jsonschema too, where it is
/// installed.
fn check(command: &str, text: &str) -> Value {
    const VALIDATE: &str = "import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
schema['$ref'] = '#/$defs/' + sys.argv[2]
jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.validate(json.load(sys.stdin), schema)";

    let (value, root) = (serde_json::from_str(text).unwrap(), schema());
    let schema = &root["$defs"][command];
    assert_eq!(fault(&value, schema, &root), None, "{command}: {text}");
    let mut python = Command::new("python3");
    python.args(["-c", "from jsonschema import Draft202012Validator"]);
    if python.output().is_ok_and(|output| output.status.success()) {
        let mut python = Command::new("python3");
        python.args(["-c", VALIDATE, &format!("{ROOT}/cli/schema.json"), command]);
        let (_, stderr, status) = with_input(&mut python, text.as_bytes());
        assert_eq!(status, 0, "{command}: {stderr}");
    }
    value
}

#[test]
fn every_command_follows_the_schema() {
    let (held, stale, foreign) = (Object::new(), Object::new(), Object::new());
    let _sender = held.channel(Side::Sender);
    let topic = Object::new();
    let _topic = [Side::Sender, Side::Receiver].map(|side| topic.topic(side));
    stale.stale_segment();
    std::fs::write(foreign.path(), "of another library").unwrap();
    let (segment, left) = (SysvSegment::new(), SysvSegment::stale());
    let semaphore = Semaphore::create(Name::SysvPrivate, New::default()).unwrap();
    let set = format!("sysv:id:{}", semaphore.id().unwrap());
    let [held, topic, stale, foreign] = [&held, &topic, &stale, &foreign].map(Object::text);
    let result = std::panic::catch_unwind(|| {
        for (command, arguments) in [
            ("ls", &["ls", "--json", "--all", "--path", "."][..]),
            (
                "ls",
                &[
                    "ls",
                    "--json",
                    &held,
                    &topic,
                    &stale,
                    &foreign,
                    &segment.name(),
                    &set,
                ],
            ),
            ("info", &["info", "--json", &held]),
            ("info", &["info", "--json", &topic]),
            ("info", &["info", "--json", &set]),
            ("who", &["who", "--json", &held]),
            ("who", &["who", "--json", &topic]),
            ("check", &["check", "--json"]),
            ("check", &["check", "--json", &left.name(), &stale]),
            ("clean", &["clean", "--json", &held, &stale, &left.name()]),
            (
                "watch",
                &["watch", "--json", "-n", "0.01", "-c", "1", &held],
            ),
            (
                "watch",
                &["watch", "--json", "-n", "0.01", "-c", "1", &topic],
            ),
        ] {
            let (stdout, ..) = output(&mut tool(arguments));
            check(command, &stdout);
        }
    });
    semaphore::remove(Name::SysvId(semaphore.id().unwrap())).unwrap();
    result.unwrap();
}

#[test]
fn nothing_is_an_empty_list() {
    let object = Object::new();
    let value = check("info", &run(["info", "--json", &object.text()]).0);
    assert_eq!(value["objects"].as_array().unwrap().len(), 0);
}

#[test]
fn the_check_finds_faults() {
    let root = schema();
    let schema = &root["$defs"]["clean"];
    for (text, expected) in [
        (r#"{"objects": []}"#, None),
        (
            r#"{"objects": [], "more": 1}"#,
            Some("more is not in the schema"),
        ),
        (r#"{}"#, Some("\"objects\" is missing")),
        (
            r#"{"objects": {}}"#,
            Some("objects: {} is no [String(\"array\")]"),
        ),
        (
            r#"{"objects": [{"name": "", "action": "kept"}]}"#,
            Some("objects: \"reason\" is missing"),
        ),
    ] {
        let value = serde_json::from_str(text).unwrap();
        assert_eq!(fault(&value, schema, &root).as_deref(), expected);
    }
}
