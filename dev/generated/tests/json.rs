//! Generated messages and messages known by their descriptors have one JSON.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use polywire::codegen::buffa::Message as _;
use polywire_generated::all::All;
use polywire_proto::{JsonOptions, Pool, compile};

#[test]
fn both_write_the_same_and_understand_each_other() {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/proto/tests/golden/protos");
    let pool = Pool::new(compile(&[protos], &["all/all.proto"]).unwrap().descriptors).unwrap();
    let of = pool.message("all.All").unwrap();
    for json in [
        "{}",
        r#"{"aBool":true,"anInt32":-1,"anInt64":"-9223372036854775808","aUint64":"18446744073709551615"}"#,
        r#"{"aFloat":0.1,"aDouble":0.1}"#,
        r#"{"aFloat":"NaN","aDouble":"-Infinity"}"#,
        r#"{"aString":"grüß\n","aBytes":"AP/+"}"#,
        r#"{"aColor":"COLOR_BLUE","colors":["COLOR_RED",17]}"#,
        r#"{"inner":{"number":1,"inner":{"inner":{}}},"maybe":0}"#,
        r#"{"numbers":[1,0,-1],"texts":["","a"],"inners":[{},{"number":2}]}"#,
        r#"{"byName":{"a":{"number":1}},"byNumber":{"-1":"x"},"byTruth":{"false":"COLOR_RED"}}"#,
        r#"{"first":""}"#,
        r#"{"second":{}}"#,
        r#"{"third":null}"#,
        r#"{"time":"2006-01-02T15:04:05Z","duration":"-1.500s","mask":"a,fooBar.b"}"#,
        r#"{"structure":{"a":[1.0,null,"x"]},"value":null,"list":[true],"empty":{}}"#,
        r#"{"wrappedInt64":"0","wrappedString":"","wrappedBytes":"AA==","wrappedBool":false,"wrappedDouble":1.5}"#,
        r#"{"otherName":"x"}"#,
    ] {
        let message: All = serde_json::from_str(json).unwrap();
        let bytes = of.encode_json(json).unwrap();
        assert_eq!(of.decode_to_json(&message.encode_to_vec(), JsonOptions::default()).unwrap(), json);
        let again = All::decode_from_slice(&bytes).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), json);
    }
}
