//! polywire's client for the Connect conformance suite.
//!
//! It reads `ClientCompatRequest`s from standard input until that ends, makes the calls that they describe, many at once, and
//! writes a `ClientCompatResponse` for each.

use std::{
    collections::HashMap,
    io::{stdin, stdout},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use buffa::Message;
use bytes::Bytes;
use conformance::{
    connect_suite::{compression, error, headers, metadata, read_message, register_types, write_message},
    connectrpc::conformance::v1::{
        BidiStreamRequest, BidiStreamResponse, ClientCompatRequest, ClientCompatResponse, ClientErrorResult,
        ClientResponseResult, ClientStreamRequest, ClientStreamResponse, Codec as SuiteCodec, ConformanceClient,
        ConformancePayload, HTTPVersion, IdempotentUnaryRequest, IdempotentUnaryResponse, Protocol,
        ServerStreamRequest, ServerStreamResponse, StreamType, TLSCreds, UnaryRequest, UnaryResponse,
        UnimplementedRequest, UnimplementedResponse, client_compat_request::cancel::CancelTiming,
    },
};
use polywire::{
    Channel, Codec, CompressionSet, Limits, Metadata, Outcome, Receiver, ResponseFuture, Sender, Status, UnaryCall,
    codegen::serde::{Serialize, de::DeserializeOwned},
    transport::tls::{CertificateSource, ClientTls, Roots},
};
use tokio::sync::{Semaphore, mpsc};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("connect_client: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Wrong> {
    register_types();
    // Standard input is read apart, so that calls in progress do not wait for the next request.
    let (asked, mut requests) = mpsc::channel::<ClientCompatRequest>(CALLS_MAX);
    let reader = std::thread::spawn(move || -> std::io::Result<()> {
        let mut input = stdin().lock();
        while let Some(request) = read_message(&mut input)? {
            if asked.blocking_send(request).is_err() {
                break;
            }
        }
        Ok(())
    });
    let (answered, mut answers) = mpsc::channel::<ClientCompatResponse>(CALLS_MAX);
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let mut output = stdout().lock();
        while let Some(answer) = answers.blocking_recv() {
            write_message(&mut output, &answer)?;
        }
        Ok(())
    });
    let mut channels = Channels::default();
    let room = Arc::new(Semaphore::new(CALLS_MAX));
    while let Some(request) = requests.recv().await {
        let channel = channels.find(&request);
        let answered = answered.clone();
        let permit = Arc::clone(&room).acquire_owned().await?;
        tokio::spawn(async move {
            let played = async { play(&request, channel?).await };
            let result = match played.await {
                Ok(result) => result.into(),
                Err(wrong) => ClientErrorResult { message: wrong.to_string(), ..Default::default() }.into(),
            };
            let test_name = request.test_name.clone();
            let answer = ClientCompatResponse { test_name, result: Some(result), ..Default::default() };
            // When nobody takes the answers any more, the writer has said why.
            let _ = answered.send(answer).await;
            drop(permit);
        });
    }
    drop(answered);
    reader.join().map_err(|_| "the reader panicked")??;
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}

/// One channel for each way of calling a server.
#[derive(Default)]
struct Channels(HashMap<Way, Channel>);

/// What a channel is made for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Way {
    host: String,
    port: u32,
    protocol: i32,
    http_version: i32,
    server_tls_cert: Bytes,
    client_cert: Bytes,
    client_key: Bytes,
    codec: i32,
    compression: i32,
    message_receive_limit: u32,
    get: bool,
}

impl Channels {
    fn find(&mut self, request: &ClientCompatRequest) -> Result<Channel, Wrong> {
        let ours = request.client_tls_creds.as_option();
        let way = Way {
            host: request.host.clone(),
            port: request.port,
            protocol: request.protocol.to_i32(),
            http_version: request.http_version.to_i32(),
            server_tls_cert: request.server_tls_cert.clone(),
            client_cert: ours.map(|ours| ours.cert.clone()).unwrap_or_default(),
            client_key: ours.map(|ours| ours.key.clone()).unwrap_or_default(),
            codec: request.codec.to_i32(),
            compression: request.compression.to_i32(),
            message_receive_limit: request.message_receive_limit,
            get: request.use_get_http_method,
        };
        if let Some(channel) = self.0.get(&way) {
            return Ok(channel.clone());
        }
        let channel = connect(request, ours)?;
        self.0.insert(way, channel.clone());
        Ok(channel)
    }
}

