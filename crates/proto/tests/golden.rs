//! What comes out, compared with files that are read in review. `BLESS=1 cargo test -p polywire-proto` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use polywire_proto::{
    GenerateRequest, Options, Pool, compile, decode_descriptor_set, encode_descriptor_set, generate, merge_descriptors,
};

#[test]
fn services_are_generated_as_the_golden_files_say() {
    let compiled =
        compile(&[golden("protos")], &["shop/v1/orders.proto", "names/names.proto", "rest/rest.proto", "root.proto"])
            .unwrap();
    let files = generate(&GenerateRequest {
        descriptors: compiled.descriptors,
        files_to_generate: compiled.files,
        options: Options::new().owned("/shop.v1.Orders/Find").owned("names.*/Generic"),
    })
    .unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "_-package.rs",
            "_.rs",
            "common.v1-package.rs",
            "common.v1.rs",
            "deep.type.match-package.rs",
            "deep.type.match.rs",
            "google.api-package.rs",
            "google.api.rs",
            "names-package.rs",
            "names.rs",
            "rest-package.rs",
            "rest.rs",
            "shop.v1-package.rs",
            "shop.v1.rs",
            "mod.rs",
        ]
    );
    for file in files.iter().filter(|file| !file.name.starts_with("google.")) {
        // Messages are another project's output; the whole of it is looked at once, for the smallest package.
        let content = match file.content.split_once("\n/// The methods of `") {
            Some((_, services)) => format!("/// The methods of `{services}"),
            None => file.content.clone(),
        };
        check(&format!("generated/{}", file.name), &without_descriptors(&content));
    }
}

#[test]
fn a_descriptor_set_of_editions_is_generated_from() {
    let mut set = decode_descriptor_set(&editions_set()).unwrap();
    merge_descriptors(&mut set, compile(&[golden("protos")], &["common/v1/money.proto"]).unwrap().descriptors);
    let files = generate(&GenerateRequest {
        descriptors: set,
        files_to_generate: vec!["editions/switch.proto".to_owned()],
        options: Options::new(),
    })
    .unwrap();
    let package = files.iter().find(|file| file.name == "editions.rs").unwrap();
    // Explicit presence is the default of the edition; the second field asks for the implicit one.
    assert!(package.content.contains("pub explicit: ::core::option::Option<i32>"), "{}", package.content);
    assert!(package.content.contains("pub implicit: i32"));
    let (_, services) = package.content.split_once("\n/// The methods of `").unwrap();
    check("generated/editions.rs", &without_descriptors(&format!("/// The methods of `{services}")));
}

#[test]
fn the_embedded_descriptors_are_complete_and_without_comments() {
    let compiled = compile(&[golden("protos")], &["shop/v1/orders.proto"]).unwrap();
    let files = generate(&GenerateRequest {
        descriptors: compiled.descriptors.clone(),
        files_to_generate: compiled.files,
        options: Options::new(),
    })
    .unwrap();
    let package = files.iter().find(|file| file.name == "shop.v1.rs").unwrap();
    let (_, literal) = package.content.split_once("DESCRIPTORS: &[u8] = b\"").unwrap();
    let (literal, _) = literal.split_once("\";\n").unwrap();
    let set = decode_descriptor_set(&bytes_of_literal(literal)).unwrap();
    let names: Vec<_> = set.file.iter().filter_map(|file| file.name.as_deref()).collect();
    assert_eq!(
        names,
        [
            "common/v1/money.proto",
            "google/api/http.proto",
            "google/protobuf/descriptor.proto",
            "google/api/annotations.proto",
            "google/protobuf/empty.proto",
            "google/protobuf/timestamp.proto",
            "shop/v1/orders.proto",
        ]
    );
    assert!(set.file.iter().all(|file| file.source_code_info.is_unset()));
    // The REST rule is an extension nobody here knows; it is still there.
    let mut with_source = compiled.descriptors;
    for file in &mut with_source.file {
        file.source_code_info.take();
    }
    let orders = |set: &polywire_proto::FileDescriptorSet| {
        let file = set.file.iter().find(|file| file.name.as_deref() == Some("shop/v1/orders.proto")).unwrap();
        let file = polywire_proto::FileDescriptorSet { file: vec![file.clone()], ..Default::default() };
        encode_descriptor_set(&file)
    };
    let bytes = orders(&set);
    assert_eq!(bytes, orders(&with_source));
    assert!(bytes.windows(10).any(|window| window == b"/v1/orders"));
}

