//! HTTP rules that cannot work are refused while code is generated, with the place and a way out; those that can are there at run
//! time too.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use polywire_core::http_rule::{Body, Cardinality, EnumValue, FieldKind};
use polywire_proto::{GenerateRequest, Options, Pool, compile, generate};

/// What the generator says about a service with these methods.
fn error(methods: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let source = format!(
        r#"syntax = "proto3";
        package a;
        import "google/api/annotations.proto";
        import "google/protobuf/struct.proto";
        message M {{
          string name = 1; M deeper = 2; repeated string names = 3; map<string, string> labels = 4;
          google.protobuf.Value value = 5; repeated M many = 6;
        }}
        message Empty {{}}
        service S {{ {methods} }}"#
    );
    std::fs::write(directory.path().join("a.proto"), source).unwrap();
    let compiled = compile(&[directory.path()], &["a.proto"]).unwrap();
    let request = GenerateRequest {
        descriptors: compiled.descriptors,
        files_to_generate: compiled.files,
        options: Options::new(),
    };
    generate(&request).err().map(|error| error.to_string()).unwrap_or_default()
}

fn rule(rule: &str) -> String {
    error(&format!("rpc Do(M) returns (M) {{ option (google.api.http) = {{ {rule} }}; }}"))
}

#[test]
fn rules_that_work_are_taken() {
    for text in [
        r#"get: "/v1/{name}""#,
        r#"get: "/v1/{deeper.deeper.name}""#,
        r#"post: "/v1" body: "many" response_body: "labels""#,
        r#"patch: "/v1/{deeper.name}" body: "deeper""#,
        r#"custom { kind: "PURGE" path: "/v1" }"#,
        r#"get: "/v1/{name}" additional_bindings { put: "/v1/{name}" }"#,
        r#"delete: "/v1/{name}:now""#,
    ] {
        assert_eq!(rule(text), "", "{text}");
    }
}