fn connect(request: &ClientCompatRequest, ours: Option<&TLSCreds>) -> Result<Channel, Wrong> {
    let tls = !request.server_tls_cert.is_empty();
    let http2 = request.http_version == HTTPVersion::HTTP_VERSION_2;
    let scheme = match (request.protocol.as_known(), http2, tls) {
        (Some(Protocol::PROTOCOL_CONNECT), false, false) => "connect+http",
        (Some(Protocol::PROTOCOL_CONNECT), true, false) => "connect+h2c",
        (Some(Protocol::PROTOCOL_CONNECT), _, true) => "connect+https",
        (Some(Protocol::PROTOCOL_GRPC), true, false) => "http",
        (Some(Protocol::PROTOCOL_GRPC), true, true) => "https",
        (Some(Protocol::PROTOCOL_GRPC_WEB), false, false) => "grpc-web+http",
        (Some(Protocol::PROTOCOL_GRPC_WEB), true, false) => "grpc-web+h2c",
        (Some(Protocol::PROTOCOL_GRPC_WEB), _, true) => "grpc-web+https",
        (protocol, ..) => return Err(format!("{protocol:?} over {:?} is not known", request.http_version).into()),
    };
    let codec = match request.codec.as_known() {
        Some(SuiteCodec::CODEC_PROTO) => Codec::Proto,
        Some(SuiteCodec::CODEC_JSON) => Codec::Json,
        other => return Err(format!("the codec {other:?} is not known").into()),
    };
    let compression = compression(request.compression)?;
    let mut builder = Channel::builder(format!("{scheme}://{}:{}", request.host, request.port))?
        .codec(codec)
        .compress(compression)
        .compress_bytes_min(0)
        .get(request.use_get_http_method)
        .accept_compressions(CompressionSet::NONE.with(compression));
    if request.message_receive_limit > 0 {
        let message_bytes_max = request.message_receive_limit as usize;
        builder = builder.limits(Limits { message_bytes_max, ping_policy: None, ..Limits::default() });
    }
    if tls {
        let alpn = if http2 { "h2" } else { "http/1.1" };
        let mut tls = ClientTls::new(Roots::pem(request.server_tls_cert.clone())).alpn([alpn]);
        if let Some(ours) = ours {
            tls = tls.certificate(CertificateSource::pem(ours.cert.clone(), ours.key.clone()));
        }
        builder = builder.tls(tls);
    }
    Ok(builder.build()?)
}

/// What is said about a call besides its messages.
struct CallDescription {
    metadata: Metadata,
    timeout: Option<Duration>,
    delay: Duration,
    cancel: Option<Cancel>,
    full_duplex: bool,
}

/// Tells a call of any shape what is said about it.
macro_rules! described {
    ($call:expr, $description:expr) => {{
        let mut call = $call;
        if let Some(timeout) = $description.timeout {
            call = call.timeout(timeout);
        }
        for (key, value) in &$description.metadata {
            call = match value.as_str().filter(|_| !key.ends_with("-bin")) {
                Some(text) => call.metadata(key, text),
                None => call.metadata_bin(key, value.as_bytes()),
            };
        }
        call
    }};
}

/// When the caller gives up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    AfterCloseSend(Duration),
    AfterResponses(usize),
    BeforeCloseSend,
}

impl Cancel {
    fn of(request: &ClientCompatRequest) -> Option<Self> {
        request.cancel.as_option().map(|cancel| match &cancel.cancel_timing {
            Some(CancelTiming::BeforeCloseSend(_)) => Self::BeforeCloseSend,
            Some(CancelTiming::AfterCloseSendMs(wait)) => Self::AfterCloseSend(Duration::from_millis((*wait).into())),
            Some(CancelTiming::AfterNumResponses(count)) => Self::AfterResponses(*count as usize),
            None => Self::AfterCloseSend(Duration::ZERO),
        })
    }
}

