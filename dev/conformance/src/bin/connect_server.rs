//! polywire's server for the Connect conformance suite.
//!
//! It reads one `ServerCompatRequest` from standard input, says by a `ServerCompatResponse` where it listens, and serves until
//! it is asked to end.

use std::{
    io::{stdin, stdout},
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use conformance::{
    connect_suite::{headers, metadata, read_message, register_types, status, write_message},
    connectrpc::conformance::v1::{
        BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, ConformancePayload,
        ConformanceServer, ConformanceService, Error, Header, IdempotentUnaryRequest, IdempotentUnaryResponse,
        ServerCompatRequest, ServerCompatResponse, ServerStreamRequest, ServerStreamResponse, StreamResponseDefinition,
        UnaryRequest, UnaryResponse, UnaryResponseDefinition, UnimplementedRequest, UnimplementedResponse,
        conformance_payload::{ConnectGetInfo, RequestInfo},
        unary_response_definition::Response,
    },
};
use polywire::{
    Call, Detail, Limits, Receiver, Sender, Server, Status,
    transport::tls::{CertificateSource, ClientCertificates, Roots, ServerTls},
    well_known::Any,
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("connect_server: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    register_types();
    let asked: ServerCompatRequest = read_message(&mut stdin().lock())?.ok_or("nothing was asked")?;
    let mut server = Server::new().add(ConformanceServer::new(Conformance));
    if asked.message_receive_limit > 0 {
        let message_bytes_max = asked.message_receive_limit as usize;
        server = server.limits(Limits { message_bytes_max, ..Limits::default() });
    }
    let mut told = ServerCompatResponse { host: "127.0.0.1".into(), ..ServerCompatResponse::default() };
    if asked.use_tls {
        let ours = asked.server_creds.as_option().ok_or("TLS without a certificate")?;
        let mut tls = ServerTls::new(CertificateSource::pem(ours.cert.clone(), ours.key.clone()));
        if !asked.client_tls_cert.is_empty() {
            tls = tls.client_certificates(ClientCertificates::Required(Roots::pem(asked.client_tls_cert.clone())));
        }
        server = server.tls(tls);
        told.pem_cert = ours.cert.clone();
    }
    let mut end = signal(SignalKind::terminate())?;
    let bound = server.bind("127.0.0.1:0").await?;
    told.port = bound.address().ok_or("no address")?.port().into();
    write_message(&mut stdout().lock(), &told)?;
    tokio::select! {
        () = bound.serve() => {}
        _ = end.recv() => {}
    }
    Ok(())
}

/// The service that the suite describes.
struct Conformance;

impl ConformanceService for Conformance {
    async fn unary(&self, call: &mut Call, request: UnaryRequest) -> Result<UnaryResponse, Status> {
        let requests = vec![packed(UnaryRequest::TYPE_URL, &request)];
        let payload = answer_one(call, request.response_definition.as_option(), requests).await?;
        Ok(UnaryResponse { payload: payload.into(), ..UnaryResponse::default() })
    }

    async fn idempotent_unary(
        &self,
        call: &mut Call,
        request: IdempotentUnaryRequest,
    ) -> Result<IdempotentUnaryResponse, Status> {
        let requests = vec![packed(IdempotentUnaryRequest::TYPE_URL, &request)];
        let payload = answer_one(call, request.response_definition.as_option(), requests).await?;
        Ok(IdempotentUnaryResponse { payload: payload.into(), ..IdempotentUnaryResponse::default() })
    }

    async fn client_stream(
        &self,
        call: &mut Call,
        mut requests: Receiver<ClientStreamRequest>,
    ) -> Result<ClientStreamResponse, Status> {
        let mut all = Vec::new();
        let mut definition = None;
        while let Some(request) = requests.next().await? {
            note(&mut all, packed(ClientStreamRequest::TYPE_URL, &request))?;
            definition.get_or_insert(request.response_definition);
        }
        let definition = definition.unwrap_or_default();
        let payload = answer_one(call, definition.as_option(), all).await?;
        Ok(ClientStreamResponse { payload: payload.into(), ..ClientStreamResponse::default() })
    }

    async fn server_stream(
        &self,
        call: &mut Call,
        request: ServerStreamRequest,
        mut responses: Sender<ServerStreamResponse>,
    ) -> Result<(), Status> {
        let Some(definition) = request.response_definition.as_option() else { return Ok(()) };
        let requests = vec![packed(ServerStreamRequest::TYPE_URL, &request)];
        begin(call, &definition.response_headers, &definition.response_trailers)?;
        if !definition.response_data.is_empty() {
            responses.flush_leading();
        }
        let mut info = Some(request_info(call, requests));
        for data in &definition.response_data {
            pause(definition.response_delay_ms).await;
            let payload = payload(data.clone(), info.take());
            responses.send(ServerStreamResponse { payload: payload.into(), ..ServerStreamResponse::default() }).await?;
        }
        end(definition.error.as_option(), info)
    }

    async fn bidi_stream(
        &self,
        call: &mut Call,
        mut requests: Receiver<BidiStreamRequest>,
        mut responses: Sender<BidiStreamResponse>,
    ) -> Result<(), Status> {
        let mut seen = Vec::new();
        let mut first: Option<BidiStreamRequest> = None;
        let mut sent = 0;
        while let Some(request) = requests.next().await? {
            note(&mut seen, packed(BidiStreamRequest::TYPE_URL, &request))?;
            let is_first = first.is_none();
            let first = first.get_or_insert(request);
            let definition = first.response_definition.as_option();
            if is_first && let Some(definition) = definition {
                begin(call, &definition.response_headers, &definition.response_trailers)?;
                if first.full_duplex && !definition.response_data.is_empty() {
                    responses.flush_leading();
                }
            }
            if first.full_duplex {
                let Some((data, delay)) =
                    definition.and_then(|d| Some((d.response_data.get(sent)?, d.response_delay_ms)))
                else {
                    break;
                };
                let info = match sent {
                    0 => request_info(call, std::mem::take(&mut seen)),
                    _ => RequestInfo { requests: std::mem::take(&mut seen), ..RequestInfo::default() },
                };
                pause(delay).await;
                send(&mut responses, data.clone(), Some(info)).await?;
                sent += 1;
            }
        }
        let Some(definition) = first.as_ref().and_then(|first| first.response_definition.as_option()) else {
            return Ok(());
        };
        if sent == 0 && !definition.response_data.is_empty() {
            responses.flush_leading();
        }
        answer_rest(call, definition, sent, seen, &mut responses).await
    }

    async fn unimplemented(&self, call: &mut Call, _: UnimplementedRequest) -> Result<UnimplementedResponse, Status> {
        Err(Status::unimplemented(format!("{} is left out on purpose", call.method())))
    }
}

async fn answer_rest(
    call: &Call,
    definition: &StreamResponseDefinition,
    sent: usize,
    seen: Vec<Any>,
    responses: &mut Sender<BidiStreamResponse>,
) -> Result<(), Status> {
    let mut info = (sent == 0).then(|| request_info(call, seen));
    for data in definition.response_data.iter().skip(sent) {
        pause(definition.response_delay_ms).await;
        send(responses, data.clone(), info.take()).await?;
    }
    end(definition.error.as_option(), info)
}

async fn send(
    responses: &mut Sender<BidiStreamResponse>,
    data: Bytes,
    info: Option<RequestInfo>,
) -> Result<(), Status> {
    let payload = payload(data, info).into();
    responses.send(BidiStreamResponse { payload, ..BidiStreamResponse::default() }).await
}

/// The one response that a definition asks for, or the error.
async fn answer_one(
    call: &mut Call,
    definition: Option<&UnaryResponseDefinition>,
    requests: Vec<Any>,
) -> Result<ConformancePayload, Status> {
    let info = request_info(call, requests);
    let Some(definition) = definition else { return Ok(payload(Bytes::new(), Some(info))) };
    begin(call, &definition.response_headers, &definition.response_trailers)?;
    pause(definition.response_delay_ms).await;
    match &definition.response {
        Some(Response::Error(error)) => end(Some(error), Some(info)).map(|()| ConformancePayload::default()),
        Some(Response::ResponseData(data)) => Ok(payload(data.clone(), Some(info))),
        None => Ok(payload(Bytes::new(), Some(info))),
    }
}

/// Says the metadata around the answer, and answers compressed as the request was.
fn begin(call: &mut Call, leading: &[Header], trailing: &[Header]) -> Result<(), Status> {
    call.set_response_compression(call.request_compression());
    let bad = |error: polywire::InvalidMetadata| Status::invalid_argument(error.to_string());
    for (key, value) in &metadata(leading).map_err(bad)? {
        match value.as_str().filter(|_| !key.ends_with("-bin")) {
            Some(text) => call.append_leading(key, text).map_err(bad)?,
            None => call.append_leading_bin(key, value.as_bytes()).map_err(bad)?,
        }
    }
    call.trailing_mut().extend(&metadata(trailing).map_err(bad)?);
    Ok(())
}

/// The end that a definition asks for. What the first response would have told goes with the error when there was none.
fn end(error: Option<&Error>, info: Option<RequestInfo>) -> Result<(), Status> {
    let Some(error) = error else { return Ok(()) };
    let status = status(error);
    Err(match info {
        None => status,
        Some(info) => {
            let Any { type_url, value, .. } = packed(RequestInfo::TYPE_URL, &info);
            status.with_detail(Detail { type_url, value })
        }
    })
}

fn payload(data: Bytes, info: Option<RequestInfo>) -> ConformancePayload {
    ConformancePayload { data, request_info: info.into(), ..ConformancePayload::default() }
}

/// What is seen of a request.
fn request_info(call: &Call, requests: Vec<Any>) -> RequestInfo {
    let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    RequestInfo {
        request_headers: headers(call.metadata()),
        timeout_ms: left.map(|left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX)),
        requests,
        connect_get_info: query_info(call).into(),
        ..RequestInfo::default()
    }
}

/// The parameters of a call by GET.
fn query_info(call: &Call) -> Option<ConnectGetInfo> {
    let parameters = call.query().split('&').filter_map(|pair| pair.split_once('='));
    // Names and the values that the suite compares have nothing in them that would be escaped.
    let header = |(name, value): (&str, &str)| Header {
        name: name.to_owned(),
        value: vec![value.to_owned()],
        ..Header::default()
    };
    let query_params: Vec<_> = parameters.map(header).collect();
    (!query_params.is_empty()).then(|| ConnectGetInfo { query_params, ..ConnectGetInfo::default() })
}

fn packed(type_url: &str, message: &impl buffa::Message) -> Any {
    Any::pack(message, type_url)
}

fn note(all: &mut Vec<Any>, request: Any) -> Result<(), Status> {
    if all.len() == REQUESTS_MAX {
        return Err(Status::resource_exhausted(format!("more than {REQUESTS_MAX} requests")));
    }
    all.push(request);
    Ok(())
}

async fn pause(milliseconds: u32) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
    }
}

/// What a caller may pile up before it is answered.
const REQUESTS_MAX: usize = 10_000;