#[test]
fn declarations_are_described_as_source() {
    let files = ["shop/v1/orders.proto", "all/all.proto", "described/described.proto", "described/legacy.proto"];
    let compiled = compile(&[golden("protos")], &files).unwrap();
    let mut descriptors = compiled.descriptors;
    merge_descriptors(&mut descriptors, decode_descriptor_set(&editions_set()).unwrap());
    let pool = Pool::new(descriptors).unwrap();
    for file in files.into_iter().chain(["editions/switch.proto"]) {
        let source = pool.describe_file(file).unwrap();
        check(&format!("described/{}", file.replace('/', "-")), &source);
        if file.starts_with("editions") {
            continue;
        }
        // What was printed means the same.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &source).unwrap();
        let again = compile(&[directory.path(), &golden("protos")], &[file]).unwrap();
        let again = Pool::new(again.descriptors).unwrap();
        assert_eq!(again.describe_file(file).unwrap(), source);
    }
    let described = |symbol: &str| {
        let described = pool.describe(symbol).unwrap();
        format!("// {} {}\n{}", described.kind.name(), described.full_name, described.source)
    };
    let symbols = [
        "shop.v1.Orders/Create",
        "shop.v1.Orders.Watch",
        "shop.v1.Order.Line",
        "shop.v1.Order.lines",
        "shop.v1.STATE_OPEN",
        "google.api.http",
        "described.Nested.Inner.Deep",
    ];
    let line = pool.describe("shop.v1.Order.Line").unwrap();
    assert_eq!((line.file.as_str(), line.package.as_str()), ("shop/v1/orders.proto", "shop.v1"));
    let declared = pool.files().declared();
    assert!(
        ["shop.v1.Orders", "shop.v1.Orders.Create", "shop.v1.Order.Line"].iter().all(|name| declared.contains(name))
    );
    assert!(!declared.iter().any(|name| name.ends_with("Entry") || name.ends_with(".STATE_OPEN")), "{declared:?}");
    for name in declared {
        assert_eq!(pool.describe(name).unwrap().full_name, name);
    }
    let all: Vec<_> = symbols.into_iter().map(described).collect();
    check("described/symbols.txt", &all.join("\n"));
    assert!(pool.describe("shop.v1.Nothing").is_none());
    assert!(pool.describe("shop.v1").is_none());
}