impl CallDescription {
    async fn unary<M: Answer>(&self, call: UnaryCall<'_, M>) -> Result<ClientResponseResult, Wrong> {
        let call = described!(call, self);
        tokio::time::sleep(self.delay).await;
        Ok(self.unless_cancelled(call.outcome()).await)
    }

    async fn client_stream(
        &self,
        messages: Vec<ClientStreamRequest>,
        mut requests: Sender<ClientStreamRequest>,
        response: ResponseFuture<ClientStreamResponse>,
    ) -> Result<ClientResponseResult, Wrong> {
        let mut unsent = 0;
        for (i, message) in messages.iter().enumerate() {
            tokio::time::sleep(self.delay).await;
            if requests.send(message).await.is_err() {
                unsent = messages.len() - i;
                break;
            }
        }
        if self.cancel == Some(Cancel::BeforeCloseSend) {
            drop(response);
            return Ok(cancelled());
        }
        requests.close();
        let result = self.unless_cancelled(response.outcome()).await;
        Ok(ClientResponseResult { num_unsent_requests: i32::try_from(unsent)?, ..result })
    }

    async fn server_stream(
        &self,
        mut responses: Receiver<ServerStreamResponse>,
    ) -> Result<ClientResponseResult, Wrong> {
        let mut seen = Seen::default();
        if let Some(Cancel::AfterCloseSend(wait)) = self.cancel {
            tokio::time::sleep(wait).await;
            return Ok(cancelled());
        }
        seen.rest(&mut responses, self.cancel).await;
        Ok(seen.finish(responses).await)
    }

    async fn bidi_stream(
        &self,
        messages: Vec<BidiStreamRequest>,
        mut requests: Sender<BidiStreamRequest>,
        mut responses: Receiver<BidiStreamResponse>,
    ) -> Result<ClientResponseResult, Wrong> {
        let mut seen = Seen::default();
        for (i, message) in messages.iter().enumerate() {
            tokio::time::sleep(self.delay).await;
            if requests.send(message).await.is_err() {
                seen.result.num_unsent_requests = i32::try_from(messages.len() - i)?;
                break;
            }
            if self.full_duplex && !seen.next(&mut responses, self.cancel).await {
                break;
            }
        }
        if self.cancel == Some(Cancel::BeforeCloseSend) {
            seen.end(Err(Status::cancelled(GAVE_UP)));
        }
        if !seen.is_over {
            requests.close();
            if let Some(Cancel::AfterCloseSend(wait)) = self.cancel {
                tokio::time::sleep(wait).await;
                seen.end(Err(Status::cancelled(GAVE_UP)));
            }
            seen.rest(&mut responses, self.cancel).await;
        }
        Ok(seen.finish(responses).await)
    }

    /// The answer, or that the caller gave up. Dropping the future is what cancels a call.
    async fn unless_cancelled<M: Answer>(&self, outcome: impl Future<Output = Outcome<M>>) -> ClientResponseResult {
        let outcome = match self.cancel {
            Some(Cancel::AfterCloseSend(wait)) => match tokio::time::timeout(wait, outcome).await {
                Ok(outcome) => outcome,
                Err(_) => return cancelled(),
            },
            _ => outcome.await,
        };
        let (payloads, error) = match outcome.result {
            Ok(message) => (vec![message.payload().unwrap_or_default()], None),
            Err(status) => (Vec::new(), Some(error(&status))),
        };
        ClientResponseResult {
            response_headers: headers(&outcome.leading),
            response_trailers: headers(&outcome.trailing),
            payloads,
            error: error.into(),
            ..Default::default()
        }
    }
}

