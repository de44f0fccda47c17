//! polywire's interoperability test server: `interop_server --port=P [--use_tls=true --tls_cert_file=F --tls_key_file=F]`.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use buffa::Message as _;
use bytes::Bytes;
use clap::{ArgAction, Parser};
use conformance::{
    ECHO_INITIAL, ECHO_TRAILING, LOAD_REPORT,
    grpc::testing::{
        BoolValue, EchoStatus, Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
        StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse, TestOrcaReport,
        TestServer, TestService,
    },
    xds::{
        data::orca::v3::OrcaLoadReport,
        service::orca::v3::{OpenRcaServer, OpenRcaService, OrcaLoadReportRequest},
    },
};
use polywire::{
    Call, Code, Compression, Interceptor, Limits, Next, Receiver, Reply, Sender, Server, Status, Wire,
    transport::tls::{CertificateSource, ServerTls},
};
use tokio::sync::watch;

/// The flags that the test servers of all languages have, and two of ours.
#[derive(Parser, Debug)]
struct Options {
    #[arg(long)]
    port: u16,
    #[arg(long = "use_tls", action = ArgAction::Set, default_value_t = false)]
    use_tls: bool,
    #[arg(long = "tls_cert_file", required_if_eq("use_tls", "true"))]
    certificates: Option<String>,
    #[arg(long = "tls_key_file", required_if_eq("use_tls", "true"))]
    key: Option<String>,
    /// Streams at once on a connection
    #[arg(long = "max_concurrent_streams")]
    streams_max: Option<u32>,
    /// Longest message that is accepted
    #[arg(long = "message_bytes_max")]
    message_bytes_max: Option<usize>,
    /// Speaks HTTP/2 alone
    #[arg(long = "http2_only")]
    http2_only: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("interop_server: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let mut limits = Limits::default();
    if let Some(streams) = options.streams_max {
        limits.streams_max = streams;
    }
    if let Some(bytes) = options.message_bytes_max {
        limits.message_bytes_max = bytes;
    }
    let (reports, _) = watch::channel(OrcaLoadReport::default());
    let reports = Arc::new(reports);
    let mut server = Server::new()
        .limits(limits)
        .intercept(NoteCompression)
        .add(TestServer::new(Tests { reports: Arc::clone(&reports) }))
        .add(OpenRcaServer::new(Reports(reports)));
    if options.http2_only {
        server = server.without_wire(Wire::Http1).without_wire(Wire::Native);
    }
    if let (true, Some(certificates), Some(key)) = (options.use_tls, options.certificates, options.key) {
        server = server.tls(ServerTls::new(CertificateSource::files(certificates, key)));
    }
    server.listen(format!("127.0.0.1:{}", options.port)).await.map_err(|e| e.to_string())
}

/// The service under test.
struct Tests {
    /// What the out-of-band service tells.
    reports: Arc<watch::Sender<OrcaLoadReport>>,
}

impl TestService for Tests {
    async fn empty_call(&self, call: &mut Call, _: Empty) -> Result<Empty, Status> {
        echo_metadata(call)?;
        Ok(Empty::default())
    }

    async fn unary_call(&self, call: &mut Call, request: SimpleRequest) -> Result<SimpleResponse, Status> {
        echo_metadata(call)?;
        check_compression(call, request.expect_compressed.as_option())?;
        if let Some(report) = request.orca_per_query_report.as_option() {
            call.trailing_mut().append_bin(LOAD_REPORT, &load_report(report).encode_to_vec()).map_err(internal)?;
        }
        end_if_asked(request.response_status.as_option())?;
        if let Some(wanted) = request.response_compressed.as_option() {
            call.set_response_compression(if wanted.value { Compression::Gzip } else { Compression::Identity });
        }
        Ok(SimpleResponse {
            payload: zeros(request.response_size)?.into(),
            server_id: if request.fill_server_id { "polywire".into() } else { String::new() },
            ..SimpleResponse::default()
        })
    }

    async fn cacheable_unary_call(&self, call: &mut Call, _: SimpleRequest) -> Result<SimpleResponse, Status> {
        echo_metadata(call)?;
        call.append_leading("cache-control", "max-age=60, public").map_err(internal)?;
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_err(internal)?.as_nanos();
        let payload = Payload { body: Bytes::from(nanoseconds.to_string()), ..Payload::default() };
        Ok(SimpleResponse { payload: payload.into(), ..SimpleResponse::default() })
    }

    async fn streaming_output_call(
        &self,
        call: &mut Call,
        request: StreamingOutputCallRequest,
        mut responses: Sender<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo_metadata(call)?;
        compress_if_asked(call, &request);
        answer(call, &request, &mut responses).await?;
        end_if_asked(request.response_status.as_option())
    }

    async fn streaming_input_call(
        &self,
        call: &mut Call,
        mut requests: Receiver<StreamingInputCallRequest>,
    ) -> Result<StreamingInputCallResponse, Status> {
        echo_metadata(call)?;
        let mut sum = 0;
        while let Some(request) = requests.next().await? {
            check_compression(call, request.expect_compressed.as_option())?;
            sum += i32::try_from(request.payload.body.len()).map_err(internal)?;
        }
        Ok(StreamingInputCallResponse { aggregated_payload_size: sum, ..StreamingInputCallResponse::default() })
    }

    async fn full_duplex_call(
        &self,
        call: &mut Call,
        mut requests: Receiver<StreamingOutputCallRequest>,
        mut responses: Sender<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo_metadata(call)?;
        while let Some(request) = requests.next().await? {
            if let Some(report) = request.orca_oob_report.as_option() {
                self.reports.send_replace(load_report(report));
            }
            end_if_asked(request.response_status.as_option())?;
            compress_if_asked(call, &request);
            answer(call, &request, &mut responses).await?;
        }
        Ok(())
    }

