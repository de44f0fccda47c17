//! A server of this process, and the command run against it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "this is a test as well")]

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use buffa::view::MessageView as _;
use polywire::{
    Bound, BoxFuture, Call, Code, Detail, Exchange, Method, MethodKind, Receiver, Reply, Sender, Server, ServerHandle,
    Service, Status,
    transport::tls::{CertificateSource, ServerTls},
};
use polywire_proto::Files;

#[allow(clippy::all, missing_docs, unused_qualifications, reason = "generated")]
mod echo {
    polywire::include_proto!("polywire.test.v1");
}
#[allow(clippy::all, missing_docs, unused_qualifications, reason = "generated")]
mod reflection {
    polywire::include_proto!("grpc.reflection.v1");
}

use echo::{
    EchoReply, EchoRequest, EchoRequestView, EchoServer, EchoService, ShelfServer, ShelfService, Thing, ThingView,
};
use reflection::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest, ServerReflectionResponse,
    ServerReflectionServer, ServerReflectionService, ServiceResponse,
    server_reflection_request::MessageRequest as Question, server_reflection_response::MessageResponse as Answer,
};

/// A server that runs until the test process ends.
pub struct Running {
    pub handle: ServerHandle,
    pub address: String,
}

/// What the command did.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

/// A server with reflection.
pub fn server() -> Running {
    run(Server::new().with_reflection())
}

/// A server without reflection.
pub fn server_without_reflection() -> Running {
    run(Server::new())
}

/// A server with the older reflection only.
pub fn server_with_old_reflection() -> Running {
    run(Server::new().add(OldReflection(ServerReflectionServer::new(Reflector))))
}

/// A server with reflection that speaks TLS, and the certificate to believe.
pub fn server_with_tls() -> (Running, tempfile::NamedTempFile) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certificate.as_bytes()).unwrap();
    let tls = ServerTls::new(CertificateSource::pem(certificate, key));
    (run(Server::new().tls(tls).with_reflection()), file)
}

/// A server with reflection and a service that can be called by REST.
pub fn server_with_rest() -> Running {
    run(Server::new().with_reflection().add(ShelfServer::new(Things)))
}

/// Runs the command.
pub fn polywire(arguments: &[&str]) -> Ran {
    with_input(arguments, "")
}

/// Runs the command with that as its standard input.
pub fn with_input(arguments: &[&str], input: &str) -> Ran {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    finished(child)
}

/// Starts the command.
pub fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_polywire"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the command.
pub fn finished(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Checks that standard error has all these.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing in {self:#?}");
        }
        self
    }

    /// Checks what was printed.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{self:#?}");
        self
    }
}

fn run(server: Server) -> Running {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let bound: Bound = server.add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
            let address = format!("localhost:{}", bound.address().unwrap().to_string().rsplit(':').next().unwrap());
            sender.send(Running { handle: bound.handle(), address }).unwrap();
            let _ = bound.serve().await;
        });
    });
    receiver.recv().unwrap()
}

struct Things;

impl ShelfService for Things {
    async fn get(&self, _call: &mut Call, request: ThingView<'_>) -> Result<Thing, Status> {
        match request.name {
            "things/none" => Err(failed(5, "there is no such thing")),
            _ => owned(&request),
        }
    }

    async fn list(&self, _call: &mut Call, request: ThingView<'_>, mut out: Sender<Thing>) -> Result<(), Status> {
        for _ in 0..request.size {
            out.send(owned(&request)?).await?;
        }
        Ok(())
    }

    async fn fill(&self, _call: &mut Call, mut requests: Receiver<Thing>) -> Result<Thing, Status> {
        let mut all = Thing::default();
        while let Some(thing) = requests.next().await? {
            all.name.push_str(&thing.name);
            all.size += thing.size;
        }
        Ok(all)
    }

    async fn hide(&self, _call: &mut Call, request: ThingView<'_>) -> Result<Thing, Status> {
        owned(&request)
    }
}

fn owned(thing: &ThingView<'_>) -> Result<Thing, Status> {
    thing.to_owned_message().map_err(|error| Status::internal(error.to_string()))
}

struct Echoer;

