//! polywire's interoperability test client: `interop_client --server_host=H --server_port=P --test_case=C`.
//!
//! It plays one case and ends with 0 when the case passed, or says what was wrong.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use buffa::Message as _;
use bytes::Bytes;
use clap::{ArgAction, Parser};
use conformance::{
    ECHO_INITIAL, ECHO_TRAILING, LOAD_REPORT,
    grpc::testing::{
        BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
        StreamingInputCallRequest, StreamingOutputCallRequest, StreamingOutputCallResponse, TestClient, TestOrcaReport,
        UnimplementedClient,
    },
    tap::Tap,
    xds::{
        data::orca::v3::OrcaLoadReport,
        service::orca::v3::{OpenRcaClient, OrcaLoadReportRequest},
    },
};
use polywire::{
    Channel, Code, Compression, Metadata, Receiver, Status,
    transport::tls::{ClientTls, Roots},
};

/// The flags that the test clients of all languages have.
#[derive(Parser, Clone, Debug)]
struct Options {
    #[arg(long = "server_host", default_value = "127.0.0.1")]
    host: String,
    #[arg(long = "server_port")]
    port: u16,
    #[arg(long = "test_case", default_value = "empty_unary")]
    case: String,
    #[arg(long = "use_tls", action = ArgAction::Set, default_value_t = false)]
    use_tls: bool,
    /// Trust the authority of --ca_file instead of the system's
    #[arg(long = "use_test_ca", action = ArgAction::Set, default_value_t = false)]
    use_test_ca: bool,
    #[arg(long = "ca_file", required_if_eq("use_test_ca", "true"))]
    authority: Option<String>,
    /// The name that the server's certificate must have
    #[arg(long = "server_host_override")]
    name: Option<String>,
    #[arg(long = "soak_iterations", default_value_t = 10)]
    soak_iterations: u32,
    #[arg(long = "soak_max_failures", default_value_t = 0)]
    soak_failures_max: u32,
    #[arg(long = "soak_per_iteration_max_acceptable_latency_ms", default_value_t = 1_000)]
    soak_latency_max_ms: u64,
    #[arg(long = "soak_overall_timeout_seconds", default_value_t = 10)]
    soak_timeout_seconds: u64,
    #[arg(long = "soak_min_time_ms_between_rpcs", default_value_t = 0)]
    soak_interval_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match play(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("FAIL {}: {problem}", options.case);
            ExitCode::FAILURE
        }
    }
}

async fn play(options: &Options) -> Outcome {
    let channel = options.channel(options.address()?)?;
    let tests = &TestClient::new(channel.clone());
    match options.case.as_str() {
        "empty_unary" => empty_unary(tests).await,
        "large_unary" | "data_frame_padding" | "no_df_padding_sanity_test" => large_unary(tests).await,
        "very_large_request" => very_large_request(tests).await,
        "client_compressed_unary" => client_compressed_unary(options, true).await,
        "client_compressed_unary_noprobe" => client_compressed_unary(options, false).await,
        "server_compressed_unary" => server_compressed_unary(options).await,
        "client_streaming" => client_streaming(tests).await,
        "client_compressed_streaming" => client_compressed_streaming(options, true).await,
        "client_compressed_streaming_noprobe" => client_compressed_streaming(options, false).await,
        "server_streaming" => server_streaming(tests).await,
        "server_compressed_streaming" => server_compressed_streaming(options).await,
        "ping_pong" => ping_pong(tests).await,
        "empty_stream" => empty_stream(tests).await,
        "custom_metadata" => custom_metadata(tests).await,
        "status_code_and_message" => status_code_and_message(tests).await,
        "special_status_message" => special_status_message(tests).await,
        "unimplemented_method" => unimplemented_method(tests).await,
        "unimplemented_service" => unimplemented_service(channel).await,
        "cancel_after_begin" => cancel_after_begin(tests).await,
        "cancel_after_first_response" => cancel_after_first_response(tests).await,
        "timeout_on_sleeping_server" => timeout_on_sleeping_server(tests).await,
        "pick_first_unary" => pick_first_unary(tests).await,
        "rpc_soak" => soak(options, Some(tests)).await,
        "channel_soak" => soak(options, None).await,
        "orca_per_rpc" => orca_per_rpc(tests).await,
        "orca_oob" => orca_oob(tests, channel).await,
        "max_concurrent_streams_connection_scaling" => connection_scaling(tests).await,
        other => play_misbehaving(other, tests).await,
    }
}

