"""The interoperability test client on grpcio.

`client.py --server_host=H --server_port=P --test_case=A[,B…] [--use_tls=true --ca_file=F --server_host_override=N]`
runs the cases one after another and says for each `case A ok` or `case A FAIL why`.
"""

import argparse
import sys
import threading
import time
import traceback

import grpc
from protos import flag, messages, services

LARGE_REQUEST, LARGE_RESPONSE = 271_828, 314_159
REQUEST_SIZES, RESPONSE_SIZES = (27_182, 8, 1_828, 45_904), (31_415, 9, 2_653, 58_979)
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
PATIENCE = 20  # seconds that a call may take before it counts as hanging


def zeros(size):
    return messages.Payload(body=bytes(size))


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_equal(seen, wanted, what):
    check(seen == wanted, f"{what}: {seen!r}, not {wanted!r}")


def status_of(call):
    """The status that a call fails with; an AssertionError when it does not fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def large_request(**fields):
    return messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=zeros(LARGE_REQUEST), **fields)


class Inputs:
    """Requests of a stream which are given one by one."""

    def __init__(self):
        self._condition = threading.Condition()
        self._values, self._open = [], True

    def add(self, value):
        with self._condition:
            self._values.append(value)
            self._condition.notify()

    def close(self):
        with self._condition:
            self._open = False
            self._condition.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self._condition:
            while not self._values:
                if not self._open:
                    raise StopIteration
                self._condition.wait()
            return self._values.pop(0)


def empty_unary(stub, open_channel):
    check_equal(stub.EmptyCall(messages.Empty(), timeout=PATIENCE), messages.Empty(), "response")


def large_unary(stub, open_channel):
    response = stub.UnaryCall(large_request(), timeout=PATIENCE)
    check_equal(response.payload.body, bytes(LARGE_RESPONSE), "payload")


def client_compressed_unary(stub, open_channel):
    def call(expect, compression):
        request = large_request(expect_compressed=messages.BoolValue(value=expect))
        return stub.UnaryCall(request, timeout=PATIENCE, compression=compression)

    probe = status_of(lambda: call(True, grpc.Compression.NoCompression))
    check_equal(probe.code(), grpc.StatusCode.INVALID_ARGUMENT, "status of the probe")
    for expect, compression in ((True, grpc.Compression.Gzip), (False, grpc.Compression.NoCompression)):
        check_equal(len(call(expect, compression).payload.body), LARGE_RESPONSE, "payload")


def client_streaming(stub, open_channel):
    requests = (messages.StreamingInputCallRequest(payload=zeros(size)) for size in REQUEST_SIZES)
    response = stub.StreamingInputCall(requests, timeout=PATIENCE)
    check_equal(response.aggregated_payload_size, sum(REQUEST_SIZES), "sum")


def server_streaming(stub, open_channel):
    parameters = [messages.ResponseParameters(size=size) for size in RESPONSE_SIZES]
    request = messages.StreamingOutputCallRequest(response_parameters=parameters)
    responses = stub.StreamingOutputCall(request, timeout=PATIENCE)
    check_equal(tuple(len(r.payload.body) for r in responses), RESPONSE_SIZES, "sizes")


def ping_pong(stub, open_channel):
    inputs = Inputs()
    responses = stub.FullDuplexCall(inputs, timeout=PATIENCE)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        inputs.add(duplex_request(request_size, response_size))
        check_equal(len(next(responses).payload.body), response_size, "size")
    inputs.close()
    check_equal(list(responses), [], "further responses")


def duplex_request(request_size, response_size):
    return messages.StreamingOutputCallRequest(
        response_parameters=[messages.ResponseParameters(size=response_size)], payload=zeros(request_size)
    )


def empty_stream(stub, open_channel):
    check_equal(list(stub.FullDuplexCall(iter(()), timeout=PATIENCE)), [], "responses")


def cancel_after_begin(stub, open_channel):
    inputs = Inputs()
    call = stub.StreamingInputCall.future(inputs, timeout=PATIENCE)
    call.cancel()
    inputs.close()
    check(call.cancelled(), "the call was not cancelled")
    check_equal(call.code(), grpc.StatusCode.CANCELLED, "status")


def cancel_after_first_response(stub, open_channel):
    inputs = Inputs()
    responses = stub.FullDuplexCall(inputs, timeout=PATIENCE)
    inputs.add(duplex_request(REQUEST_SIZES[0], RESPONSE_SIZES[0]))
    next(responses)
    responses.cancel()
    inputs.close()
    check_equal(status_of(lambda: next(responses)).code(), grpc.StatusCode.CANCELLED, "status")


def timeout_on_sleeping_server(stub, open_channel):
    inputs = Inputs()
    inputs.add(messages.StreamingOutputCallRequest(payload=zeros(REQUEST_SIZES[0])))
    error = status_of(lambda: next(stub.FullDuplexCall(inputs, timeout=0.001)))
    inputs.close()
    check_equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "status")


def custom_metadata(stub, open_channel):
    def check_metadata(call):
        check(INITIAL in [tuple(pair) for pair in call.initial_metadata()], "initial metadata missing")
        check(TRAILING in [tuple(pair) for pair in call.trailing_metadata()], "trailing metadata missing")

    _, call = stub.UnaryCall.with_call(large_request(), metadata=(INITIAL, TRAILING), timeout=PATIENCE)
    check_metadata(call)
    requests = iter([duplex_request(LARGE_REQUEST, LARGE_RESPONSE)])
    call = stub.FullDuplexCall(requests, metadata=(INITIAL, TRAILING), timeout=PATIENCE)
    check_equal([len(r.payload.body) for r in call], [LARGE_RESPONSE], "sizes")
    check_metadata(call)


def status_code_and_message(stub, open_channel):
    check_status_echo(stub, "test status message", streaming=True)


def special_status_message(stub, open_channel):
    message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    check_status_echo(stub, message, streaming=False)


def check_status_echo(stub, message, streaming):
    status = messages.EchoStatus(code=2, message=message)
    errors = [status_of(lambda: stub.UnaryCall(messages.SimpleRequest(response_status=status), timeout=PATIENCE))]
    if streaming:
        requests = iter([messages.StreamingOutputCallRequest(response_status=status)])
        errors.append(status_of(lambda: list(stub.FullDuplexCall(requests, timeout=PATIENCE))))
    for error in errors:
        check_equal(error.code(), grpc.StatusCode.UNKNOWN, "status")
        check_equal(error.details(), message, "message")


def unimplemented_method(stub, open_channel):
    error = status_of(lambda: stub.UnimplementedCall(messages.Empty(), timeout=PATIENCE))
    check_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "status")


def unimplemented_service(stub, open_channel):
    with open_channel() as channel:
        other = services.UnimplementedServiceStub(channel)
        error = status_of(lambda: other.UnimplementedCall(messages.Empty(), timeout=PATIENCE))
        check_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "status")


def very_large_request(stub, open_channel):
    request = messages.SimpleRequest(response_size=10, payload=zeros(10 << 20))
    check_equal(len(stub.UnaryCall(request, timeout=PATIENCE).payload.body), 10, "size")


def rpc_soak(stub, open_channel):
    for _ in range(SOAK_ITERATIONS):
        large_unary(stub, open_channel)


def channel_soak(stub, open_channel):
    for _ in range(SOAK_ITERATIONS):
        with open_channel() as channel:
            large_unary(services.TestServiceStub(channel), open_channel)


CASES = {
    case.__name__: case
    for case in (
        empty_unary, large_unary, client_compressed_unary, client_streaming, server_streaming, ping_pong, empty_stream,
        cancel_after_begin, cancel_after_first_response, timeout_on_sleeping_server, custom_metadata,
        status_code_and_message, special_status_message, unimplemented_method, unimplemented_service,
        very_large_request, rpc_soak, channel_soak,
    )
}  # fmt: skip
SOAK_ITERATIONS = 10


def main():
    global SOAK_ITERATIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("--server_host", default="127.0.0.1")
    parser.add_argument("--server_port", type=int, required=True)
    parser.add_argument("--test_case", default="empty_unary")
    parser.add_argument("--use_tls", type=flag, default=False)
    parser.add_argument("--use_test_ca", type=flag, default=False)
    parser.add_argument("--ca_file")
    parser.add_argument("--server_host_override")
    parser.add_argument("--soak_iterations", type=int, default=SOAK_ITERATIONS)
    options = parser.parse_args()
    SOAK_ITERATIONS = options.soak_iterations
    target = f"{options.server_host}:{options.server_port}"
    arguments = [("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]

    def open_channel():
        if not options.use_tls:
            return grpc.insecure_channel(target, arguments)
        with open(options.ca_file, "rb") as roots:
            credentials = grpc.ssl_channel_credentials(roots.read())
        name = [("grpc.ssl_target_name_override", options.server_host_override)] * bool(options.server_host_override)
        return grpc.secure_channel(target, credentials, arguments + name)

    failed = 0
    with open_channel() as channel:
        stub = services.TestServiceStub(channel)
        for name in options.test_case.split(","):
            started = time.monotonic()
            try:
                CASES[name](stub, open_channel)
                print(f"case {name} ok {time.monotonic() - started:.3f}", flush=True)
            except Exception as error:  # whatever it is, it is this case's failure
                failed += 1
                why = " ".join(traceback.format_exception_only(error)).split("\n")
                print(f"case {name} FAIL {' '.join(w.strip() for w in why)[:300]}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
