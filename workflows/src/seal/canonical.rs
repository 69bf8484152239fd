//! One spelling for one JSON value: members sorted, no space, the fewest escapes. What is hashed must not depend on who wrote it down.

use std::fmt::Write as _;

use serde_json::Value;

/// Members in the order of their names' UTF-8 bytes; `\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t` and `\u00xx` for other control characters, and
/// every other character as itself; whole numbers in digits, others as the shortest decimal that reads back as the same binary64.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                separate(place, text);
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            // The map may keep the order in which it was read: a crate anywhere in the program decides that.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_bytes());
            text.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                separate(place, text);
                write_string(name, text);
                text.push(':');
                write(member, text);
            }
            text.push('}');
        }
    }
}

fn separate(place: usize, text: &mut String) {
    if place > 0 {
        text.push(',');
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for letter in string.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        let value = json!({ "b": [1, -2, true, null], "a": { "é": "\u{1}\n\"\\/ü", "e": "" }, "": 9_007_199_254_740_993_i64 });
        let expected = "{\"\":9007199254740993,\"a\":{\"e\":\"\",\"é\":\"\\u0001\\n\\\"\\\\/ü\"},\"b\":[1,-2,true,null]}";
        assert_eq!(canonical(&value), expected);
        let read: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(canonical(&read), expected);
    }
}
