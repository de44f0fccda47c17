//! The details of a status, as JSON.

use base64::Engine as _;
use polywire::{Detail, Status};
use polywire_proto::{FileDescriptorSet, JsonOptions, Pool};
use serde_json::value::RawValue;

use crate::{descriptors::Descriptors, metadata::BASE64};

/// A detail whose type was known, or its bytes.
pub(crate) struct ShownDetail {
    /// The full name of its type.
    pub(crate) name: String,
    /// As `google.protobuf.Any` is written in JSON; bytes of an unknown type are `@value`, in base64.
    pub(crate) json: Box<RawValue>,
}

/// Shows the details of a status, as far as anybody knows their types: the descriptors at hand, the server, or those of
/// `google.rpc`, which everybody uses.
pub(crate) async fn details(status: &Status, descriptors: &mut Descriptors) -> Vec<ShownDetail> {
    let mut shown = Vec::new();
    let mut standard = None;
    for detail in status.details() {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let mut json = as_json(detail, name, descriptors.pool());
        if json.is_none() && name.starts_with("google.rpc.") {
            json = as_json(detail, name, standard.get_or_insert_with(google_rpc));
        }
        if json.is_none() && matches!(descriptors.know(name).await, Ok(true)) {
            json = as_json(detail, name, descriptors.pool());
        }
        let json = json.unwrap_or_else(|| {
            object(&detail.type_url, &format!("{{\"@value\":\"{}\"}}", BASE64.encode(&detail.value)))
        });
        if let Ok(json) = RawValue::from_string(json) {
            shown.push(ShownDetail { name: name.to_owned(), json });
        }
    }
    shown
}

fn as_json(detail: &Detail, name: &str, pool: &Pool) -> Option<String> {
    let json = pool.message(name)?.decode_to_json(&detail.value, JsonOptions::default()).ok()?;
    Some(object(&detail.type_url, &json))
}

/// A message with its type, as in an `Any`.
fn object(type_url: &str, json: &str) -> String {
    let type_url = serde_json::Value::from(type_url);
    match json.trim().strip_prefix('{').map(str::trim_start) {
        Some("}") => format!("{{\"@type\":{type_url}}}"),
        Some(rest) => format!("{{\"@type\":{type_url},{rest}"),
        None => format!("{{\"@type\":{type_url},\"value\":{json}}}"),
    }
}

fn google_rpc() -> Pool {
    let set = polywire_proto::built_in("google/rpc/error_details.proto").unwrap_or_default();
    Pool::new(set).unwrap_or_else(|_| Pool::new(FileDescriptorSet::default()).expect("no files fit together"))
}
