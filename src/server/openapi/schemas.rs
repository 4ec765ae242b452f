//! JSON schemas of the types in requests and responses.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::domain::cursor::MAX_PAGE;

/// Collects the schemas that routes refer to.
pub(super) struct Schemas {
    serialized: SchemaGenerator,
    deserialized: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.transforms.push(Box::new(RecursiveTransform(tidy)));
        });
        let mut serialized = settings.clone().for_serialize();
        serialized.transforms.push(Box::new(RecursiveTransform(never_null)));
        Self {
            serialized: serialized.into_generator(),
            deserialized: settings.for_deserialize().into_generator(),
        }
    }

    /// A type in responses, whose fields are required if they are always serialized.
    pub(super) fn serialized<T: JsonSchema>(&mut self) -> Value {
        self.serialized.subschema_for::<T>().to_value()
    }

    /// A type in requests, whose fields are required unless they have a default.
    pub(super) fn deserialized<T: JsonSchema>(&mut self) -> Value {
        self.deserialized.subschema_for::<T>().to_value()
    }

    /// The document's `components/schemas`.
    pub(super) fn definitions(mut self) -> Map<String, Value> {
        let mut all = self.deserialized.take_definitions(true);
        all.extend(self.serialized.take_definitions(true));
        all
    }
}

/// Simplifies a schema to what OpenAPI tools handle well.
fn tidy(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unwrapped(text);
    }
    enumerate(schema);
    let Some(object) = schema.as_object_mut() else { return };
    // OpenAPI has no formats for unsigned integers.
    if object.get("format").and_then(Value::as_str).is_some_and(|word| word.starts_with("uint")) {
        object.remove("format");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}

/// Removes null from optional fields: the server omits them instead.
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

/// Paragraphs without the line breaks of the source.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Turns an enum with described values into one list of values, with their descriptions as a list.
fn enumerate(schema: &mut Schema) {
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

/// A boolean that defaults to false.
pub(super) fn flag() -> Value {
    json!({ "type": "boolean", "default": false })
}

/// The size of a page.
pub(super) fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE })
}

/// A number of things.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// A position in the list of conversations.
pub(super) fn cursor() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{1,16}_[0-9a-f]{32}(_[0-9]{1,16})?$" })
}

/// A position in the feed.
pub(super) fn feed_cursor() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{1,18}-[0-9a-f]{8}$" })
}

/// A position in the feed, or nothing.
pub(super) fn feed_cursor_or_empty() -> Value {
    json!({ "type": "string", "pattern": "^([0-9]{1,18}-[0-9a-f]{8})?$" })
}

/// A position among the messages of a conversation.
pub(super) fn place() -> Value {
    json!({ "anyOf": [id(), time()] })
}

/// A recipient as it is stored.
pub(super) fn recipient() -> Value {
    json!({ "type": "string", "pattern": r"^(\+[1-9][0-9]{6,14}|[0-9]{3,6})$" })
}

/// A number of ours, or an alphanumeric sender, as it is stored.
pub(super) fn own_number() -> Value {
    let pattern = r"^(\+[1-9][0-9]{6,14}|[0-9]{3,6}|[A-Za-z][A-Za-z0-9 ]{0,10})$";
    json!({ "type": "string", "pattern": pattern })
}

/// What names a conversation.
pub(super) fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "pattern": r"^[^\u0000]*[^\u0000\s][^\u0000]*$" })
}

/// An object with the field `status`.
pub(super) fn status(values: &Value) -> Value {
    json!({ "type": "object", "properties": { "status": values }, "required": ["status"] })
}

pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}
