"""The interoperability test server on grpcio: `server.py --port=P [--use_tls=true --tls_cert_file=F --tls_key_file=F]`."""

import argparse
import time
from concurrent import futures

import grpc
from protos import flag, load_report, messages, services

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
LOAD_REPORT = "endpoint-load-metrics-bin"


class TestService(services.TestServiceServicer):
    """Answers as the test specification says. What is not overridden is UNIMPLEMENTED."""

    def EmptyCall(self, request, context):
        echo_metadata(context)
        return messages.Empty()

    def UnaryCall(self, request, context):
        trailing = []
        if request.HasField("orca_per_query_report"):
            trailing.append((LOAD_REPORT, report_of(request.orca_per_query_report).SerializeToString()))
        echo_metadata(context, trailing)
        end_if_asked(request, context)
        compress(context, request.HasField("response_compressed") and request.response_compressed.value)
        return messages.SimpleResponse(
            payload=zeros(request.response_size), server_id="python" if request.fill_server_id else ""
        )

    def CacheableUnaryCall(self, request, context):
        return self.UnaryCall(request, context)

    def StreamingOutputCall(self, request, context):
        echo_metadata(context)
        compress(context, any(p.compressed.value for p in request.response_parameters))
        yield from answers(request, context)
        end_if_asked(request, context)

    def StreamingInputCall(self, requests, context):
        echo_metadata(context)
        return messages.StreamingInputCallResponse(aggregated_payload_size=sum(len(r.payload.body) for r in requests))

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            end_if_asked(request, context)
            yield from answers(request, context)

    def HalfDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in list(requests):
            end_if_asked(request, context)
            yield from answers(request, context)


def zeros(size):
    return messages.Payload(body=bytes(size))


def answers(request, context):
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        if parameters.HasField("compressed") and not parameters.compressed.value:
            context.disable_next_message_compression()
        yield messages.StreamingOutputCallResponse(
            payload=zeros(parameters.size),
            peer_socket_address=context.peer() if parameters.fill_peer_socket_address else "",
        )


def compress(context, wanted):
    if wanted:
        context.set_compression(grpc.Compression.Gzip)


def echo_metadata(context, trailing=()):
    metadata = context.invocation_metadata()
    context.set_trailing_metadata([*trailing, *((k, v) for k, v in metadata if k == ECHO_TRAILING)])
    initial = [(k, v) for k, v in metadata if k == ECHO_INITIAL]
    if initial:
        context.send_initial_metadata(initial)


def end_if_asked(request, context):
    if request.response_status.code != 0:
        code = next(c for c in grpc.StatusCode if c.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def report_of(wanted):
    return load_report.OrcaLoadReport(
        cpu_utilization=wanted.cpu_utilization,
        mem_utilization=wanted.memory_utilization,
        request_cost=wanted.request_cost,
        utilization=wanted.utilization,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--use_tls", type=flag, default=False)
    parser.add_argument("--max_concurrent_streams", type=int)
    parser.add_argument("--tls_cert_file")
    parser.add_argument("--tls_key_file")
    options = parser.parse_args()
    arguments = [("grpc.max_receive_message_length", 64 << 20)]
    if options.max_concurrent_streams:
        arguments.append(("grpc.max_concurrent_streams", options.max_concurrent_streams))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=arguments)
    services.add_TestServiceServicer_to_server(TestService(), server)
    address = f"127.0.0.1:{options.port}"
    if options.use_tls:
        with open(options.tls_key_file, "rb") as key, open(options.tls_cert_file, "rb") as chain:
            credentials = grpc.ssl_server_credentials([(key.read(), chain.read())])
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
