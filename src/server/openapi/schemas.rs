//! Schemas of the types that travel.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::domain::cursor::MAX_PAGE;

/// Collects the types that the routes speak of.
pub(super) struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.transforms.push(Box::new(RecursiveTransform(tidy)));
        });
        let mut written = settings.clone().for_serialize();
        written.transforms.push(Box::new(RecursiveTransform(never_null)));
        Self {
            written: written.into_generator(),
            read: settings.for_deserialize().into_generator(),
        }
    }

    /// A type that the server writes: what it always writes is required.
    pub(super) fn written<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// A type that the server reads: what may be left out is not required.
    pub(super) fn read<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// The document's `components/schemas`.
    pub(super) fn definitions(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

/// Makes a schema what tools for OpenAPI understand best.
fn tidy(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unwrapped(text);
    }
    list_words(schema);
    let Some(object) = schema.as_object_mut() else { return };
    // Rust's own widths are no formats of OpenAPI.
    if object.get("format").and_then(Value::as_str).is_some_and(|word| word.starts_with("uint")) {
        object.remove("format");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}

/// What the server leaves out when there is none, it never writes as null.
fn never_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let required = object.get("required").cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let is_required =
        |name: &str| required.as_array().is_some_and(|all| all.contains(&name.into()));
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let Some(Value::Array(types)) = property.get_mut("type") else { continue };
        types.retain(|word| word != "null");
        if let [only] = &types[..] {
            property["type"] = only.clone();
        }
    }
}

/// Paragraphs without the line breaks that only the source's width made.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// An enum of described words, as one list of words with the descriptions below each other.
fn list_words(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Array(variants)) = object.get("oneOf") else { return };
    let words: Vec<_> = variants.iter().filter_map(|variant| variant.get("const")).collect();
    if words.len() != variants.len() {
        return;
    }
    let about = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let lines = variants.iter().map(|variant| {
        let word = variant["const"].as_str().unwrap_or_default();
        format!("\n- `{word}`: {}", unwrapped(variant["description"].as_str().unwrap_or_default()))
    });
    let described = format!("{about}\n{}", lines.collect::<String>());
    let listed = json!({ "type": "string", "enum": words, "description": described });
    if let Value::Object(listed) = listed {
        *object = listed;
    }
}

/// A yes or no, which is no when left out.
pub(super) fn flag() -> Value {
    json!({ "type": "boolean", "default": false })
}

/// How many rows at most.
pub(super) fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE })
}

/// An instant.
pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// The id of a message.
pub(super) fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A text that the API gave out and takes back.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// An object of one field, `status`.
pub(super) fn status(words: &Value) -> Value {
    json!({ "type": "object", "properties": { "status": words }, "required": ["status"] })
}

/// A list.
pub(super) fn list(of: &Value) -> Value {
    json!({ "type": "array", "items": of })
}
