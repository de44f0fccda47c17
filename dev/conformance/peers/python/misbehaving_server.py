"""A server that misbehaves on the level of HTTP/2 frames: `misbehaving_server.py --port=P --test_case=C`.

It answers each `UnaryCall` as the case says and watches what the client does. When it is told to end (SIGTERM) its last line
is `server ok` or `server FAIL why`. The first eight cases are those of the public description of negative HTTP/2 tests;
the others go on in their spirit. What the client has to make of each case is the client program's business.
"""

import argparse
import asyncio
import gzip
import signal
import sys

from hpack import Decoder, Encoder
from hyperframe import frame as frames
from protos import messages

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM = 0x0, 0x1, 0x7
OK_TRAILERS = [("grpc-status", "0")]
GRPC_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
PATIENCE = 5  # seconds to wait for what a correct client does at once


class Stream:
    def __init__(self, number, window):
        self.number = number
        self.window = window
        self.body = bytearray()
        self.gone = False

    def request(self):
        return messages.SimpleRequest.FromString(bytes(self.body[5:]))


class Connection:
    """One client's connection: correct in all that the case does not touch."""

    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.encoder, self.decoder = Encoder(), Decoder()
        self.window, self.window_initial = 65_535, 65_535
        self.streams, self.block, self.block_ends = {}, bytearray(), False
        self.room = asyncio.Event()
        self.pings_open, self.pings_answered = 0, asyncio.Event()
        self.settings_acknowledged = False
        self.forbidden_above = None  # set by a GOAWAY: no new stream may come
        self.tasks = set()

    async def run(self):
        settings = self.server.case.settings
        self.send(frames.SettingsFrame(0, settings=settings))
        try:
            if await self.reader.readexactly(len(PREFACE)) != PREFACE:
                return self.server.fail("no HTTP/2 preface")
            while True:
                head = await self.reader.readexactly(9)
                frame, length = frames.Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await self.reader.readexactly(length)))
                self.handle(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in self.streams.values():
                stream.gone = True
            self.room.set()
            self.writer.close()

    def send(self, *several):
        for frame in several:
            self.writer.write(frame.serialize())

    def handle(self, frame):
        match frame:
            case frames.SettingsFrame():
                if "ACK" in frame.flags:
                    self.settings_acknowledged = True
                else:
                    initial = frame.settings.get(frames.SettingsFrame.INITIAL_WINDOW_SIZE, self.window_initial)
                    for stream in self.streams.values():
                        stream.window += initial - self.window_initial
                    self.window_initial = initial
                    self.send(frames.SettingsFrame(0, flags=["ACK"]))
                    self.room.set()
            case frames.WindowUpdateFrame():
                if frame.stream_id == 0:
                    self.window += frame.window_increment
                elif frame.stream_id in self.streams:
                    self.streams[frame.stream_id].window += frame.window_increment
                self.room.set()
            case frames.PingFrame():
                if "ACK" not in frame.flags:
                    self.send(frames.PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
                else:
                    self.pings_open -= 1
                    if self.pings_open == 0:
                        self.pings_answered.set()
            case frames.HeadersFrame() | frames.ContinuationFrame():
                self.block += frame.data
                self.block_ends |= "END_STREAM" in frame.flags
                if "END_HEADERS" in frame.flags:
                    self.open(frame.stream_id)
            case frames.DataFrame():
                self.data(frame)
            case frames.RstStreamFrame():
                if stream := self.streams.pop(frame.stream_id, None):
                    stream.gone = True
                    self.room.set()

    def open(self, number):
        self.decoder.decode(bytes(self.block))
        self.block.clear()
        stream = self.streams[number] = Stream(number, self.window_initial)
        if self.forbidden_above is not None and number > self.forbidden_above:
            self.server.fail(f"stream {number} was opened after GOAWAY")
        limit = self.server.case.settings.get(frames.SettingsFrame.MAX_CONCURRENT_STREAMS)
        if limit is not None and self.settings_acknowledged and len(self.streams) > limit:
            self.server.fail(f"{len(self.streams)} streams at once, {limit} allowed")
        if self.block_ends:
            self.block_ends = False
            self.answer(stream)

    def data(self, frame):
        stream = self.streams.get(frame.stream_id)
        if frame.flow_controlled_length:
            self.send(frames.WindowUpdateFrame(0, window_increment=frame.flow_controlled_length))
        if stream is None:
            return
        stream.body += frame.data
        if "END_STREAM" in frame.flags:
            self.answer(stream)
        elif frame.flow_controlled_length:
            self.send(frames.WindowUpdateFrame(stream.number, window_increment=frame.flow_controlled_length))

    def answer(self, stream):
        self.server.requests += 1
        task = asyncio.ensure_future(self.answer_later(stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer_later(self, stream):
        try:
            await self.server.case.answer(self, stream)
        except ConnectionError:
            pass
        except Exception as error:
            self.server.fail(f"{type(error).__name__}: {error}")
        finally:
            self.streams.pop(stream.number, None)

    # What cases are made of.

    def headers(self, stream, fields, end=False):
        flags = ["END_HEADERS"] + ["END_STREAM"] * end
        self.send(frames.HeadersFrame(stream.number, data=self.encoder.encode(fields), flags=flags))

    async def body(self, stream, chunk, frame_bytes=16_384, padding=None):
        """Sends `chunk` within the windows; `padding` bytes behind each frame's data cost window too."""
        cost = 0 if padding is None else padding + 1
        for start in range(0, len(chunk), frame_bytes):
            piece = chunk[start : start + frame_bytes]
            while not stream.gone and min(self.window, stream.window) < len(piece) + cost:
                self.room.clear()
                await self.room.wait()
            if stream.gone:
                return
            self.window -= len(piece) + cost
            stream.window -= len(piece) + cost
            frame = frames.DataFrame(stream.number, data=piece)
            if padding is not None:
                frame.flags.add("PADDED")
                frame.pad_length = padding
            self.send(frame)
            await self.writer.drain()

    def reset(self, stream, code):
        self.send(frames.RstStreamFrame(stream.number, error_code=code))

    def ping(self):
        self.pings_open += 1
        self.pings_answered.clear()
        self.send(frames.PingFrame(0, opaque_data=b"polywire"))


def envelope(message, flag=0):
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def response_to(stream):
    payload = messages.Payload(body=bytes(stream.request().response_size))
    return envelope(messages.SimpleResponse(payload=payload).SerializeToString())


class Case:
    """A correct answer; each case changes what it wants to be wrong."""

    settings = {}
    frame_bytes, padding = 16_384, None

    def __init__(self, server):
        self.server = server

    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, response_to(stream), self.frame_bytes, self.padding)
        connection.headers(stream, OK_TRAILERS, end=True)

    def verdict(self):
        """Why the client failed, or None."""
        return None if self.server.requests else "no request came"


class goaway(Case):
    async def answer(self, connection, stream):
        if self.server.requests == 1:
            connection.send(frames.GoAwayFrame(0, last_stream_id=stream.number, error_code=NO_ERROR))
            connection.forbidden_above = stream.number
        await super().answer(connection, stream)

    def verdict(self):
        return None if self.server.requests == 2 else f"{self.server.requests} requests came, not 2"


class rst_after_header(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        connection.reset(stream, NO_ERROR)


class rst_during_data(Case):
    share = 0.5

    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        response = response_to(stream)
        await connection.body(stream, response[: int(len(response) * self.share)])
        connection.reset(stream, NO_ERROR)


class rst_after_data(rst_during_data):
    share = 1


class ping(Case):
    async def answer(self, connection, stream):
        connection.ping()
        connection.headers(stream, GRPC_HEADERS)
        connection.ping()
        await connection.body(stream, response_to(stream))
        connection.ping()
        try:
            await asyncio.wait_for(connection.pings_answered.wait(), PATIENCE)
        except asyncio.TimeoutError:
            self.server.fail(f"{connection.pings_open} pings were not answered")
        connection.headers(stream, OK_TRAILERS, end=True)


class max_streams(Case):
    settings = {frames.SettingsFrame.MAX_CONCURRENT_STREAMS: 1}

    def verdict(self):
        return None if self.server.requests >= 11 else f"only {self.server.requests} requests came"


class data_frame_padding(Case):
    frame_bytes, padding = 5, 255


class no_df_padding_sanity_test(Case):
    frame_bytes = 5


class refused_stream(Case):
    """The first stream is refused: nothing was done, so the client tries again by itself."""

    async def answer(self, connection, stream):
        if self.server.requests == 1:
            return connection.reset(stream, REFUSED_STREAM)
        await super().answer(connection, stream)


class informational_headers(Case):
    async def answer(self, connection, stream):
        for _ in range(2):
            connection.headers(stream, [(":status", "103"), ("link", "</>; rel=preload")])
        await super().answer(connection, stream)


class unknown_frames(Case):
    async def answer(self, connection, stream):
        for number in (0, stream.number):
            frame = frames.ExtensionFrame(type=0xBB, stream_id=number, flag_byte=0xFF, body=b"unknown")
            frame.body_len = len(frame.body)  # hyperframe sets it only when it reads one
            connection.send(frame)
        await super().answer(connection, stream)


class no_trailers(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, response_to(stream))
        connection.send(frames.DataFrame(stream.number, flags=["END_STREAM"]))


class no_grpc_status(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, response_to(stream))
        connection.headers(stream, [("x-other", "value")], end=True)


class http_503(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, [(":status", "503"), ("content-type", "text/html")], end=True)


class truncated_message(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, response_to(stream)[:-1])
        connection.headers(stream, OK_TRAILERS, end=True)


class two_messages(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, response_to(stream) * 2)
        connection.headers(stream, OK_TRAILERS, end=True)


class length_bomb(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        await connection.body(stream, b"\0\xff\xff\xff\xff" + bytes(1000))


class gzip_bomb(Case):
    async def answer(self, connection, stream):
        connection.headers(stream, [*GRPC_HEADERS, ("grpc-encoding", "gzip")])
        await connection.body(stream, envelope(gzip.compress(bytes(256 << 20), 6), flag=1))
        connection.headers(stream, OK_TRAILERS, end=True)


class header_flood(Case):
    async def answer(self, connection, stream):
        block = connection.encoder.encode(GRPC_HEADERS)
        connection.send(frames.HeadersFrame(stream.number, data=block))
        field = connection.encoder.encode([("x-flood", "x" * 8_000)])
        for _ in range(2_000):  # 16 MB
            if stream.gone or connection.writer.is_closing():
                return
            connection.send(frames.ContinuationFrame(stream.number, data=field))
            await connection.writer.drain()


class push_promise(Case):
    async def answer(self, connection, stream):
        block = connection.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")])
        frame = frames.PushPromiseFrame(stream.number, promised_stream_id=2, data=block, flags=["END_HEADERS"])
        connection.send(frame)
        await super().answer(connection, stream)


class window_overflow(Case):
    async def answer(self, connection, stream):
        for _ in range(2):
            connection.send(frames.WindowUpdateFrame(0, window_increment=0x7FFFFFFF))
        await super().answer(connection, stream)


class flow_control_violation(Case):
    """64 MiB of messages, without looking at any window, to a caller that does not read them."""

    async def answer(self, connection, stream):
        connection.headers(stream, GRPC_HEADERS)
        payload = messages.Payload(body=bytes(16_000))
        message = envelope(messages.StreamingOutputCallResponse(payload=payload).SerializeToString())
        for _ in range(4_096):
            if stream.gone or connection.writer.is_closing():
                return
            connection.send(frames.DataFrame(stream.number, data=message))
            await connection.writer.drain()


class silence(Case):
    async def answer(self, connection, stream):
        await asyncio.sleep(3600)


class Server:
    def __init__(self, case):
        self.case = case(self)
        self.requests = 0
        self.failure = None

    def fail(self, why):
        self.failure = self.failure or why

    async def run(self, port):
        done = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
        server = await asyncio.start_server(lambda r, w: Connection(self, r, w).run(), "127.0.0.1", port)
        await done.wait()
        server.close()
        failure = self.failure or self.case.verdict()
        print(f"server FAIL {failure}" if failure else "server ok", flush=True)


def main():
    cases = {c.__name__: c for c in [*Case.__subclasses__(), *rst_during_data.__subclasses__()]}
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--test_case", choices=cases, required=True)
    options = parser.parse_args()
    asyncio.run(Server(cases[options.test_case]).run(options.port))


if __name__ == "__main__":
    sys.exit(main())