impl EchoService for Echoer {
    async fn unary(&self, call: &mut Call, request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        let heard: Vec<(String, Vec<u8>)> =
            call.metadata().iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect();
        for (key, value) in heard.iter().filter(|(key, _)| key.starts_with("x-")) {
            match std::str::from_utf8(value) {
                Ok(text) if !key.ends_with("-bin") => call.append_leading(key, text).unwrap(),
                _ => call.trailing_mut().append_bin(key, value).unwrap(),
            }
        }
        if request.wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(request.wait_ms))).await;
        }
        if request.code > 0 {
            return Err(failed(request.code, request.text));
        }
        Ok(EchoReply { text: request.text.repeat(request.times.max(1) as usize), ..Default::default() })
    }

    async fn expand(
        &self,
        _call: &mut Call,
        request: EchoRequestView<'_>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        for _ in 0..request.times {
            out.send(EchoReply { text: request.text.to_owned(), ..Default::default() }).await?;
        }
        if request.code > 0 { Err(failed(request.code, request.text)) } else { Ok(()) }
    }

    async fn collect(&self, _call: &mut Call, mut requests: Receiver<EchoRequest>) -> Result<EchoReply, Status> {
        let mut text = String::new();
        while let Some(request) = requests.next().await? {
            text.push_str(&request.text);
        }
        Ok(EchoReply { text, ..Default::default() })
    }

    async fn chat(
        &self,
        _call: &mut Call,
        mut requests: Receiver<EchoRequest>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.next().await? {
            if request.code > 0 {
                return Err(failed(request.code, &request.text));
            }
            out.send(EchoReply { text: request.text, ..Default::default() }).await?;
        }
        Ok(())
    }
}

/// A status with one detail that everybody knows and one that nobody does.
fn failed(code: u32, message: &str) -> Status {
    Status::new(Code::from_number(code), message.to_owned())
        .with_detail(Detail {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: (&b"\x0a\x04TEST"[..]).into(),
        })
        .with_detail(Detail {
            type_url: "type.googleapis.com/no.such.Type".to_owned(),
            value: (&b"\x08\x01"[..]).into(),
        })
}

/// Version v1 under the name of v1alpha: their messages are the same.
struct OldReflection(ServerReflectionServer<Reflector>);

static OLD_METHODS: [Method; 1] =
    [Method::new("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", MethodKind::BidiStreaming)];

impl Service for OldReflection {
    fn name(&self) -> &'static str {
        "grpc.reflection.v1alpha.ServerReflection"
    }

    fn methods(&self) -> &'static [Method] {
        &OLD_METHODS
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut Call,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Reply, Status>> {
        self.0.call(method, call, exchange)
    }
}

struct Reflector;

impl ServerReflectionService for Reflector {
    async fn server_reflection_info(
        &self,
        _call: &mut Call,
        mut requests: Receiver<ServerReflectionRequest>,
        mut out: Sender<ServerReflectionResponse>,
    ) -> Result<(), Status> {
        let echo = EchoServer::new(Echoer);
        let mut files = Files::new();
        files.add_set(echo.descriptors()).map_err(|error| Status::internal(error.to_string()))?;
        while let Some(request) = requests.next().await? {
            let file = match request.message_request {
                Some(Question::ListServices(_)) => {
                    let service = vec![ServiceResponse { name: echo.name().to_owned(), ..Default::default() }];
                    let answer = Answer::from(ListServiceResponse { service, ..Default::default() });
                    out.send(ServerReflectionResponse { message_response: Some(answer), ..Default::default() }).await?;
                    continue;
                }
                Some(Question::FileByFilename(name)) => files.by_name(&name),
                Some(Question::FileContainingSymbol(name)) => files.containing(&name),
                _ => None,
            };
            let answer = match file {
                Some(file) => {
                    let file_descriptor_proto = vec![file.bytes().to_vec()];
                    Answer::from(FileDescriptorResponse { file_descriptor_proto, ..Default::default() })
                }
                None => Answer::from(ErrorResponse {
                    error_code: i32::from(Code::NotFound.number()),
                    error_message: "not here".to_owned(),
                    ..Default::default()
                }),
            };
            out.send(ServerReflectionResponse { message_response: Some(answer), ..Default::default() }).await?;
        }
        Ok(())
    }
}
