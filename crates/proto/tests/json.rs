//! Canonical JSON of messages known by descriptors alone.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::path::Path;

use polywire_proto::{JsonOptions, MessageType, Pool, compile};

fn all() -> MessageType {
    pool().message("all.All").unwrap()
}

fn pool() -> Pool {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protos");
    Pool::new(compile(&[protos], &["all/all.proto"]).unwrap().descriptors).unwrap()
}

/// To bytes and back.
fn through(json: &str) -> String {
    let all = all();
    let bytes = all.encode_json(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    all.decode_to_json(&bytes, JsonOptions::default()).unwrap()
}

fn error(json: &str) -> String {
    all().encode_json(json).map(|_| ()).expect_err(json).to_string()
}

#[test]
fn canonical_json_survives_as_it_is() {
    for json in [
        "{}",
        r#"{"aBool":true}"#,
        r#"{"anInt32":-2147483648,"aSint32":-1,"aSfixed32":7,"aUint32":4294967295,"aFixed32":1}"#,
        r#"{"anInt64":"-9223372036854775808","aSint64":"-1","aSfixed64":"7","aUint64":"18446744073709551615","aFixed64":"1"}"#,
        r#"{"aFloat":0.1,"aDouble":0.1}"#,
        r#"{"aFloat":3.4028235e+38,"aDouble":1.7976931348623157e+308}"#,
        r#"{"aFloat":"NaN","aDouble":"NaN"}"#,
        r#"{"aFloat":"Infinity","aDouble":"-Infinity"}"#,
        r#"{"aString":"grüß\"\\\n\u0001 😀"}"#,
        r#"{"aBytes":"AP/+"}"#,
        r#"{"aColor":"COLOR_BLUE"}"#,
        r#"{"aColor":17}"#,
        r#"{"inner":{"number":1,"inner":{"inner":{}}}}"#,
        r#"{"maybe":0}"#,
        r#"{"numbers":[1,0,-1],"texts":["","a"],"inners":[{},{"number":2}],"colors":["COLOR_RED",5,"COLOR_UNSPECIFIED"]}"#,
        r#"{"byName":{"":{},"a":{"number":1}},"byNumber":{"-1":"x","7":""},"byTruth":{"false":"COLOR_RED","true":9}}"#,
        r#"{"first":""}"#,
        r#"{"second":{}}"#,
        r#"{"third":null}"#,
        r#"{"time":"2006-01-02T15:04:05Z","duration":"-1.500s"}"#,
        r#"{"time":"0001-01-01T00:00:00.000000001Z","duration":"315576000000s"}"#,
        r#"{"mask":"a,fooBar.b"}"#,
        r#"{"mask":""}"#,
        r#"{"structure":{"a":null,"b":[1.0,"x",true,{}],"c":{"d":-0.5}}}"#,
        r#"{"value":null}"#,
        r#"{"value":{"a":[]}}"#,
        r#"{"list":[null,1.0,[]]}"#,
        r#"{"values":[null,"a"]}"#,
        r#"{"any":{"@type":"type.googleapis.com/all.Inner","number":3}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"any":{"@type":"example.com/all.All","any":{"@type":"example.com/all.Inner"}}}"#,
        r#"{"any":{}}"#,
        r#"{"any":{"@type":"example.com/who.Knows","@value":"CAE="}}"#,
        r#"{"empty":{}}"#,
        r#"{"wrappedInt64":"0","wrappedString":"","wrappedBytes":"","wrappedBool":false,"wrappedDouble":0.0}"#,
        r#"{"otherName":"x"}"#,
    ] {
        assert_eq!(through(json), json);
    }
}

#[test]
fn other_ways_to_say_the_same_are_understood() {
    for (json, canonical) in [
        (r#" { "a_bool" : true } "#, r#"{"aBool":true}"#),
        (r#"{"renamed":"x"}"#, r#"{"otherName":"x"}"#),
        (
            r#"{"anInt32":"5","aUint32":5.0,"anInt64":5,"aUint64":1e3}"#,
            r#"{"anInt32":5,"aUint32":5,"anInt64":"5","aUint64":"1000"}"#,
        ),
        (r#"{"aFloat":"1.5","aDouble":2}"#, r#"{"aFloat":1.5,"aDouble":2.0}"#),
        (r#"{"aBytes":"AP_-"}"#, r#"{"aBytes":"AP/+"}"#),
        (r#"{"aBytes":"AP8"}"#, r#"{"aBytes":"AP8="}"#),
        (r#"{"aColor":1}"#, r#"{"aColor":"COLOR_RED"}"#),
        (
            r#"{"aBool":null,"inner":null,"numbers":null,"byName":null,"time":null,"wrappedInt64":null,"first":null}"#,
            "{}",
        ),
        (r#"{"first":null,"second":{}}"#, r#"{"second":{}}"#),
        (r#"{"time":"2006-01-02T17:04:05.5+02:00"}"#, r#"{"time":"2006-01-02T15:04:05.500Z"}"#),
        (r#"{"duration":"1.000000001s"}"#, r#"{"duration":"1.000000001s"}"#),
        (
            r#"{"any":{"number":3,"@type":"type.googleapis.com/all.Inner"}}"#,
            r#"{"any":{"@type":"type.googleapis.com/all.Inner","number":3}}"#,
        ),
        (r#"{"anInt32":0,"aString":"","numbers":[],"aColor":0}"#, "{}"),
    ] {
        assert_eq!(through(json), canonical, "{json}");
    }
}

#[test]
fn an_error_says_where_and_what() {
    for (json, expected) in [
        (r#"{"aUint32": -1}"#, "aUint32 (line 1, column 14): -1 does not fit into uint32"),
        (
            "{\n  \"inners\": [\n    {},\n    {\"number\": 3000000000}\n  ]\n}",
            "inners[1].number (line 4, column 25): 3000000000 does not fit into int32",
        ),
        (
            r#"{"byName": {"a b": {"inner": {"number": "x"}}}}"#,
            r#"byName["a b"].inner.number (line 1, column 43): "x" is not a number (int32)"#,
        ),
        (r#"{"byNumber": {"x": ""}}"#, r#"byNumber["x"] (line 1, column 17): "x" is not a number (int64)"#),
        (r#"{"colour": 1}"#, "line 1, column 9: `all.All` has no field `colour`; did you mean `aColor`?"),
        (r#"{"a_boool": 1}"#, "line 1, column 10: `all.All` has no field `a_boool`; did you mean `aBool`?"),
        (
            r#"{"inner": {"nmber": 1}}"#,
            "inner (line 1, column 18): `all.Inner` has no field `nmber`; did you mean `number`?",
        ),
        (
            r#"{"aColor": "COLOR_RAD"}"#,
            "aColor (line 1, column 22): `all.Color` has no value `COLOR_RAD`; did you mean `COLOR_RED`?",
        ),
        (r#"{"aString": 5}"#, "aString (line 1, column 13): invalid type: integer `5`, expected a string"),
        (r#"{"aBool": "true"}"#, "aBool (line 1, column 16): invalid type: string \"true\", expected true or false"),
        (r#"{"aBytes": "???"}"#, "aBytes (line 1, column 16): this is not base64"),
        (
            r#"{"inner": []}"#,
            "inner (line 1, column 12): invalid type: array, expected an object with the fields of `all.Inner`",
        ),
        (r#"{"numbers": 1}"#, "numbers (line 1, column 13): invalid type: integer `1`, expected an array"),
        (r#"{"numbers": {}}"#, "numbers (line 1, column 14): invalid type: object, expected an array"),
        (r#"{"byName": []}"#, "byName (line 1, column 13): invalid type: array, expected an object"),
        (r#"{"numbers": [1, null]}"#, "numbers[1] (line 1, column 21): null cannot be an element of a list"),
        (r#"{"byName": {"a": null}}"#, r#"byName["a"] (line 1, column 22): null cannot be a value of a map"#),
        (r#"{"byTruth": {"yes": 1}}"#, r#"byTruth["yes"] (line 1, column 18): the key must be "true" or "false""#),
        (r#"{"first": "a", "second": {}}"#, "line 1, column 28: only one of `first` and `second` can be given"),
        (r#"{"aBool": true, "a_bool": false}"#, "line 1, column 24: the field `a_bool` is given twice"),
        (
            r#"{"time": "yesterday"}"#,
            r#"time (line 1, column 21): "yesterday" is not a time, such as "2006-01-02T15:04:05Z""#,
        ),
        (r#"{"duration": "1m"}"#, r#"duration (line 1, column 18): "1m" is not a duration, such as "1.5s""#),
        (r#"{"mask": "foo_bar"}"#, r#"mask (line 1, column 19): "foo_bar" is not a field path in lowerCamelCase"#),
        (
            r#"{"wrappedInt64": true}"#,
            "wrappedInt64 (line 1, column 21): invalid type: boolean `true`, expected a number (int64)",
        ),
        (
            r#"{"any": {"number": 1}}"#,
            r#"any (line 1, column 21): an Any needs `@type`, such as "type.googleapis.com/orders.v1.Order""#,
        ),
        (
            r#"{"any": {"@type": "x.org/who.Knows"}}"#,
            "any (line 1, column 36): the type `who.Knows` of this Any is not in the descriptors",
        ),
        (
            r#"{"any": {"@type": "x.org/all.Inner", "number": "x"}}"#,
            r#"any.number (line 1, column 51): "x" is not a number (int32)"#,
        ),
        (r#"{"aBool": true"#, "line 1, column 14: EOF while parsing an object"),
        (r#"{"aBool": tru}"#, "aBool (line 1, column 14): expected ident"),
        ("{} {}", "line 1, column 4: trailing characters"),
        ("", "line 1, column 0: EOF while parsing a value"),
        ("[]", "line 1, column 2: invalid type: array, expected an object with the fields of `all.All`"),
    ] {
        assert_eq!(error(json), expected, "{json}");
    }
}

#[test]
fn deep_nesting_is_an_error_both_ways() {
    let deep = |levels: usize| format!("{}{}", "{\"inner\":".repeat(levels) + "{}", "}".repeat(levels));
    assert!(error(&deep(1000)).contains("recursion limit"));
    // An Any in an Any in an Any: no decoder has counted these.
    let all = all();
    let mut bytes = Vec::new();
    for _ in 0..300 {
        let url = b"x.org/google.protobuf.Any";
        let mut any = vec![0x0a, u8::try_from(url.len()).unwrap()];
        any.extend(url);
        any.push(0x12);
        any.extend(length(bytes.len()));
        any.extend(&bytes);
        bytes = any;
    }
    let mut message = vec![0xc2, 0x03];
    message.extend(length(bytes.len()));
    message.extend(bytes);
    let result = all.decode_to_json(&message, JsonOptions::default());
    assert!(result.is_err() || result.unwrap().contains("@value"));
}

fn length(mut length: usize) -> Vec<u8> {
    let mut varint = Vec::new();
    while length > 0x7f {
        varint.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    varint.push(u8::try_from(length).unwrap());
    varint
}

#[test]
fn unknown_fields_can_be_ignored() {
    let all = all();
    let json = r#"{"colour": {"a": [1]}, "aBool": true, "inner": {"x": null, "number": 1}}"#;
    assert!(all.encode_json(json).is_err());
    let bytes = all.encode_json_ignoring_unknown(json).unwrap();
    assert_eq!(all.decode_to_json(&bytes, JsonOptions::default()).unwrap(), r#"{"aBool":true,"inner":{"number":1}}"#);
}

#[test]
fn defaults_and_names_are_written_as_asked() {
    let inner = pool().message("all.Inner").unwrap();
    let options = JsonOptions { defaults: true, ..JsonOptions::default() };
    assert_eq!(inner.decode_to_json(&[], options).unwrap(), r#"{"number":0}"#);
    let all = all();
    let text = all.decode_to_json(&[], options).unwrap();
    for part in
        [r#""aString":"""#, r#""anInt64":"0""#, r#""numbers":[]"#, r#""byName":{}"#, r#""aColor":"COLOR_UNSPECIFIED""#]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("maybe") && !text.contains("first") && !text.contains("time"), "{text}");
    let bytes = all.encode_json(r#"{"aBool":true,"renamed":"x"}"#).unwrap();
    let options = JsonOptions { proto_names: true, pretty: true, ..JsonOptions::default() };
    assert_eq!(all.decode_to_json(&bytes, options).unwrap(), "{\n  \"a_bool\": true,\n  \"renamed\": \"x\"\n}");
}

#[test]
fn bytes_that_are_no_such_message_are_refused() {
    assert!(all().decode_to_json(&[0x0a], JsonOptions::default()).is_err());
}

#[test]
fn a_template_has_every_field_and_can_be_sent() {
    let all = all();
    let template = all.json_template();
    all.encode_json(&template.replace("package.Message", "all.Inner")).unwrap();
    let inner = pool().message("all.Inner").unwrap();
    assert_eq!(inner.json_template(), "{\n  \"number\": 0,\n  \"inner\": {}\n}");
}

#[test]
fn a_method_is_found_by_each_of_its_names() {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protos");
    let pool = Pool::new(compile(&[protos], &["shop/v1/orders.proto"]).unwrap().descriptors).unwrap();
    assert_eq!(pool.services().collect::<Vec<_>>(), ["shop.v1.Orders"]);
    for name in ["shop.v1.Orders/Watch", "/shop.v1.Orders/Watch", "shop.v1.Orders.Watch"] {
        let method = pool.method(name).unwrap();
        assert_eq!(method.path(), "/shop.v1.Orders/Watch");
        assert_eq!(method.request().full_name(), "shop.v1.WatchRequest");
        assert_eq!(method.response().full_name(), "shop.v1.Event");
        assert!(method.server_streams() && !method.client_streams());
    }
    assert!(pool.method("shop.v1.Orders/Wtch").is_none());
    let order = pool.message("shop.v1.Order").unwrap();
    assert_eq!(
        order.used_types(),
        [
            "shop.v1.Order.Line",
            "common.v1.Money",
            "google.protobuf.Timestamp",
            "shop.v1.State",
            "shop.v1.Order.Invoice"
        ]
    );
    let files = pool.files();
    for symbol in [
        "shop.v1.Orders",
        "shop.v1.Orders.Watch",
        "shop.v1.Order.Line.sku",
        "shop.v1.Order.payment",
        "shop.v1.STATE_OPEN",
    ] {
        assert_eq!(files.containing(symbol).unwrap().name(), "shop/v1/orders.proto", "{symbol}");
    }
    assert_eq!(
        files.extension("google.protobuf.MethodOptions", 72_295_728).unwrap().name(),
        "google/api/annotations.proto"
    );
    assert_eq!(files.extension_numbers("google.protobuf.MethodOptions"), [72_295_728]);
    assert!(files.extension_numbers("shop.v1.Order").is_empty());
    let imports = files.with_imports(files.by_name("google/api/annotations.proto").unwrap());
    let names: Vec<_> = imports.into_iter().map(polywire_proto::File::name).collect();
    assert_eq!(names, ["google/api/annotations.proto", "google/api/http.proto", "google/protobuf/descriptor.proto"]);
}
