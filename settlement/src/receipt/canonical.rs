//! One text for one receipt: fields sorted by name, no spaces, whole numbers only.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The field that the hash is written into, and that it leaves out.
const HASH: &str = "hash";

/// Why a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Two programs may print a fraction differently, so there is none in a receipt.
    #[error("{0} is no whole number: a receipt has only whole numbers")]
    Fraction(String),
    /// Only an object has fields.
    #[error("a receipt is a JSON object")]
    NotAnObject,
}

/// The canonical JSON of a value: the fields of every object sorted by the bytes of their names, no spaces between
/// tokens, strings with the shortest escapes, whole numbers only.
///
/// # Errors
/// [`NotCanonical::Fraction`].
pub fn canonical(value: &Value) -> Result<String, NotCanonical> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

/// SHA-256, in hexadecimal, of the canonical form of an object without its field `hash`.
///
/// # Errors
/// [`NotCanonical`] when there is no such form.
pub fn hash(of: &impl Serialize) -> Result<String, NotCanonical> {
    let value = serde_json::to_value(of).map_err(|_| NotCanonical::NotAnObject)?;
    let Value::Object(mut fields) = value else { return Err(NotCanonical::NotAnObject) };
    fields.remove(HASH);
    let text = canonical(&Value::Object(fields))?;
    Ok(Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            return Err(NotCanonical::Fraction(number.to_string()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Array(items) => list(text, ('[', ']'), items, write)?,
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            list(text, ('{', '}'), fields, |(name, value), text| {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text)
            })?;
        }
    }
    Ok(())
}

fn list<T>(
    text: &mut String,
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(T, &mut String) -> Result<(), NotCanonical>,
) -> Result<(), NotCanonical> {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        each(item, text)?;
    }
    text.push(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_is_one_whatever_the_order_and_the_spaces() {
        let texts = [
            r#"{"b":[1,-2,{"z":null,"a":true}],"a":"峰 \"x\" \n"}"#,
            "{ \"a\" : \"峰 \\\"x\\\" \\u000a\", \"b\" : [ 1, -2, {\"a\":true, \"z\":null} ] }",
        ];
        for text in texts {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical(&value).unwrap(), r#"{"a":"峰 \"x\" \n","b":[1,-2,{"a":true,"z":null}]}"#);
        }
    }

    #[test]
    fn the_hash_leaves_itself_out_and_is_that_of_any_other_program() {
        // printf '{"a":1,"b":"x"}' | sha256sum
        let expected = "ecf9e98ec0641e23113ff3ce8bdc78d0ddd249886517fd4a7f68cc83d4e65667";
        let value = json!({"b": "x", "a": 1, "hash": "anything"});
        assert_eq!(hash(&value).unwrap(), expected);
        assert_eq!(hash(&value), hash(&json!({"a": 1, "b": "x"})));
        assert_ne!(hash(&value), hash(&json!({"a": 2, "b": "x"})));
    }

    #[test]
    fn fractions_and_what_is_no_object_have_no_hash() {
        assert_eq!(hash(&json!({"a": [1.5]})), Err(NotCanonical::Fraction("1.5".to_owned())));
        assert_eq!(hash(&json!([])), Err(NotCanonical::NotAnObject));
    }
}