/// Makes one call and tells what came of it. The error is for what could not be tried at all.
async fn play(request: &ClientCompatRequest, channel: Channel) -> Result<ClientResponseResult, Wrong> {
    let client = ConformanceClient::new(channel);
    let call = CallDescription {
        metadata: metadata(&request.request_headers)?,
        timeout: request.timeout_ms.map(|timeout| Duration::from_millis(timeout.into())),
        delay: Duration::from_millis(request.request_delay_ms.into()),
        cancel: Cancel::of(request),
        full_duplex: request.stream_type == StreamType::STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM,
    };
    match request.method.as_deref().unwrap_or_default() {
        "Unary" => call.unary(client.unary(only::<UnaryRequest>(request)?)).await,
        "IdempotentUnary" => call.unary(client.idempotent_unary(only::<IdempotentUnaryRequest>(request)?)).await,
        "Unimplemented" => call.unary(client.unimplemented(only::<UnimplementedRequest>(request)?)).await,
        "ServerStream" => {
            let started = described!(client.server_stream(only::<ServerStreamRequest>(request)?), call);
            tokio::time::sleep(call.delay).await;
            call.server_stream(started.await?).await
        }
        "ClientStream" => {
            let (requests, response) = described!(client.client_stream(), call).await?;
            call.client_stream(all::<ClientStreamRequest>(request)?, requests, response).await
        }
        "BidiStream" => {
            let (requests, responses) = described!(client.bidi_stream(), call).await?;
            call.bidi_stream(all::<BidiStreamRequest>(request)?, requests, responses).await
        }
        other => Err(format!("there is no method {other}").into()),
    }
}

/// What has been seen of a stream of responses.
#[derive(Default)]
struct Seen {
    result: ClientResponseResult,
    is_over: bool,
    is_cancelled: bool,
}

impl Seen {
    /// Waits for one response; `false` when there is none, or when the caller gives up at this one.
    async fn next<M: Answer>(&mut self, responses: &mut Receiver<M>, cancel: Option<Cancel>) -> bool {
        if self.is_over {
            return false;
        }
        match responses.next().await {
            Ok(Some(response)) => self.result.payloads.push(response.payload().unwrap_or_default()),
            Ok(None) => self.end(Ok(())),
            Err(status) => self.end(Err(status)),
        }
        if !self.is_over && cancel == Some(Cancel::AfterResponses(self.result.payloads.len())) {
            self.end(Err(Status::cancelled(GAVE_UP)));
        }
        !self.is_over
    }

    async fn rest<M: Answer>(&mut self, responses: &mut Receiver<M>, cancel: Option<Cancel>) {
        while self.next(responses, cancel).await {}
    }

    fn end(&mut self, result: Result<(), Status>) {
        if !std::mem::replace(&mut self.is_over, true)
            && let Err(status) = result
        {
            self.is_cancelled = status.message() == GAVE_UP;
            self.result.error = error(&status).into();
        }
    }

    async fn finish<M: Answer>(mut self, mut responses: Receiver<M>) -> ClientResponseResult {
        // A caller who has given up before the first response does not wait for the metadata either.
        if !self.is_cancelled || !self.result.payloads.is_empty() {
            self.result.response_headers = headers(&responses.leading().await);
        }
        self.result.response_trailers = headers(&responses.trailing().unwrap_or_default());
        self.result
    }
}

fn cancelled() -> ClientResponseResult {
    ClientResponseResult { error: error(&Status::cancelled(GAVE_UP)).into(), ..Default::default() }
}

/// A response of the service.
trait Answer: Message + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn payload(self) -> Option<ConformancePayload>;
}

macro_rules! answers {
    ($($type:ty;)*) => {$(
        impl Answer for $type {
            fn payload(self) -> Option<ConformancePayload> {
                self.payload.into_option()
            }
        }
    )*};
}

answers! {
    BidiStreamResponse;
    ClientStreamResponse;
    IdempotentUnaryResponse;
    ServerStreamResponse;
    UnaryResponse;
}

impl Answer for UnimplementedResponse {
    fn payload(self) -> Option<ConformancePayload> {
        None
    }
}

/// The one request of a method that takes one.
fn only<M: Message + Default>(request: &ClientCompatRequest) -> Result<M, Wrong> {
    match request.request_messages.as_slice() {
        [message] => Ok(message.unpack_unchecked()?),
        messages => Err(format!("{} requests for a method of one", messages.len()).into()),
    }
}

fn all<M: Message + Default>(request: &ClientCompatRequest) -> Result<Vec<M>, Wrong> {
    request.request_messages.iter().map(|message| message.unpack_unchecked().map_err(Wrong::from)).collect()
}

type Wrong = Box<dyn std::error::Error + Send + Sync>;

/// The message of the status that the client itself makes up when it gives up a call.
const GAVE_UP: &str = "the caller gave up";
/// Calls at once: so many that none waits for the slow ones, so few that a small machine keeps to their deadlines.
const CALLS_MAX: usize = 32;
