//! `polywire list`, `describe` and `completions`.

mod shared;

use shared::{polywire, server};

const FILE: [&str; 2] = ["--proto", "polywire/test/v1/echo.proto"];

const REQUEST: &str = "\
// What is said.
message EchoRequest {
  // The text.
  string text = 1;
  // How often to say it.
  uint32 times = 2;
  // How long to wait before the answer, in milliseconds.
  uint32 wait_ms = 3;
  // End with this status instead.
  uint32 code = 4;
  // Panic instead.
  bool panic = 5;
}
";

#[test]
fn services_and_methods_are_listed() {
    let server = server();
    let methods = ["Unary", "Expand", "Collect", "Chat"].map(|name| format!("polywire.test.v1.Echo/{name}\n")).concat();
    for source in [&[server.address.as_str()][..], &FILE] {
        let ran = polywire(&[&["list"], source].concat()).exits(0);
        assert!(ran.stdout.ends_with("polywire.test.v1.Echo\n"), "{ran:?}");
        polywire(&[&["list"], source, &["polywire.test.v1.Echo"]].concat()).exits(0).prints(&methods);
        polywire(&[&["list"], source, &["Echo"]].concat()).exits(0).prints(&methods);
        polywire(&[&["list"], source, &["Ecco"]].concat())
            .exits(1)
            .prints("")
            .says(&["did you mean polywire.test.v1.Echo?"]);
    }
}

#[test]
fn lists_for_scripts_are_lines_of_json() {
    let ran = polywire(&[&["list", "--format", "json", "Echo"][..], &FILE].concat()).exits(0);
    let first = r#"{"event":"method","method":"polywire.test.v1.Echo/Unary","request":"polywire.test.v1.EchoRequest","response":"polywire.test.v1.EchoReply","client_streaming":false,"server_streaming":false}"#;
    assert_eq!(ran.stdout.lines().next(), Some(first));
    assert_eq!(ran.stdout.lines().count(), 4);
    let ran = polywire(&["list", "localhost:1", "--format", "json"]).exits(78);
    assert!(
        ran.stdout.starts_with(r#"{"event":"status","code":14,"name":"UNAVAILABLE","message":"cannot connect"#),
        "{ran:?}"
    );
}

#[test]
fn declarations_are_described_as_source() {
    let head = "// polywire.test.v1.EchoRequest: message in polywire/test/v1/echo.proto\npackage polywire.test.v1;\n\n";
    for name in ["polywire.test.v1.EchoRequest", "EchoRequest"] {
        polywire(&[&["describe", name][..], &FILE].concat()).exits(0).prints(&format!("{head}{REQUEST}"));
    }
    let ran = polywire(&[&["describe", "Echo.Expand"][..], &FILE].concat()).exits(0);
    let reply = "// What is said back.\nmessage EchoReply {\n  // The text.\n  string text = 1;\n}\n";
    let rpc = "// The text, as often as asked.\nrpc Expand(polywire.test.v1.EchoRequest) returns (stream polywire.test.v1.EchoReply);\n";
    assert!(ran.stdout.ends_with(&format!("{rpc}\n{REQUEST}\n{reply}")), "{}", ran.stdout);
    // A field says little without its neighbours.
    polywire(&[&["describe", "polywire.test.v1.EchoRequest.text"][..], &FILE].concat())
        .exits(0)
        .prints(&format!("{head}{REQUEST}"));
    polywire(&[&["describe", "polywire.test.v1.EchoRequest.text", "--template"][..], &FILE].concat()).exits(2).says(&[
        "polywire.test.v1.EchoRequest.text is part of the message polywire.test.v1.EchoRequest; templates are",
    ]);
}

#[test]
fn a_server_describes_itself() {
    let server = server();
    let ran = polywire(&["describe", &server.address]).exits(0);
    assert!(ran.stdout.contains("service Echo {\n"), "{ran:?}");
    polywire(&["describe", &server.address, "EchoReqest"])
        .exits(1)
        .says(&["error: nothing is called \"EchoReqest\" here\nhint: did you mean polywire.test.v1.EchoRequest?\n"]);
}

#[test]
fn a_template_can_be_sent() {
    let server = server();
    let ran = polywire(&["describe", &server.address, "polywire.test.v1.Echo/Unary", "--template"]).exits(0);
    assert!(ran.stdout.starts_with("{\n  \"text\": \"\",\n  \"times\": 0,\n  \"waitMs\": 0,\n"), "{ran:?}");
    polywire(&["call", &server.address, "polywire.test.v1.Echo/Unary", "-d", &ran.stdout]).exits(0).prints("{}\n");
}

#[test]
fn mistakes_on_the_command_line_say_what_to_write() {
    polywire(&["list"]).exits(2).says(&["where from? give ADDRESS, --proto FILE or --descriptor-set FILE"]);
    polywire(&["list", "--proto", "nowhere.proto"])
        .exits(1)
        .says(&["error: file 'nowhere.proto' is not in any include path"]);
    polywire(&["call", "localhost:99999", "a/b"]).exits(2).says(&["hint: write host:port, http://, https://"]);
    polywire(&["call", "localhost:1", "a/b", "-H", "x"]).exits(2).says(&["hint: write it as -H 'key: value'"]);
    polywire(&["lst"]).exits(2).says(&["a similar subcommand exists: 'list'"]);
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = polywire(&["completions", shell]).exits(0);
        assert!(ran.stdout.contains("descriptor-set"), "{shell}");
    }
    polywire(&["--version"]).exits(0).prints(concat!("polywire ", env!("CARGO_PKG_VERSION"), "\n"));
}