#[test]
fn rules_that_cannot_work_are_refused_with_a_way_out() {
    for (text, what) in [
        (r#"get: "v1""#, r#"the path "v1" does not begin with "/"; write "/v1""#),
        (
            r#"get: "/v1/{name""#,
            r#"in "/v1/{name" at character 10: a variable ends with "}": {field} or {field=segments}"#,
        ),
        (
            r#"get: "/v1/{nmae}""#,
            r#"the variable {nmae}: a.M has no field "nmae"; it has name, deeper, names, labels, value, many"#,
        ),
        (r#"get: "/v1/{deeper.x}""#, r#"the variable {deeper.x}: a.M has no field "x"; it has name,"#),
        (
            r#"get: "/v1/{names}""#,
            "the variable {names} goes to names, which holds many values; bind a field that holds one",
        ),
        (r#"get: "/v1/{labels}""#, "which holds many values"),
        (r#"get: "/v1/{many.name}""#, "goes to many, which holds many values"),
        (r#"get: "/v1/{deeper}""#, "the variable {deeper} is a message; bind one of its fields: {deeper.…}"),
        (r#"get: "/v1/{value}""#, "the variable {value} is a message"),
        (r#"get: "/v1/{name.x}""#, "the variable {name.x} goes on behind name, which is no message; end it there"),
        (r#"get: "/v1" body: "*""#, "a GET has no body; remove `body`, or make it a POST"),
        (r#"post: "/v1" body: "x""#, r#"body: a.M has no field "x""#),
        (r#"post: "/v1" body: "deeper.name""#, r#"body: a.M has no field "deeper.name""#),
        (r#"post: "/v1/{name}" body: "name""#, "name is the body and a variable of the path"),
        (r#"get: "/v1" response_body: "x""#, r#"response_body: a.M has no field "x""#),
        (r#"body: "*""#, r#"it has no verb and path; write one, as in get: "/v1/things""#),
        (r#"custom { path: "/v1" }"#, "the verb \"\" is none"),
        (r#"custom { kind: "get" path: "/v1" }"#, "the verb \"get\" is none; write it in capitals"),
        (
            r#"get: "/v1" additional_bindings { get: "/v2" additional_bindings { get: "/v3" } }"#,
            "additional bindings have none themselves",
        ),
    ] {
        let error = rule(text);
        assert!(error.starts_with("a.proto: the HTTP rule of a.S/Do: "), "{error}");
        assert!(error.contains(what), "{error}");
    }
    let error = error(r#"rpc Do(stream Empty) returns (M) { option (google.api.http).post = "/v1"; }"#);
    assert!(error.contains("the client streams, so its messages need a body; write body: \"*\""), "{error}");
}

#[test]
fn rules_of_two_methods_that_match_the_same_requests_are_refused() {
    let error = error(
        r#"rpc One(M) returns (M) { option (google.api.http).get = "/v1/{name=trees/*}"; }
           rpc Two(M) returns (M) { option (google.api.http).put = "/v1/trees/{name}"; }
           rpc Three(M) returns (M) { option (google.api.http).get = "/v1/trees/{deeper.name}"; }"#,
    );
    assert_eq!(
        error,
        "the HTTP rules of a.S/One (GET /v1/{name=trees/*}) and a.S/Three (GET /v1/trees/{deeper.name}) match the same \
         requests; give one of them another path or verb"
    );
}

#[test]
fn a_method_known_only_at_run_time_has_its_rules() {
    let directory = tempfile::tempdir().unwrap();
    let source = r#"syntax = "proto3";
        package a.v1;
        import "google/api/annotations.proto";
        enum Color { RED = 0; GREEN = 7; }
        message M { string name = 1; M inner = 2; repeated M many = 3; Color main_color = 4; map<string, int32> counts = 5; }
        service S {
          rpc Get(M) returns (M) {
            option (google.api.http) = {
              get: "/v1/{inner.inner.name=things/*}"
              additional_bindings { post: "/v1/things" body: "inner" response_body: "many" }
            };
          }
          rpc Bare(M) returns (M);
          rpc Wrong(M) returns (M) { option (google.api.http) = { get: "/v1/{size}" }; }
        }"#;
    std::fs::write(directory.path().join("a.proto"), source).unwrap();
    let compiled = compile(&[directory.path()], &["a.proto"]).unwrap();
    let pool = Pool::new(compiled.descriptors).unwrap();
    let rules = |name: &str| pool.leak_http_rules(&pool.method(name).unwrap());

    let [get, post] = rules("a.v1.S/Get").unwrap() else { panic!("two rules were expected") };
    assert_eq!((get.verb, get.template, get.body), ("GET", "/v1/{inner.inner.name=things/*}", Body::None));
    assert_eq!((get.request.name, get.response, get.response_body), ("a.v1.M", "a.v1.M", None));
    let kinds: Vec<_> =
        get.request.fields.iter().map(|field| (field.json_name, field.kind, field.cardinality)).collect();
    let FieldKind::Enum(colors) = kinds[3].1 else { panic!("an enum was expected") };
    assert_eq!(colors, [EnumValue { name: "RED", number: 0 }, EnumValue { name: "GREEN", number: 7 }]);
    assert_eq!(kinds[0], ("name", FieldKind::String, Cardinality::One));
    assert_eq!(kinds[1], ("inner", FieldKind::Message(get.request), Cardinality::One));
    assert_eq!((kinds[2].2, kinds[3].0), (Cardinality::Repeated, "mainColor"));
    assert_eq!(kinds[4], ("counts", FieldKind::Int32, Cardinality::Map));
    assert_eq!((post.verb, post.body), ("POST", Body::Field(&get.request.fields[1])));
    assert_eq!(post.response_body.unwrap().name, "many");

    assert!(rules("a.v1.S/Bare").unwrap().is_empty());
    let error = rules("a.v1.S/Wrong").unwrap_err().to_string();
    assert!(error.starts_with("the HTTP rule of a.v1.S/Wrong: the variable {size}: a.v1.M has no field"), "{error}");
}
