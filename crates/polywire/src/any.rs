//! JSON of messages inside messages: `google.protobuf.Any`, and the details of a status.
//!
//! JSON names the fields of the message that an `Any` holds, so its type must be known. Known are the well-known types, those of
//! [`error_details`](crate::error_details), and all messages generated together with a service of which a server or a client was
//! made. Others are made known by [`register`].

use std::sync::{Mutex, Once, PoisonError};

use buffa::{
    MessageName,
    any_registry::with_any_registry,
    type_registry::{JsonAnyEntry, TypeRegistry, any_from_json, any_to_json, set_type_registry},
};
use polywire_core::Detail;
use serde_json::Value;

use crate::message::AnyMessage;

/// Adds types to a registry, as generated code does for a package.
pub type AddTypes = fn(&mut TypeRegistry);

/// Makes a type of messages known, so that an [`Any`](crate::well_known::Any) or a [`Detail`] that holds one has its JSON.
///
/// Only needed for messages that no service was generated with. It takes a little memory for good, so it belongs into the start of a
/// program.
pub fn register<M: AnyMessage + MessageName>() {
    register_well_known();
    if !is_known(M::TYPE_URL) {
        add(&[add_message::<M>]);
    }
}

/// The detail's message as JSON, when its type is known.
///
/// Whatever stands before the last slash of its type's URL, it is the name behind it that counts.
pub fn detail_json(detail: &Detail) -> Option<String> {
    let (json, _) = message_json(detail)?;
    serde_json::to_string(&json).ok()
}

/// The detail as the JSON of a `google.protobuf.Any`, when its type is known: its fields beside `@type`.
pub fn detail_any_json(detail: &Detail) -> Option<String> {
    let (json, stands_alone) = message_json(detail)?;
    let url = serde_json::to_string(&detail.type_url).ok()?;
    let json = serde_json::to_string(&json).ok()?;
    Some(match json.strip_prefix('{') {
        Some("}") if !stands_alone => format!("{{\"@type\":{url}}}"),
        Some(fields) if !stands_alone => format!("{{\"@type\":{url},{fields}"),
        _ => format!("{{\"@type\":{url},\"value\":{json}}}"),
    })
}

/// What [`detail_any_json`] wrote, when its type is known.
pub(crate) fn read_detail(json: &[u8]) -> Option<Detail> {
    register_well_known();
    let Value::Object(mut fields) = serde_json::from_slice(json).ok()? else { return None };
    let Value::String(type_url) = fields.remove("@type")? else { return None };
    let (_, name) = type_url.rsplit_once('/')?;
    let url = format!("type.googleapis.com/{name}");
    let (from_json, stands_alone) =
        with_any_registry(|known| Some(known?.lookup(&url)).flatten().map(|entry| (entry.from_json, entry.is_wkt)))?;
    // Bytes in base64, of a server that does not know the type, look like a field `value`.
    let maybe_bytes = fields.len() == 1 && fields.contains_key("value");
    let json = if stands_alone { fields.remove("value")? } else { Value::Object(fields) };
    let value = from_json(json).ok()?;
    (!maybe_bytes || stands_alone || !value.is_empty()).then(|| Detail { type_url, value: value.into() })
}

/// The message's JSON, and whether it stands for itself in an `Any` instead of lending it its fields.
fn message_json(detail: &Detail) -> Option<(Value, bool)> {
    register_well_known();
    let (_, name) = detail.type_url.rsplit_once('/')?;
    let url = format!("type.googleapis.com/{name}");
    let (to_json, stands_alone) =
        with_any_registry(|known| Some(known?.lookup(&url)).flatten().map(|entry| (entry.to_json, entry.is_wkt)))?;
    Some((to_json(&detail.value).ok()?, stands_alone))
}

/// What generated code calls for its packages.
pub(crate) fn add(types: &[AddTypes]) {
    /// All that was ever added: a registry cannot be added to once it is in use, only be replaced.
    static ADDED: Mutex<Vec<AddTypes>> = Mutex::new(Vec::new());
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    added.extend(types);
    let mut registry = TypeRegistry::new();
    buffa_types::register_wkt_types(&mut registry);
    crate::error_details::__buffa::register_types(&mut registry);
    for add_types in added.iter() {
        add_types(&mut registry);
    }
    set_type_registry(registry);
}

/// Without any service there are still the types that everybody knows.
fn register_well_known() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| add(&[]));
}

fn is_known(url: &str) -> bool {
    with_any_registry(|known| known.is_some_and(|known| known.lookup(url).is_some()))
}