    async fn half_duplex_call(
        &self,
        call: &mut Call,
        mut requests: Receiver<StreamingOutputCallRequest>,
        mut responses: Sender<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo_metadata(call)?;
        let mut all = Vec::new();
        while let Some(request) = requests.next().await? {
            if all.len() == REQUESTS_MAX {
                return Err(Status::resource_exhausted(format!("more than {REQUESTS_MAX} requests")));
            }
            all.push(request);
        }
        for request in all {
            end_if_asked(request.response_status.as_option())?;
            answer(call, &request, &mut responses).await?;
        }
        Ok(())
    }

    async fn unimplemented_call(&self, call: &mut Call, _: Empty) -> Result<Empty, Status> {
        Err(Status::unimplemented(format!("{} is left out on purpose", call.method())))
    }
}

/// Tells the load outside of calls.
struct Reports(Arc<watch::Sender<OrcaLoadReport>>);

impl OpenRcaService for Reports {
    async fn stream_core_metrics(
        &self,
        _: &mut Call,
        request: OrcaLoadReportRequest,
        mut responses: Sender<OrcaLoadReport>,
    ) -> Result<(), Status> {
        let wanted = request.report_interval.as_option().map_or(Duration::ZERO, |interval| {
            Duration::new(u64::try_from(interval.seconds).unwrap_or(0), u32::try_from(interval.nanos).unwrap_or(0))
        });
        let mut ticks = tokio::time::interval(wanted.max(REPORT_INTERVAL_MIN));
        loop {
            ticks.tick().await;
            let report = self.0.borrow().clone();
            responses.send(report).await?;
        }
    }
}

/// Notes on each call whether the last message that came was compressed.
struct NoteCompression;

/// What [`NoteCompression`] leaves.
struct LastCompressed(Arc<AtomicBool>);

impl Interceptor for NoteCompression {
    async fn intercept(&self, call: &mut Call, mut next: Next<'_>) -> Result<Reply, Status> {
        let last = Arc::new(AtomicBool::new(false));
        call.extensions_mut().insert(LastCompressed(Arc::clone(&last)));
        next.exchange_mut().requests.inspect(move |message| {
            last.store(message.compression != Compression::Identity, Ordering::Relaxed);
            Ok(())
        });
        next.run(call).await
    }
}

fn check_compression(call: &Call, expected: Option<&BoolValue>) -> Result<(), Status> {
    let Some(expected) = expected else { return Ok(()) };
    let seen = call.extensions().find::<LastCompressed>().is_some_and(|last| last.0.load(Ordering::Relaxed));
    if seen == expected.value {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("the request's compressed flag is {seen}, {} was expected", expected.value)))
}

fn echo_metadata(call: &mut Call) -> Result<(), Status> {
    if let Some(value) = call.metadata().get(ECHO_INITIAL).map(str::to_owned) {
        call.append_leading(ECHO_INITIAL, &value).map_err(internal)?;
    }
    if let Some(value) = call.metadata().binary(ECHO_TRAILING).map(<[u8]>::to_vec) {
        call.trailing_mut().append_bin(ECHO_TRAILING, &value).map_err(internal)?;
    }
    Ok(())
}

fn end_if_asked(status: Option<&EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => {
            Err(Status::new(Code::from_number(u32::try_from(status.code).unwrap_or(u32::MAX)), status.message.clone()))
        }
        _ => Ok(()),
    }
}

fn compress_if_asked(call: &mut Call, request: &StreamingOutputCallRequest) {
    if request.response_parameters.iter().any(|parameters| parameters.compressed.value) {
        call.set_response_compression(Compression::Gzip);
    }
}

async fn answer(
    call: &Call,
    request: &StreamingOutputCallRequest,
    responses: &mut Sender<StreamingOutputCallResponse>,
) -> Result<(), Status> {
    let mut due = Instant::now();
    for parameters in &request.response_parameters {
        if let Ok(interval) = u64::try_from(parameters.interval_us)
            && interval > 0
        {
            due += Duration::from_micros(interval);
            tokio::time::sleep_until(due.into()).await;
        }
        let peer = if parameters.fill_peer_socket_address { call.address().to_string() } else { String::new() };
        let response = StreamingOutputCallResponse {
            payload: zeros(parameters.size)?.into(),
            peer_socket_address: peer,
            ..StreamingOutputCallResponse::default()
        };
        if parameters.compressed.is_set() && !parameters.compressed.value {
            responses.send_uncompressed(response).await?;
        } else {
            responses.send(response).await?;
        }
    }
    Ok(())
}

fn zeros(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size).ok().filter(|size| *size <= PAYLOAD_BYTES_MAX);
    let size = size.ok_or_else(|| Status::invalid_argument(format!("a payload has 0 to {PAYLOAD_BYTES_MAX} bytes")))?;
    Ok(Payload { body: Bytes::from(vec![0; size]), ..Payload::default() })
}

fn load_report(report: &TestOrcaReport) -> OrcaLoadReport {
    OrcaLoadReport {
        cpu_utilization: report.cpu_utilization,
        mem_utilization: report.memory_utilization,
        request_cost: report.request_cost.clone(),
        utilization: report.utilization.clone(),
        ..OrcaLoadReport::default()
    }
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

/// What a caller may ask for in one message.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// What a caller may pile up before it is answered.
const REQUESTS_MAX: usize = 1_000;
/// Test clients wait for a new report for some seconds, so it comes more often than in earnest.
const REPORT_INTERVAL_MIN: Duration = Duration::from_millis(100);
