//! `polywire openapi`.

mod shared;

use shared::{polywire, server};

const PROTO: &str = "polywire/test/v1/echo.proto";

#[test]
fn services_are_written_as_openapi_with_their_comments() {
    let ran = polywire(&["openapi", PROTO]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"], serde_json::json!({"title": "polywire.test.v1", "version": "v1"}));
    let unary = &document["paths"]["/polywire.test.v1.Echo/Unary"]["post"];
    assert_eq!(unary["summary"], "One for one");
    let request = &document["components"]["schemas"]["polywire.test.v1.EchoRequest"];
    assert_eq!(request["properties"]["waitMs"]["type"], "integer");
}

#[test]
fn a_document_is_written_into_a_file_in_the_format_of_its_name() {
    let directory = tempfile::tempdir().expect("there is a place for files");
    let file = directory.path().join("api.yaml");
    let path = file.to_str().expect("the path is text");
    polywire(&["openapi", PROTO, "-o", path, "--title", "Echo", "--api-version", "2"]).exits(0).prints("");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.starts_with("openapi: \"3.1.0\"\ninfo:\n  title: \"Echo\"\n  version: \"2\"\n"), "{text}");
    polywire(&["openapi", PROTO, "-o", path, "--format", "json"]).exits(0).prints("");
    assert!(std::fs::read_to_string(&file).expect("it was written").starts_with('{'));
}

#[test]
fn a_server_is_asked_by_reflection_and_reflection_itself_left_out() {
    let server = server();
    let ran = polywire(&["openapi", &server.address]).exits(0);
    assert!(ran.stdout.contains("/polywire.test.v1.Echo/Chat"), "{ran:?}");
    assert!(!ran.stdout.contains("grpc.reflection"), "{ran:?}");
}

#[test]
fn mistakes_are_explained() {
    polywire(&["openapi"]).exits(2).prints("").says(&["give ADDRESS"]);
    polywire(&["openapi", "a:1", "b:2"]).exits(2).prints("").says(&["a:1 and b:2?"]);
    polywire(&["openapi", PROTO, "--service", "EchoRequest"]).exits(2).prints("").says(&["is not a service"]);
    polywire(&["openapi", PROTO, "-o", "/no/such/place"]).exits(2).prints("").says(&["cannot write"]);
}
