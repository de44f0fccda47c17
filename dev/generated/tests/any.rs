//! A message inside an `Any` has its JSON once a service of its tree is there, whatever package it is of.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use polywire::{Call, Status, well_known::Any};
use polywire_generated::{
    deep::r#type::r#match::{Deep, DeepView, DeeperServer, DeeperService},
    names,
};

#[derive(Clone, Copy, Debug)]
struct Deeper;

impl DeeperService for Deeper {
    async fn r#do(&self, _: &mut Call, request: DeepView<'_>) -> Result<Deep, Status> {
        Ok(Deep { kind: request.kind, ..Deep::default() })
    }
}

#[test]
fn a_server_makes_the_messages_of_all_packages_known() {
    let json = r#"{"@type":"type.googleapis.com/common.v1.Money","currency":"EUR","units":"17"}"#;
    let before: Any = serde_json::from_str(json).unwrap();
    assert_eq!(before.value.len(), 0, "nothing is known of the type yet, so its fields are lost");

    let server = DeeperServer::new(Deeper);
    let _again = DeeperServer::new(*server.service());

    let any: Any = serde_json::from_str(json).unwrap();
    assert_eq!(&any.value[..], b"\x0a\x03EUR\x10\x11");
    assert_eq!(serde_json::to_string(&any).unwrap(), json);

    let of_another: Any =
        serde_json::from_str(r#"{"@type":"type.googleapis.com/names.Status","self":"x","type":1}"#).unwrap();
    assert_eq!(of_another.unpack_unchecked::<names::Status>().unwrap().self_, "x");
}
