//! OpenAPI documents, compared with files that are read in review. `BLESS=1 cargo test -p polywire-proto` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::{collections::BTreeSet, fs, path::Path};

use polywire_proto::{OpenApi, Pool, compile};
use serde_json::Value;

#[test]
fn annotations_comments_and_messages_become_a_document() {
    let document = document("library/v1/library.proto", "library.v1.Library");
    check("library.json", &document.to_json());
    check("library.yaml", &document.to_yaml());
}

#[test]
fn a_service_with_few_annotations_is_there_by_full_names() {
    check("shop.yaml", &document("shop/v1/orders.proto", "shop.v1.Orders").to_yaml());
}

#[test]
fn every_kind_of_field_has_its_json_form() {
    let pool = pool("all/all.proto");
    let services: Vec<_> = pool.services().collect();
    check("all.yaml", &pool.openapi(services).title("Everything").version("7").to_yaml());
}

#[test]
fn every_reference_leads_somewhere_and_operations_have_names_of_their_own() {
    for (file, service) in
        [("library/v1/library.proto", "library.v1.Library"), ("shop/v1/orders.proto", "shop.v1.Orders")]
    {
        let document: Value = serde_json::from_str(&document(file, service).to_json()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut references = Vec::new();
        collect("$ref", &document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        let mut ids = Vec::new();
        collect("operationId", &document, &mut ids);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }
}

#[test]
fn parameters_of_a_path_are_those_in_its_text() {
    let document: Value =
        serde_json::from_str(&document("library/v1/library.proto", "library.v1.Library").to_json()).unwrap();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for operation in verbs.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let mut named: Vec<_> = parameters
                .filter(|of| of["in"] == "path")
                .map(|of| format!("{{{}}}", of["name"].as_str().unwrap()))
                .collect();
            named.retain(|name| path.contains(name.as_str()));
            assert_eq!(path.matches('{').count(), named.len(), "{path}");
        }
    }
}

fn document(file: &str, service: &str) -> OpenApi {
    pool(file).openapi([service])
}

fn pool(file: &str) -> Pool {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protos");
    Pool::new(compile(&[protos], &[file]).unwrap().descriptors).unwrap()
}

fn collect(key: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    value => collect(key, value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(key, value, found)),
        _ => {}
    }
}

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{name} is no longer what is written; BLESS=1 rewrites it");
}
