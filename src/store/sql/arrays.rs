//! Columns of many rows as PostgreSQL's arrays.

use std::fmt::Write;

use sea_orm::DbErr;
use sea_orm::sea_query::{ArrayType, Value};

/// The values of a column as one parameter.
#[derive(Debug, PartialEq)]
pub(super) enum ColumnArray {
    /// All of them, or NULL if there are none.
    Typed(ArrayType, Option<Vec<Value>>),
    /// The text of an array, and the type to convert it to: the driver takes no array with NULLs.
    Text(String, &'static str),
}

impl ColumnArray {
    /// The parameter at a place, counted from 1.
    pub(super) fn placeholder(&self, place: usize) -> String {
        match self {
            Self::Typed(..) => format!("${place}"),
            Self::Text(_, kind) => format!("${place}::{kind}[]"),
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Typed(kind, values) => Value::Array(kind, values.map(Box::new)),
            Self::Text(text, _) => text.into(),
        }
    }
}

/// The columns of rows of so many values each as parameters, after so many others: what stands for each in the
/// statement, and its value.
///
/// # Errors
/// If a column with some NULLs has values of a type that no table has.
pub(in crate::store) fn as_arrays(
    values: Vec<Value>,
    width: usize,
    before: usize,
) -> Result<(Vec<String>, Vec<Value>), DbErr> {
    let columns = of_columns(values, width)?;
    let placeholders =
        (before + 1..).zip(&columns).map(|(place, column)| column.placeholder(place));
    Ok((placeholders.collect(), columns.into_iter().map(ColumnArray::into_value).collect()))
}

fn of_columns(values: Vec<Value>, width: usize) -> Result<Vec<ColumnArray>, DbErr> {
    let rows = values.len() / width;
    let mut columns: Vec<_> = (0..width).map(|_| Vec::with_capacity(rows)).collect();
    for (place, value) in values.into_iter().enumerate() {
        columns[place % width].push(value);
    }
    columns.into_iter().map(of_column).collect()
}

fn of_column(values: Vec<Value>) -> Result<ColumnArray, DbErr> {
    let kind = values.first().map_or(ArrayType::String, Value::array_type);
    let given = values.iter().filter(|value| value.is_some()).count();
    if given == 0 || given == values.len() {
        return Ok(ColumnArray::Typed(kind, Some(values).filter(|_| given > 0)));
    }
    let name = match kind {
        ArrayType::SmallInt => "int2",
        ArrayType::Int => "int4",
        ArrayType::BigInt => "int8",
        ArrayType::Uuid => "uuid",
        ArrayType::Bytes => "bytea",
        ArrayType::String => "text",
        other => return Err(DbErr::Type(format!("no column has the type {other:?}"))),
    };
    Ok(ColumnArray::Text(array_text(values.iter().map(element_text)), name))
}

/// A value as an element's text.
pub(in crate::store) fn element_text(value: &Value) -> Option<String> {
    match value {
        Value::SmallInt(number) => number.map(|number| number.to_string()),
        Value::Int(number) => number.map(|number| number.to_string()),
        Value::BigInt(number) => number.map(|number| number.to_string()),
        Value::Uuid(id) => id.map(|id| id.to_string()),
        Value::Bytes(bytes) => bytes.as_deref().map(hex),
        Value::String(text) => text.as_deref().map(str::to_owned),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = "\\x".to_owned();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The text of an array.
pub(in crate::store) fn array_text(elements: impl Iterator<Item = Option<String>>) -> String {
    let quoted = |text: String| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    };
    let element = |element: Option<String>| element.map_or_else(|| "NULL".to_owned(), quoted);
    format!("{{{}}}", elements.map(element).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_an_array_with_what_is_given() {
        let none = || Value::String(None);
        let values = [1_i64.into(), "a".into(), none(), 2_i64.into(), none(), none()];
        let columns = of_columns(values.to_vec(), 3).expect("types that tables have");
        let numbers = vec![Value::from(1_i64), Value::from(2_i64)];
        assert_eq!(columns[0], ColumnArray::Typed(ArrayType::BigInt, Some(numbers)));
        assert_eq!(columns[1], ColumnArray::Text(r#"{"a",NULL}"#.to_owned(), "text"));
        assert_eq!(columns[2], ColumnArray::Typed(ArrayType::String, None));
        assert_eq!(columns[0].placeholder(1), "$1");
        assert_eq!(columns[1].placeholder(2), "$2::text[]");
    }

    #[test]
    fn the_elements_of_an_array_are_quoted() {
        let elements = [None, Some("NULL"), Some("o'clock"), Some(r#"\ " , {}"#), Some("")];
        let elements = elements.into_iter().map(|element| element.map(str::to_owned));
        assert_eq!(array_text(elements), r#"{NULL,"NULL","o'clock","\\ \" , {}",""}"#);
        assert_eq!(element_text(&vec![0_u8, 255].into()).as_deref(), Some("\\x00ff"));
    }
}