#[test]
fn a_wrong_file_is_shown_with_the_place_and_the_line() {
    let mut bad: Vec<_> = fs::read_dir(golden("bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    bad.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    bad.sort();
    assert!(bad.len() >= 10);
    for path in bad {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let error = compile(&[golden("bad"), golden("protos")], &[&name]).unwrap_err().to_string();
        let error = error.replace(env!("CARGO_MANIFEST_DIR"), "").replace("/tests/golden/", "");
        check(&format!("bad/{}", name.replace(".proto", ".txt")), &format!("{error}\n"));
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_where_it_was_looked_for() {
    let error = compile(&["proto", "third_party"], &["orders.proto"]).unwrap_err().to_string();
    check("bad/no-such-file.txt", &format!("{error}\n"));
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check(name: &str, actual: &str) {
    let path = golden(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{name} is no longer what is generated; BLESS=1 rewrites it.\n{}",
        first_difference(&expected, actual)
    );
}

fn first_difference(expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).enumerate();
    match lines.find(|(_, (expected, actual))| expected != actual) {
        Some((at, (expected, actual))) => format!("line {}:\n- {expected}\n+ {actual}", at + 1),
        None => "one is longer".to_owned(),
    }
}

fn without_descriptors(code: &str) -> String {
    let mut code = code.to_owned();
    if let Some((before, behind)) = code.split_once("] = [\n        \"{\\\"tags") {
        let (_, behind) = behind.split_once("    ];\n").unwrap();
        code = format!("{before}] = [\"…\"];\n{behind}");
    }
    match code.split_once("DESCRIPTORS: &[u8] = b\"") {
        Some((before, behind)) => {
            let (_, behind) = behind.split_once("\";\n").unwrap();
            format!("{before}DESCRIPTORS: &[u8] = b\"…\";\n{behind}")
        }
        None => code,
    }
}

/// What the compiler makes of a byte string.
fn bytes_of_literal(literal: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut letters = literal.bytes();
    while let Some(letter) = letters.next() {
        if letter != b'\\' {
            bytes.push(letter);
            continue;
        }
        match letters.next().unwrap() {
            b'n' => bytes.push(b'\n'),
            b'x' => {
                let digits = [letters.next().unwrap(), letters.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            b'\n' => {}
            other => bytes.push(other),
        }
    }
    bytes
}

/// What protoc writes for a file in edition 2023:
///
/// ```proto
/// edition = "2023";
/// package editions;
/// import "common/v1/money.proto";
/// message Switch {
///   int32 explicit = 1;
///   int32 implicit = 2 [features.field_presence = IMPLICIT];
///   common.v1.Money price = 3 [features.message_encoding = DELIMITED];
/// }
/// service Switches { rpc Flip(Switch) returns (stream Switch); }
/// ```
fn editions_set() -> Vec<u8> {
    use buffa_descriptor::generated::descriptor::{
        Edition, FeatureSet, FieldOptions, feature_set, field_descriptor_proto::Type,
    };
    use polywire_proto::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
        ServiceDescriptorProto,
    };

    let field = |name: &str, number, of, features: FeatureSet| FieldDescriptorProto {
        name: Some(name.to_owned()),
        json_name: Some(name.to_owned()),
        number: Some(number),
        r#type: Some(of),
        options: FieldOptions { features: features.into(), ..Default::default() }.into(),
        ..Default::default()
    };
    let price = FeatureSet { message_encoding: Some(feature_set::MessageEncoding::DELIMITED), ..Default::default() };
    let implicit = FeatureSet { field_presence: Some(feature_set::FieldPresence::IMPLICIT), ..Default::default() };
    encode_descriptor_set(&FileDescriptorSet {
        file: vec![FileDescriptorProto {
            name: Some("editions/switch.proto".to_owned()),
            package: Some("editions".to_owned()),
            syntax: Some("editions".to_owned()),
            edition: Some(Edition::EDITION_2023),
            dependency: vec!["common/v1/money.proto".to_owned()],
            message_type: vec![DescriptorProto {
                name: Some("Switch".to_owned()),
                field: vec![
                    field("explicit", 1, Type::TYPE_INT32, FeatureSet::default()),
                    field("implicit", 2, Type::TYPE_INT32, implicit),
                    FieldDescriptorProto {
                        type_name: Some(".common.v1.Money".to_owned()),
                        ..field("price", 3, Type::TYPE_MESSAGE, price)
                    },
                ],
                ..Default::default()
            }],
            service: vec![ServiceDescriptorProto {
                name: Some("Switches".to_owned()),
                method: vec![MethodDescriptorProto {
                    name: Some("Flip".to_owned()),
                    input_type: Some(".editions.Switch".to_owned()),
                    output_type: Some(".editions.Switch".to_owned()),
                    server_streaming: Some(true),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    })
}
