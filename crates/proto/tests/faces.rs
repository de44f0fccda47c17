//! The two faces of the generator: build scripts and protoc.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use buffa::Message as _;
use buffa_descriptor::generated::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};
use polywire_proto::{Build, ErrorKind, Options, compile, encode_descriptor_set, run_plugin};

#[test]
fn a_build_writes_all_packages_and_touches_nothing_twice() {
    let out = tempfile::tempdir().unwrap();
    let build = || Build::new().include(protos()).file("shop/v1/orders.proto").out_dir(out.path());
    build().compile().unwrap();
    assert_eq!(
        names(out.path()),
        ["common.v1-package.rs", "common.v1.rs", "mod.rs", "shop.v1-package.rs", "shop.v1.rs"]
    );
    let package = out.path().join("shop.v1.rs");
    let mut read_only = fs::metadata(&package).unwrap().permissions();
    read_only.set_readonly(true);
    fs::set_permissions(&package, read_only).unwrap();
    let written = fs::metadata(&package).unwrap().modified().unwrap();
    build().compile().unwrap();
    assert_eq!(fs::metadata(&package).unwrap().modified().unwrap(), written);
}

#[test]
fn a_descriptor_set_is_generated_from_without_its_sources() {
    let directory = tempfile::tempdir().unwrap();
    let set = directory.path().join("shop.binpb");
    let compiled = compile(&[protos()], &["shop/v1/orders.proto"]).unwrap();
    fs::write(&set, encode_descriptor_set(&compiled.descriptors)).unwrap();
    let generated = |build: Build| {
        let out = tempfile::tempdir().unwrap();
        build.out_dir(out.path()).compile().map(|()| names(out.path()))
    };
    let all = ["common.v1-package.rs", "common.v1.rs", "mod.rs", "shop.v1-package.rs", "shop.v1.rs"];
    // Only options use google.api, so it is no code; what fields use is.
    assert_eq!(generated(Build::new().descriptor_set(&set)).unwrap(), all);
    let one = Build::new().descriptor_set(&set).file("common/v1/money.proto");
    assert_eq!(generated(one).unwrap(), ["common.v1-package.rs", "common.v1.rs", "mod.rs"]);
    let external = Options::new().external("common.v1", "::common::v1");
    let shop = Build::new().descriptor_set(&set).options(external);
    assert_eq!(generated(shop).unwrap(), ["mod.rs", "shop.v1-package.rs", "shop.v1.rs"]);
}

#[test]
fn what_a_build_cannot_do_it_says() {
    let error = |build: Build| build.out_dir(tempfile::tempdir().unwrap().path()).compile().unwrap_err();
    let shop = || Build::new().include(protos()).file("shop/v1/orders.proto");

    let nothing = error(Build::new());
    assert_eq!(nothing.to_string(), "there is nothing to generate: add a `file` or a `descriptor_set`");
    assert_eq!(nothing.kind(), ErrorKind::Generate);

    let pattern = error(shop().owned("/shop.v1.Orders/Creat"));
    assert_eq!(pattern.to_string(), "owned(\"shop.v1.Orders/Creat\") names no method of the generated services");

    let set = error(Build::new().descriptor_set("no/such.binpb"));
    assert_eq!(set.kind(), ErrorKind::Io);
    assert!(set.to_string().starts_with("cannot read no/such.binpb: "), "{set}");

    // A build script shows an error by `Debug`.
    let wrong = error(Build::new().include(protos().join("../bad")).file("syntax-error.proto"));
    assert_eq!(format!("{wrong:?}"), wrong.to_string());
    assert!(wrong.to_string().contains("syntax-error.proto:6:15"), "{wrong}");

    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.proto"), "syntax = \"proto3\"; package a; message match {}").unwrap();
    let keyword = error(Build::new().include(directory.path()).file("a.proto"));
    assert_eq!(
        keyword.to_string(),
        "a.proto: the type `a.match` has the name of a keyword, which no Rust type can have; give it another"
    );
}

#[test]
fn protoc_gets_the_same_files_and_learns_what_is_understood() {
    let response = answer(&request("owned=/shop.v1.Orders/Create, bytes=.shop.v1"));
    assert_eq!(response.error, None);
    let names: Vec<_> = response.file.iter().filter_map(|file| file.name.as_deref()).collect();
    assert_eq!(names, ["common.v1-package.rs", "common.v1.rs", "shop.v1-package.rs", "shop.v1.rs", "mod.rs"]);
    let shop = response.file[3].content.as_deref().unwrap();
    assert!(shop.contains("request: self::CreateRequest,"));
    assert!(shop.contains("pub picture: ::polywire::codegen::buffa::bytes::Bytes"));
    // FEATURE_PROTO3_OPTIONAL and FEATURE_SUPPORTS_EDITIONS; proto2 up to edition 2024.
    assert_eq!(response.supported_features, Some(3));
    assert_eq!((response.minimum_edition, response.maximum_edition), (Some(998), Some(1001)));
}

#[test]
fn protoc_is_told_what_is_wrong() {
    for (parameter, expected) in [
        ("grpc=true", "`grpc=true` is no option of polywire"),
        ("external=common.v1", "should be `external=PACKAGE=RUST_PATH`"),
        ("owned=nothing", "names no method"),
    ] {
        let response = answer(&request(parameter));
        assert!(response.file.is_empty());
        let error = response.error.unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let response = CodeGeneratorResponse::decode_from_slice(&run_plugin(b"\xff")).unwrap();
    assert!(response.error.unwrap().starts_with("this is not a CodeGeneratorRequest"));
}

#[test]
fn the_plug_in_reads_standard_input_and_writes_standard_output() {
    let request = request("").encode_to_vec();
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_protoc-gen-polywire"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    plugin.stdin.take().unwrap().write_all(&request).unwrap();
    let output = plugin.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, run_plugin(&request));
}

fn protos() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protos")
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn request(parameter: &str) -> CodeGeneratorRequest {
    let compiled = compile(&[protos()], &["shop/v1/orders.proto"]).unwrap();
    CodeGeneratorRequest {
        file_to_generate: compiled.files,
        parameter: Some(parameter.to_owned()),
        proto_file: compiled.descriptors.file,
        ..CodeGeneratorRequest::default()
    }
}

fn answer(request: &CodeGeneratorRequest) -> CodeGeneratorResponse {
    CodeGeneratorResponse::decode_from_slice(&run_plugin(&request.encode_to_vec())).unwrap()
}