impl Options {
    fn address(&self) -> Result<SocketAddr, Wrong> {
        let host = if self.host == "localhost" { "127.0.0.1" } else { &self.host };
        Ok(SocketAddr::new(host.parse::<IpAddr>()?, self.port))
    }

    fn channel(&self, address: SocketAddr) -> Result<Channel, Wrong> {
        let mut builder = Channel::builder(address.to_string())?.timeout(PATIENCE);
        if self.use_tls {
            let roots = match &self.authority {
                Some(file) if self.use_test_ca => Roots::file(file),
                _ => Roots::system(),
            };
            let mut tls = ClientTls::new(roots);
            if let Some(name) = &self.name {
                tls = tls.server_name(name);
            }
            builder = builder.tls(tls);
        }
        if let Some(name) = &self.name {
            builder = builder.authority(name);
        }
        Ok(builder.build()?)
    }

    /// A client whose messages are seen from outside, when that is possible: under TLS nobody sees them.
    async fn watched(&self) -> Result<(TestClient, Option<Tap>), Wrong> {
        if self.use_tls {
            return Ok((TestClient::new(self.channel(self.address()?)?), None));
        }
        let tap = Tap::before(self.address()?).await?;
        Ok((TestClient::new(self.channel(tap.address())?), Some(tap)))
    }
}

// The cases of the public specification, in its order.

async fn empty_unary(tests: &TestClient) -> Outcome {
    let response = tests.empty_call(Empty::default()).await?;
    check_equal("response", &response, &Empty::default())
}

async fn large_unary(tests: &TestClient) -> Outcome {
    let response = tests.unary_call(large_request()).await?;
    check_large(&response)
}

async fn very_large_request(tests: &TestClient) -> Outcome {
    let request = SimpleRequest { response_size: 10, payload: zeros(10 << 20).into(), ..SimpleRequest::default() };
    let response = tests.unary_call(request).await?;
    check_equal("payload", &response.payload.body.len(), &10)
}

async fn client_compressed_unary(options: &Options, probe: bool) -> Outcome {
    let (tests, tap) = options.watched().await?;
    let call = |expected: bool, compression: Compression| {
        let request = SimpleRequest { expect_compressed: flag(expected).into(), ..large_request() };
        tests.unary_call(request).compress(compression)
    };
    if probe {
        let status = failure(call(true, Compression::Identity).await)?;
        check_equal("code of the probe", &status.code(), &Code::InvalidArgument)?;
    }
    check_large(&call(true, Compression::Gzip).await?)?;
    check_large(&call(false, Compression::Identity).await?)?;
    check_flags(tap.as_ref().map(Tap::requests), if probe { &[false, true, false] } else { &[true, false] })
}

async fn server_compressed_unary(options: &Options) -> Outcome {
    let (tests, tap) = options.watched().await?;
    for compressed in [true, false] {
        let request = SimpleRequest { response_compressed: flag(compressed).into(), ..large_request() };
        check_large(&tests.unary_call(request).await?)?;
    }
    check_flags(tap.as_ref().map(Tap::responses), &[true, false])
}

async fn client_streaming(tests: &TestClient) -> Outcome {
    let (mut requests, response) = tests.streaming_input_call().await?;
    for size in REQUEST_SIZES {
        requests.send(input(size, None)).await?;
    }
    requests.close();
    check_equal("sum", &response.await?.aggregated_payload_size, &74_922)
}

async fn client_compressed_streaming(options: &Options, probe: bool) -> Outcome {
    let (tests, tap) = options.watched().await?;
    if probe {
        let (mut requests, response) = tests.streaming_input_call().await?;
        // The server may end the call before it has everything, so only the response counts.
        let _ = requests.send(input(27_182, Some(true))).await;
        requests.close();
        check_equal("code of the probe", &failure(response.await)?.code(), &Code::InvalidArgument)?;
    }
    let (mut requests, response) = tests.streaming_input_call().compress(Compression::Gzip).await?;
    requests.send(input(27_182, Some(true))).await?;
    requests.send_uncompressed(input(45_904, Some(false))).await?;
    requests.close();
    check_equal("sum", &response.await?.aggregated_payload_size, &73_086)?;
    check_flags(tap.as_ref().map(Tap::requests), if probe { &[false, true, false] } else { &[true, false] })
}

