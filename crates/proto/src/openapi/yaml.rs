//! The same values as YAML, in the block style that people read.

use super::json::{Json, Object};

/// The text of a document.
pub(super) fn write(json: &Json) -> String {
    let mut text = String::new();
    match json {
        Json::Object(object) if !object.is_empty() => write_object(object, 0, &mut text),
        other => {
            write_value(other, 0, &mut text);
        }
    }
    text
}

fn write_object(object: &Object, depth: usize, text: &mut String) {
    for (at, (name, value)) in object.iter().enumerate() {
        // The first one stands where its list or the document has begun.
        if at > 0 || depth == 0 || text.ends_with('\n') {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str(&key(name));
        text.push(':');
        write_value(value, depth + 1, text);
    }
}

/// What stands behind a colon or a dash.
fn write_value(value: &Json, depth: usize, text: &mut String) {
    match value {
        Json::Bool(value) => text.push_str(&format!(" {value}\n")),
        Json::Number(value) => text.push_str(&format!(" {value}\n")),
        Json::Text(value) if is_block(value) => {
            text.push_str(" |-\n");
            for line in value.lines() {
                if !line.is_empty() {
                    text.push_str(&"  ".repeat(depth));
                    text.push_str(line);
                }
                text.push('\n');
            }
        }
        Json::Text(value) => text.push_str(&format!(" {}\n", quoted(value))),
        Json::List(values) if values.is_empty() => text.push_str(" []\n"),
        Json::List(values) => {
            text.push('\n');
            for value in values {
                text.push_str(&"  ".repeat(depth));
                text.push('-');
                match value {
                    Json::Object(object) if !object.is_empty() => {
                        text.push(' ');
                        write_object(object, depth + 1, text);
                    }
                    other => write_value(other, depth + 1, text),
                }
            }
        }
        Json::Object(object) if object.is_empty() => text.push_str(" {}\n"),
        Json::Object(object) => {
            text.push('\n');
            write_object(object, depth, text);
        }
    }
}

/// Whether a text is written in lines of its own: several, none of which could be mistaken for indentation.
fn is_block(text: &str) -> bool {
    let plain = |letter: char| letter == '\n' || !letter.is_control();
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with('\n')
        && text.chars().all(plain)
        && text.lines().all(|line| !line.ends_with(' '))
}

/// Every JSON string is one of YAML too, so nothing is ever mistaken for a number or a truth value.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string can always be written")
}

fn key(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '{' | '}' | '$'))
        && !matches!(
            name.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if plain { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_in_blocks() {
        let inner = Object::new().with("a", 1).with("b", Object::new()).with("200", true);
        let list: Json = [inner.clone(), Object::new().with("$ref", "#/x")].into_iter().collect();
        let document = Object::new()
            .with("text", "first\n\n  second: x")
            .with("no", "no")
            .with("list", list)
            .with("words", ["a", "b: c"].into_iter().collect::<Json>())
            .with("none", Json::List(Vec::new()))
            .with("/v1/{id}:go", Object::new().with("inner", inner));
        assert_eq!(
            write(&document.into()),
            r##"text: |-
  first

    second: x
"no": "no"
list:
  - a: 1
    b: {}
    "200": true
  - "$ref": "#/x"
words:
  - "a"
  - "b: c"
none: []
"/v1/{id}:go":
  inner:
    a: 1
    b: {}
    "200": true
"##
        );
    }
}