fn add_message<M: AnyMessage + MessageName>(registry: &mut TypeRegistry) {
    registry.register_json_any(JsonAnyEntry {
        type_url: M::TYPE_URL,
        to_json: any_to_json::<M>,
        from_json: any_from_json::<M>,
        is_wkt: false,
    });
}

#[cfg(test)]
mod tests {
    use buffa::Message as _;

    use super::*;
    use crate::{
        error_details::{BadRequest, RetryInfo, bad_request::FieldViolation},
        well_known::{Any, Duration},
    };

    fn bad_request() -> BadRequest {
        let violation =
            FieldViolation { field: "items".to_owned(), description: "empty".to_owned(), ..Default::default() };
        BadRequest { field_violations: vec![violation], ..Default::default() }
    }

    #[test]
    fn details_that_everybody_knows_have_their_json() {
        let detail = crate::error_details::detail(&bad_request());
        let fields = r#""fieldViolations":[{"description":"empty","field":"items"}]"#;
        let of = |json: &str| serde_json::from_str::<Value>(json).expect("it is JSON");
        assert_eq!(of(&detail_json(&detail).expect("it is known")), of(&format!("{{{fields}}}")));
        assert_eq!(
            of(&detail_any_json(&detail).expect("it is known")),
            of(&format!(r#"{{"@type":"type.googleapis.com/google.rpc.BadRequest",{fields}}}"#))
        );
    }

    #[test]
    fn a_detail_whose_json_is_no_object_of_fields_stands_in_value() {
        let wait = Duration { seconds: 1, nanos: 500_000_000, ..Default::default() };
        let detail = Detail { type_url: "x/google.protobuf.Duration".to_owned(), value: wait.encode_to_bytes() };
        assert_eq!(detail_json(&detail).as_deref(), Some("\"1.500s\""));
        assert_eq!(
            detail_any_json(&detail).as_deref(),
            Some(r#"{"@type":"x/google.protobuf.Duration","value":"1.500s"}"#)
        );
        let empty =
            Detail { type_url: "x/google.rpc.RetryInfo".to_owned(), value: RetryInfo::default().encode_to_bytes() };
        assert_eq!(detail_any_json(&empty).as_deref(), Some(r#"{"@type":"x/google.rpc.RetryInfo"}"#));
    }

    #[test]
    fn a_detail_of_an_unknown_type_or_with_wrong_bytes_has_no_json() {
        for (type_url, value) in [
            ("type.googleapis.com/no.Such", &b""[..]),
            ("no slash", b""),
            ("", b""),
            ("type.googleapis.com/google.rpc.BadRequest", b"\xff"),
        ] {
            let detail = Detail { type_url: type_url.to_owned(), value: bytes::Bytes::from_static(value) };
            assert_eq!((detail_json(&detail), detail_any_json(&detail)), (None, None), "{type_url}");
        }
    }

    #[test]
    fn a_registered_message_is_known_from_then_on() {
        register::<crate::health::v1::HealthCheckRequest>();
        register::<crate::health::v1::HealthCheckRequest>();
        let json = r#"{"@type":"type.googleapis.com/grpc.health.v1.HealthCheckRequest","service":"a"}"#;
        let any: Any = serde_json::from_str(json).expect("the type is known");
        assert_eq!(any.value, &b"\x0a\x01a"[..]);
        assert_eq!(serde_json::to_string(&any).expect("the type is known"), json);
    }
    #[test]
    fn what_was_written_is_read_again() {
        let details = [
            crate::error_details::detail(&bad_request()),
            crate::error_details::detail(&RetryInfo::default()),
            Detail {
                type_url: "x/google.protobuf.Duration".to_owned(),
                value: Duration { seconds: 1, nanos: 500_000_000, ..Default::default() }.encode_to_bytes(),
            },
        ];
        for detail in details {
            let json = detail_any_json(&detail).expect("it is known");
            assert_eq!(read_detail(json.as_bytes()), Some(detail), "{json}");
        }
        for json in [
            r#"{"@type":"x/never.heard.of.it","n":1}"#,
            // Bytes that somebody wrote who does not know the type.
            r#"{"@type":"x/google.rpc.RetryInfo","value":"CgA="}"#,
            r#"{"@type":"x/google.protobuf.Duration","value":"CgA="}"#,
            r#"{"@type":"google.rpc.RetryInfo"}"#,
            r#"{"retryDelay":"1s"}"#,
            "[]",
            "{",
        ] {
            assert_eq!(read_detail(json.as_bytes()), None, "{json}");
        }
    }
}