async fn server_streaming(tests: &TestClient) -> Outcome {
    let request = StreamingOutputCallRequest {
        response_parameters: RESPONSE_SIZES.map(parameters).to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let responses = tests.streaming_output_call(request).await?;
    check_equal("sizes", &sizes(responses).await?, &RESPONSE_SIZES.to_vec())
}

async fn server_compressed_streaming(options: &Options) -> Outcome {
    let (tests, tap) = options.watched().await?;
    let asked = [(31_415, true), (92_653, false)];
    let request = StreamingOutputCallRequest {
        response_parameters: asked
            .map(|(size, compressed)| ResponseParameters { compressed: flag(compressed).into(), ..parameters(size) })
            .to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let responses = tests.streaming_output_call(request).await?;
    check_equal("sizes", &sizes(responses).await?, &vec![31_415, 92_653])?;
    check_flags(tap.as_ref().map(Tap::responses), &[true, false])
}

async fn ping_pong(tests: &TestClient) -> Outcome {
    let (mut requests, mut responses) = tests.full_duplex_call().await?;
    for (up, down) in REQUEST_SIZES.into_iter().zip(RESPONSE_SIZES) {
        requests.send(duplex_request(up, down)).await?;
        let response = responses.next().await?.ok_or("the responses ended early")?;
        check_equal("size", &response.payload.body.len(), &down)?;
    }
    requests.close();
    check_equal("what follows", &responses.next().await?, &None)
}

async fn empty_stream(tests: &TestClient) -> Outcome {
    let (requests, responses) = tests.full_duplex_call().await?;
    requests.close();
    check_equal("sizes", &sizes(responses).await?, &Vec::new())
}

async fn custom_metadata(tests: &TestClient) -> Outcome {
    let (value, value_bin) = ("test_initial_metadata_value", [0xAB, 0xAB, 0xAB]);
    let check = |leading: &Metadata, trailing: &Metadata| {
        check_equal("leading metadata", &leading.get(ECHO_INITIAL), &Some(value))?;
        check_equal("trailing metadata", &trailing.binary(ECHO_TRAILING), &Some(&value_bin[..]))
    };
    let call = tests.unary_call(large_request());
    let response = call.metadata(ECHO_INITIAL, value).metadata_bin(ECHO_TRAILING, &value_bin).with_metadata().await?;
    check_large(&response.message)?;
    check(&response.leading, &response.trailing)?;

    let call = tests.full_duplex_call();
    let (mut requests, mut responses) =
        call.metadata(ECHO_INITIAL, value).metadata_bin(ECHO_TRAILING, &value_bin).await?;
    requests.send(duplex_request(LARGE_REQUEST, LARGE_RESPONSE as usize)).await?;
    requests.close();
    while responses.next().await?.is_some() {}
    let leading = responses.leading().await;
    check(&leading, &responses.trailing().ok_or("there is no trailing metadata")?)
}

async fn status_code_and_message(tests: &TestClient) -> Outcome {
    let message = "test status message";
    check_status(&unary_status(tests, message).await?, message)?;
    let (mut requests, mut responses) = tests.full_duplex_call().await?;
    let request = StreamingOutputCallRequest {
        response_status: echo_status(message).into(),
        ..StreamingOutputCallRequest::default()
    };
    requests.send(request).await?;
    requests.close();
    check_status(&failure(responses.next().await)?, message)
}

async fn special_status_message(tests: &TestClient) -> Outcome {
    let message = "\t\ntest with whitespace\r\nand Unicode BMP \u{263A} and non-BMP \u{1F608}\t\n";
    check_status(&unary_status(tests, message).await?, message)
}

async fn unimplemented_method(tests: &TestClient) -> Outcome {
    let status = failure(tests.unimplemented_call(Empty::default()).await)?;
    check_equal("code", &status.code(), &Code::Unimplemented)
}

async fn unimplemented_service(channel: Channel) -> Outcome {
    let status = failure(UnimplementedClient::new(channel).unimplemented_call(Empty::default()).await)?;
    check_equal("code", &status.code(), &Code::Unimplemented)
}

/// Giving up is how a call is cancelled here, so there is nobody left to whom CANCELLED could be reported; what can be seen is
/// that the connection serves the next call.
async fn cancel_after_begin(tests: &TestClient) -> Outcome {
    let (requests, response) = tests.streaming_input_call().await?;
    drop(response);
    drop(requests);
    empty_unary(tests).await
}

/// As above; besides, the sender finds out.
async fn cancel_after_first_response(tests: &TestClient) -> Outcome {
    let (mut requests, mut responses) = tests.full_duplex_call().await?;
    requests.send(duplex_request(REQUEST_SIZES[0], RESPONSE_SIZES[0])).await?;
    check(responses.next().await?.is_some(), "the responses ended early")?;
    drop(responses);
    let cancelled = async {
        loop {
            if let Err(status) = requests.send(duplex_request(1, 1)).await {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, cancelled).await?;
    check_equal("code", &status.code(), &Code::Cancelled)?;
    empty_unary(tests).await
}

async fn timeout_on_sleeping_server(tests: &TestClient) -> Outcome {
    let (mut requests, mut responses) = tests.full_duplex_call().timeout(Duration::from_millis(1)).await?;
    // It may be over before the request is sent.
    let _ = requests
        .send(StreamingOutputCallRequest { payload: zeros(27_182).into(), ..StreamingOutputCallRequest::default() })
        .await;
    let status = failure(tokio::time::timeout(PATIENCE, responses.next()).await?)?;
    check_equal("code", &status.code(), &Code::DeadlineExceeded)
}

async fn pick_first_unary(tests: &TestClient) -> Outcome {
    let mut first = None;
    for _ in 0..100 {
        let request = SimpleRequest { fill_server_id: true, ..SimpleRequest::default() };
        let id = tests.unary_call(request).await?.server_id;
        check(!id.is_empty(), "the server does not tell its name")?;
        check_equal("server", &id, first.get_or_insert_with(|| id.clone()))?;
    }
    Ok(())
}

/// `tests`: one channel for all calls. Without it every call has a channel of its own.
async fn soak(options: &Options, tests: Option<&TestClient>) -> Outcome {
    let end = Instant::now() + Duration::from_secs(options.soak_timeout_seconds);
    let mut failures = Vec::new();
    for n in 0..options.soak_iterations {
        check(Instant::now() < end, format!("only {n} calls were made in time"))?;
        let started = Instant::now();
        let played = match tests {
            Some(tests) => large_unary(tests).await,
            None => large_unary(&TestClient::new(options.channel(options.address()?)?)).await,
        };
        let took = started.elapsed();
        if let Err(why) = played {
            failures.push(why.to_string());
        } else if took > Duration::from_millis(options.soak_latency_max_ms) {
            failures.push(format!("a call took {} ms", took.as_millis()));
        }
        tokio::time::sleep(Duration::from_millis(options.soak_interval_ms).saturating_sub(took)).await;
    }
    let too_many = failures.len() > options.soak_failures_max as usize;
    check(
        !too_many,
        format!("{} calls failed, the first: {}", failures.len(), failures.first().map_or("", String::as_str)),
    )
}

async fn orca_per_rpc(tests: &TestClient) -> Outcome {
    let report = test_report();
    let request = SimpleRequest { orca_per_query_report: report.clone().into(), ..SimpleRequest::default() };
    let response = tests.unary_call(request).with_metadata().await?;
    let bytes = response.trailing.binary(LOAD_REPORT).ok_or("no load report")?;
    check_equal("load report", &OrcaLoadReport::decode_from_slice(bytes)?, &load_report(&report))
}

async fn orca_oob(tests: &TestClient, channel: Channel) -> Outcome {
    let second = OrcaLoadReportRequest {
        report_interval: polywire::codegen::buffa_types::google::protobuf::Duration {
            seconds: 1,
            ..Default::default()
        }
        .into(),
        ..OrcaLoadReportRequest::default()
    };
    let mut reports = OpenRcaClient::new(channel).stream_core_metrics(second).await?;
    let (mut requests, mut responses) = tests.full_duplex_call().await?;
    let first = TestOrcaReport { request_cost: Default::default(), ..test_report() };
    let later = TestOrcaReport {
        cpu_utilization: 0.293_09,
        memory_utilization: 0.2,
        utilization: [("util".into(), 0.2039)].into_iter().collect(),
        ..TestOrcaReport::default()
    };
    for report in [first, later] {
        requests
            .send(StreamingOutputCallRequest {
                orca_oob_report: report.clone().into(),
                response_parameters: vec![parameters(1)],
                ..StreamingOutputCallRequest::default()
            })
            .await?;
        check(responses.next().await?.is_some(), "the responses ended early")?;
        let wanted = load_report(&report);
        let seen = async {
            while let Some(report) = reports.next().await? {
                if report == wanted {
                    return Ok(());
                }
            }
            Err(Wrong::from("the reports ended"))
        };
        tokio::time::timeout(Duration::from_secs(5), seen).await.map_err(|_| "the report did not come in time")??;
    }
    Ok(())
}

/// The server allows two streams at once on a connection, so the third must travel on another one.
async fn connection_scaling(tests: &TestClient) -> Outcome {
    let mut peers = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..3 {
        let (mut requests, mut responses) = tests.full_duplex_call().await?;
        let asked = ResponseParameters { fill_peer_socket_address: true, ..ResponseParameters::default() };
        requests
            .send(StreamingOutputCallRequest {
                response_parameters: vec![asked],
                ..StreamingOutputCallRequest::default()
            })
            .await?;
        let response = responses.next().await?.ok_or("the responses ended early")?;
        peers.push(response.peer_socket_address);
        calls.push((requests, responses));
    }
    check(peers[0] == peers[1], format!("the first two calls came from {} and {}", peers[0], peers[1]))?;
    check(peers[0] != peers[2], format!("all calls came from {}", peers[0]))?;
    for (requests, responses) in calls {
        requests.close();
        sizes(responses).await?;
    }
    Ok(())
}

// Servers that misbehave.

async fn play_misbehaving(case: &str, tests: &TestClient) -> Outcome {
    let before = resident_bytes()?;
    let call = || tests.unary_call(large_request());
    match case {
        "goaway" => {
            check_large(&call().await?)?;
            // The server says goodbye during the first call; it may still be on its way.
            tokio::time::sleep(Duration::from_millis(500)).await;
            check_large(&call().await?)?;
        }
        "max_streams" => {
            check_large(&call().await?)?;
            let calls: Vec<_> = (0..10)
                .map(|_| {
                    let tests = tests.clone();
                    tokio::spawn(async move { tests.unary_call(large_request()).await })
                })
                .collect();
            for call in calls {
                check_large(&call.await??)?;
            }
        }
        "ping" | "refused_stream" | "informational_headers" | "unknown_frames" => check_large(&call().await?)?,
        "rst_after_header" | "rst_during_data" | "rst_after_data" => expect(call().await, &[Code::Internal])?,
        "no_trailers" | "no_grpc_status" => expect(call().await, &[Code::Internal, Code::Unknown])?,
        "http_503" => expect(call().await, &[Code::Unavailable])?,
        "truncated_message" => expect(call().await, &[Code::Internal])?,
        "two_messages" => expect(call().await, &[Code::Internal, Code::Unimplemented])?,
        "length_bomb" | "gzip_bomb" => expect(call().await, &[Code::ResourceExhausted])?,
        "header_flood" | "push_promise" | "window_overflow" => expect(call().await, &BROKEN_CONNECTION)?,
        "flow_control_violation" => {
            let mut responses = tests.streaming_output_call(StreamingOutputCallRequest::default()).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let read = async {
                while responses.next().await?.is_some() {}
                Ok(())
            };
            expect(read.await, &BROKEN_CONNECTION)?;
        }
        "silence" => {
            let started = Instant::now();
            expect(
                tests.unary_call(large_request()).timeout(Duration::from_millis(300)).await,
                &[Code::DeadlineExceeded],
            )?;
            check(
                started.elapsed() < Duration::from_secs(2),
                format!("the deadline came after {} ms", started.elapsed().as_millis()),
            )?;
        }
        other => return Err(format!("there is no case {other}").into()),
    }
    let grown = resident_bytes()?.saturating_sub(before);
    check(grown < GROWTH_BYTES_MAX, format!("memory grew by {} MiB", grown >> 20))
}

/// The call must fail, in one of the ways that the standard leaves.
fn expect<T>(result: Result<T, Status>, codes: &[Code]) -> Outcome {
    let status = failure(result)?;
    check(codes.contains(&status.code()), format!("the call ended with {status}"))
}

// What cases are made of.

type Wrong = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Wrong>;

async fn unary_status(tests: &TestClient, message: &str) -> Result<Status, Wrong> {
    let request = SimpleRequest { response_status: echo_status(message).into(), ..SimpleRequest::default() };
    failure(tests.unary_call(request).await)
}

async fn sizes(mut responses: Receiver<StreamingOutputCallResponse>) -> Result<Vec<usize>, Status> {
    let mut sizes = Vec::new();
    while let Some(response) = responses.next().await? {
        sizes.push(response.payload.body.len());
    }
    Ok(sizes)
}

fn zeros(size: usize) -> Payload {
    Payload { body: Bytes::from(vec![0; size]), ..Payload::default() }
}

fn large_request() -> SimpleRequest {
    SimpleRequest { response_size: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST).into(), ..SimpleRequest::default() }
}

fn input(size: usize, expected: Option<bool>) -> StreamingInputCallRequest {
    StreamingInputCallRequest {
        payload: zeros(size).into(),
        expect_compressed: expected.map(flag).into(),
        ..StreamingInputCallRequest::default()
    }
}

fn parameters(size: usize) -> ResponseParameters {
    ResponseParameters { size: i32::try_from(size).expect("a small constant"), ..ResponseParameters::default() }
}

fn duplex_request(up: usize, down: usize) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_parameters: vec![parameters(down)],
        payload: zeros(up).into(),
        ..StreamingOutputCallRequest::default()
    }
}

fn flag(value: bool) -> BoolValue {
    BoolValue { value, ..BoolValue::default() }
}

fn echo_status(message: &str) -> EchoStatus {
    EchoStatus { code: 2, message: message.to_owned(), ..EchoStatus::default() }
}

fn test_report() -> TestOrcaReport {
    TestOrcaReport {
        cpu_utilization: 0.8210,
        memory_utilization: 0.5847,
        request_cost: [("cost".into(), 3456.32)].into_iter().collect(),
        utilization: [("util".into(), 0.30499)].into_iter().collect(),
        ..TestOrcaReport::default()
    }
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

fn check(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

fn check_equal<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, wanted: &T) -> Outcome {
    check(seen == wanted, format!("{what}: {seen:?}, not {wanted:?}"))
}

fn check_large(response: &SimpleResponse) -> Outcome {
    let body = &response.payload.body;
    check_equal("size of the payload", &body.len(), &(LARGE_RESPONSE as usize))?;
    check(body.iter().all(|byte| *byte == 0), "the payload is not all zeros")
}

fn check_status(status: &Status, message: &str) -> Outcome {
    check_equal("code", &status.code(), &Code::Unknown)?;
    check_equal("message", &status.message(), &message)
}

/// `None`: nobody could see.
fn check_flags(seen: Option<Vec<bool>>, wanted: &[bool]) -> Outcome {
    seen.map_or(Ok(()), |seen| check_equal("compressed flags on the wire", &seen.as_slice(), &wanted))
}

fn failure<T>(result: Result<T, Status>) -> Result<Status, Wrong> {
    match result {
        Ok(_) => Err("the call succeeded".into()),
        Err(status) => Ok(status),
    }
}

fn resident_bytes() -> Result<u64, Wrong> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

const LARGE_REQUEST: usize = 271_828;
const LARGE_RESPONSE: i32 = 314_159;
const REQUEST_SIZES: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSE_SIZES: [usize; 4] = [31_415, 9, 2_653, 58_979];
/// What may come of a call whose server broke the rules of the connection.
const BROKEN_CONNECTION: [Code; 4] = [Code::Internal, Code::ResourceExhausted, Code::Unavailable, Code::Unknown];
/// A call that takes longer counts as hanging.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a server may make a client hold at most.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
