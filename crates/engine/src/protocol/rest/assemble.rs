//! The JSON text of a request message, put together from path, query and body.

use base64::Engine as _;
use polywire_core::{
    Status,
    http_rule::{Body, Cardinality, Field, FieldKind, HttpRule, MessageFields},
};

use super::{
    bindings::{Bindings, Node, Value},
    json::{self, Malformed},
};

/// Deepest path of a field mask that is made from a body; what lies deeper is covered by the path above it.
const MASK_DEPTH_MAX: usize = 16;

/// The message of a body. `content_type` is that of the body, for `google.api.HttpBody`.
pub(super) fn message(
    rule: &HttpRule,
    bindings: &Bindings,
    body: &[u8],
    content_type: &str,
) -> Result<Vec<u8>, Status> {
    let mut out = Vec::with_capacity(body.len() + 64);
    match rule.body {
        Body::None if body.is_empty() => bindings.write(&mut out),
        Body::None => {
            return Err(Status::invalid_argument(
                "this request takes no body: its fields are in the path and the query",
            ));
        }
        Body::All if rule.asks_raw() => {
            let raw = http_body(body, content_type);
            merge(rule.request, bindings, &raw, &mut out)?;
        }
        Body::All => match json_value(body)? {
            // An empty body is a message without fields.
            None => bindings.write(&mut out),
            Some(value) if bindings.is_empty() && value.first() == Some(&b'{') => out.extend_from_slice(value),
            Some(value) => merge(rule.request, bindings, value, &mut out)?,
        },
        Body::Field(field) => {
            let raw = if rule.asks_raw() { Some(http_body(body, content_type)) } else { None };
            let value = match &raw {
                Some(raw) => Some(raw.as_slice()),
                None => json_value(body)?,
            };
            with_field(rule, bindings, field, value, &mut out)?;
        }
    }
    Ok(out)
}

/// `google.api.HttpBody` as JSON.
pub(super) fn http_body(body: &[u8], content_type: &str) -> Vec<u8> {
    let mut raw = Vec::with_capacity(body.len() * 4 / 3 + content_type.len() + 40);
    raw.extend_from_slice(b"{\"contentType\":");
    json::write_text(&mut raw, content_type);
    raw.extend_from_slice(b",\"data\":\"");
    raw.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(body).as_bytes());
    raw.extend_from_slice(b"\"}");
    raw
}

/// The value a body is; `None` when it is empty.
fn json_value(body: &[u8]) -> Result<Option<&[u8]>, Status> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    json::value(body).map(Some).map_err(malformed)
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(format!("the body is not JSON: {error}"))
}

/// A message of which one field is the body and the others are bound.
fn with_field(
    rule: &HttpRule,
    bindings: &Bindings,
    field: &'static Field,
    value: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    out.push(b'{');
    let mut first = true;
    for node in bindings.nodes().iter().filter(|node| node.field.name != field.name) {
        comma(out, &mut first);
        node.write(out);
    }
    if let Some(value) = value {
        comma(out, &mut first);
        json::write_text(out, field.json_name);
        out.push(b':');
        match (bindings.find(field), field.kind) {
            (Some(Node { value: Value::Message(inner), .. }), FieldKind::Message(message)) => {
                merge(message, inner, value, out)?;
            }
            _ => out.extend_from_slice(value),
        }
    } else if let Some(node) = bindings.find(field) {
        comma(out, &mut first);
        node.write(out);
    }
    if let (Some(value), FieldKind::Message(message)) = (value, field.kind)
        && rule.verb == "PATCH"
        && field.cardinality == Cardinality::One
        && let Some(mask) = update_mask(rule.request)
        && bindings.find(mask).is_none()
    {
        let mut paths = Vec::new();
        mask_paths(message, value, "", MASK_DEPTH_MAX, &mut paths).map_err(malformed)?;
        comma(out, &mut first);
        json::write_text(out, mask.json_name);
        out.push(b':');
        json::write_text(out, &paths.join(","));
    }
    out.push(b'}');
    Ok(())
}

/// The field mask that says which parts of a message are meant: `update_mask`, or the only one there is.
fn update_mask(request: &'static MessageFields) -> Option<&'static Field> {
    let mut masks = request
        .fields
        .iter()
        .filter(|field| field.kind == FieldKind::FieldMask && field.cardinality == Cardinality::One);
    let first = masks.next()?;
    match masks.next() {
        None => Some(first),
        Some(_) => request.find("update_mask").filter(|field| field.kind == FieldKind::FieldMask),
    }
}

/// The paths of all fields that a JSON value gives a value to.
fn mask_paths(
    message: &'static MessageFields,
    value: &[u8],
    above: &str,
    depth: usize,
    paths: &mut Vec<String>,
) -> Result<(), Malformed> {
    let Some(entries) = json::entries(value) else { return Ok(()) };
    for entry in entries {
        let (key, value) = entry?;
        // The codec says what it thinks of unknown fields.
        let Some(field) = message.find(&key) else { continue };
        let path = if above.is_empty() { field.json_name.to_owned() } else { format!("{above}.{}", field.json_name) };
        match field.kind {
            FieldKind::Message(inner)
                if field.cardinality == Cardinality::One
                    && depth > 1
                    && json::entries(value).is_some_and(|mut entries| entries.next().is_some()) =>
            {
                mask_paths(inner, value, &path, depth - 1, paths)?;
            }
            _ => paths.push(path),
        }
    }
    Ok(())
}

/// An object with bound fields in it. What is bound is not taken from the object.
fn merge(message: &'static MessageFields, bindings: &Bindings, object: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    if object == b"null" {
        bindings.write(out);
        return Ok(());
    }
    let entries = json::entries(object).ok_or_else(|| {
        Status::invalid_argument(format!("the body is not a JSON object, which a {} is", message.short_name()))
    })?;
    out.push(b'{');
    let mut first = true;
    let mut merged = vec![false; bindings.nodes().len()];
    for entry in entries {
        let (key, value) = entry.map_err(malformed)?;
        let place = bindings.nodes().iter().position(|node| node.field.json_name == key || node.field.name == key);
        let Some(place) = place else {
            comma(out, &mut first);
            json::write_text(out, &key);
            out.push(b':');
            out.extend_from_slice(value);
            continue;
        };
        let node = &bindings.nodes()[place];
        if let (Value::Message(inner), FieldKind::Message(deeper), false) =
            (&node.value, node.field.kind, merged[place])
        {
            merged[place] = true;
            comma(out, &mut first);
            json::write_text(out, node.field.json_name);
            out.push(b':');
            merge(deeper, inner, value, out)?;
        }
    }
    for (node, _) in bindings.nodes().iter().zip(merged).filter(|(_, merged)| !merged) {
        comma(out, &mut first);
        node.write(out);
    }
    out.push(b'}');
    Ok(())
}

fn comma(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}
