"""Tests of polywire_native: the bytes, a server of this file that says what it is told to, and real servers if there are any.

    python3 -m unittest discover clients/python

ORDERS_BINARY    the order system's program: it is started, and its orders are called
ECHO_TARGET      where a server with `polywire.test.v1.Echo` listens, in the clear
ECHO_TLS_TARGET  the same under TLS, with ECHO_TLS_CACERT
"""

import contextlib
import gzip
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import polywire_native as native
from polywire_native import (
    COMPRESSED,
    FIELDS,
    JSON,
    LAST,
    MORE,
    PREFACE,
    Client,
    Code,
    Frame,
    HelloTag,
    Kind,
    RpcError,
    Tag,
    encode_field,
    encode_frame,
    encode_pair,
    encode_varint,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
ECHO = "polywire.test.v1.Echo"
PATIENCE = 20.0
"""Only reached when a test fails."""


class Codec(unittest.TestCase):
    """The bytes alone."""

    def test_varints_are_unsigned_leb128(self):
        for value, expected in ((0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (16384, "808001"), ((1 << 56) - 1, "ff" * 7 + "7f")):
            encoded = encode_varint(value)
            self.assertEqual(encoded.hex(), expected)
            self.assertEqual(native.decode_varint(encoded, 0), (value, len(encoded)))

    def test_a_varint_may_be_longer_than_it_must_but_not_than_eight_bytes(self):
        self.assertEqual(native.decode_varint(b"\x81\x80\x00", 0), (1, 3))
        with self.assertRaises(native.Violation):
            native.decode_varint(b"\x80" * 8 + b"\x01", 0)

    def test_a_small_frame_has_a_head_of_three_bytes(self):
        self.assertEqual(encode_frame(Kind.MESSAGE, LAST, 1, b"abc").hex(), "1301036162 63".replace(" ", ""))

    def test_a_frame_is_found_only_when_it_is_whole(self):
        encoded = encode_frame(Kind.MESSAGE, MORE | FIELDS, 300, b"x" * 200) + b"\x08"
        for end in range(len(encoded) - 1):
            self.assertIsNone(native.decode_frame(encoded[:end], 0, 16384))
        frame, at = native.decode_frame(encoded, 0, 16384)
        self.assertEqual(frame, Frame(Kind.MESSAGE, MORE | FIELDS, 300, b"x" * 200))
        self.assertEqual(at, len(encoded) - 1)

    def test_heads_beyond_eight_bytes_and_frames_beyond_the_limit_are_violations(self):
        for bad in (b"\x03\x80\x80\x80\x80\x01\x00", b"\x03\x01\x80\x80\x80\x01", encode_frame(Kind.MESSAGE, 0, 1, bytes(16385))):
            with self.assertRaises(native.Violation):
                native.decode_frame(bad, 0, 16384)

    def test_fields_that_end_in_the_middle_are_violations(self):
        whole = encode_pair(Tag.LEADING, "k", "v") + encode_field(Tag.CODE, 5)
        self.assertEqual(list(native.decode_fields(whole)), [(Tag.LEADING, b"\x01kv"), (Tag.CODE, b"\x05")])
        for end in set(range(1, len(whole))) - {5}:
            with self.assertRaises(native.Violation):
                list(native.decode_fields(whole[:end]))
        with self.assertRaises(native.Violation):
            native.split_fields(Frame(Kind.MESSAGE, FIELDS, 1, b"\x05abc"))

    def test_methods_are_named_once_and_numbered_from_then_on(self):
        self.assertEqual(native.encode_method(1, "a/b"), b"\x03\x03a/b")
        self.assertEqual(native.encode_method(1, None), b"\x02")
        self.assertEqual(native.encode_method(0, "a/b"), b"\x01\x03a/b")


class Peer:
    """The server's end of one connection, in the hands of a test."""

    def __init__(self, connected):
        self._socket = connected
        self._socket.settimeout(PATIENCE)
        self._buffer = b""

    def greet(self, **says):
        """Preface and HELLO of the client, HELLO of the server."""
        self.preface()
        frame = self.next()
        assert frame.kind == Kind.HELLO, frame
        self.hello(**says)
        return dict(native.decode_fields(frame.payload))

    def preface(self):
        self._fill(4)
        assert self._buffer[:4] == PREFACE, self._buffer
        self._buffer = self._buffer[4:]

    def hello(self, **says):
        fields = encode_field(HelloTag.VERSION, 1)
        fields += b"".join(encode_field(getattr(HelloTag, name.upper()), value) for name, value in says.items())
        self.send(encode_frame(Kind.HELLO, payload=fields))

    def next(self):
        """The next frame, or None at the end."""
        while True:
            taken = native.decode_frame(self._buffer, 0, 65536)
            if taken is not None:
                frame, at = taken
                self._buffer = self._buffer[at:]
                return frame
            if not self._fill(len(self._buffer) + 1):
                return None

    def expect(self, kind, stream=None, flags=None):
        """The next frame, which must be of this kind."""
        frame = self.next()
        assert frame is not None and frame.kind == kind, f"{Kind(kind).name} expected, got {frame}"
        assert stream is None or frame.stream == stream, frame
        assert flags is None or frame.flags == flags, frame
        return frame

    def settle(self):
        """Waits until the client has handled all that it was sent."""
        before = b""
        with contextlib.suppress(BrokenPipeError):
            self.frame(Kind.PING, payload=b"settled?")
            frame = self.next()
            while frame is not None and frame.kind != Kind.PONG:
                before += encode_frame(*frame)
                frame = self.next()
        self._buffer = before + self._buffer

    def skip(self, *kinds):
        """The next frame that is none of these."""
        frame = self.next()
        while frame is not None and frame.kind in kinds:
            frame = self.next()
        return frame

    def frame(self, kind, flags=0, stream=0, payload=b""):
        self.send(encode_frame(kind, flags, stream, payload))

    def send(self, data):
        self._socket.sendall(data)

    def _fill(self, count):
        while len(self._buffer) < count:
            data = self._socket.recv(65536)
            if not data:
                return False
            self._buffer += data
        return True


def call_of(frame, codec=0):
    """What is in a CALL: reference, path (or None), fields, message."""
    payload = frame.payload
    reference, at = native.decode_varint(payload, 0)
    path = None
    if reference & 1:
        length, at = native.decode_varint(payload, at)
        path, at = payload[at : at + length].decode(), at + length
    fields, message = native.split_fields(frame._replace(payload=payload[at:]))
    return reference, path, list(native.decode_fields(fields)), message


class Vectors(unittest.TestCase):
    """What the specification brings along: conversations and bad input."""

    # Not asked of this client: it writes no part that is smaller than it must be, numbers methods in one way only, sends
    # what zlib compressed and nothing else, and its pings and goodbyes have tests of their own.
    NOT_PLAYED = {"what another client may do", "a request in parts", "compression", "ping", "the client drains"}

    def vectors(self, name):
        file = ROOT / "docs" / "native-vectors" / name
        if not file.exists():
            self.skipTest("the vectors are not here")
        return json.loads(file.read_text())

    @contextlib.contextmanager
    def connected(self):
        """A client and the other end of its connection."""
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(directory, "s"))
            listener.listen()
            with Client("unix:" + os.path.join(directory, "s")) as client:
                connection = client._connected()
                with listener.accept()[0] as accepted:
                    peer = Peer(accepted)
                    peer.preface()
                    peer.expect(Kind.HELLO)
                    yield client, connection, peer

    def test_frames_are_written_as_in_the_conversations(self):
        for conversation in self.vectors("conversations.json"):
            with self.subTest(conversation["name"]):
                for step in conversation["steps"]:
                    data = bytes.fromhex(step.get("hex", ""))
                    data = data[4:] if data.startswith(PREFACE) else data
                    for frame, text in zip(frames(data), step.get("frames", []) if data else []):
                        if not text[0].isdigit() and not text.startswith("kind"):
                            name, stream = text.partition(":")[0].rsplit(" ", 1)
                            kind, *flags = name.split("|")
                            if kind in Kind.__members__:
                                expected = (Kind[kind], sum(getattr(native, flag) for flag in flags), int(stream))
                                self.assertEqual(frame[:3], expected)
                    self.assertEqual(b"".join(encode_frame(*frame) for frame in frames(data)), data)

    def test_conversations_with_this_client(self):
        for conversation in self.vectors("conversations.json"):
            if conversation["name"] not in self.NOT_PLAYED:
                with self.subTest(conversation["name"]), self.connected() as (client, connection, peer):
                    calls = []
                    # Which number this client has given the stream that has a number in the conversation.
                    numbers = {0: 0}
                    for step in conversation["steps"]:
                        data = bytes.fromhex(step.get("hex", ""))
                        if step["from"] == "server":
                            for frame in frames(data):
                                peer.send(encode_frame(*frame._replace(stream=numbers[frame.stream])))
                                if frame.kind == Kind.END or (frame.kind == Kind.MESSAGE and frame.flags & LAST):
                                    del numbers[frame.stream]
                            peer.settle()
                            for seen in step.get("sees", []):
                                self.see(calls, *seen.copy().popitem())
                        elif not data.startswith(PREFACE):
                            if "does" in step:
                                self.do(client, connection, calls, dict(step["does"]))
                            for expected in frames(data):
                                got = peer.next()
                                if expected.kind in (Kind.CALL, Kind.OPEN):
                                    self.assertNotIn(got.stream, numbers.values(), "a number that is in use")
                                    numbers[expected.stream] = got.stream
                                expected = expected._replace(stream=numbers[expected.stream])
                                self.assertEqual(essence(got), essence(expected))

    def do(self, client, connection, calls, does):
        what = does.pop("do")
        message = None if does.get("message") is None else bytes.fromhex(does["message"])
        if what == "call":
            metadata = [(key, bytes.fromhex(value) if key.endswith("-bin") else value) for key, value in does.get("metadata", [])]
            timeout = does.get("timeout_us")
            codec = native.Codec({"proto": 0, "json": 1}[does.get("codec", "proto")], bytes, bytes)
            call = client.call(does["path"], metadata=metadata, codec=codec, timeout=timeout and timeout / 1e6)
            calls.append(call)
            if message is not None:
                call.send(message, last=does.get("last", False))
            else:
                with connection._lock:
                    connection._open(call._stream)
        elif what == "send":
            calls[does["call"] - 1].send(message)
        elif what == "half_close":
            calls[does["call"] - 1].half_close()
        elif what == "cancel":
            calls[does["call"] - 1].cancel()
        else:
            self.assertEqual(what, "nothing")

    def see(self, calls, what, seen):
        if what in ("settled", "going_away", "closed"):
            return
        call = calls[seen["call"] - 1]
        metadata = [(key, bytes.fromhex(value) if key.endswith("-bin") else value) for key, value in seen.get("metadata", [])]
        if what == "headers":
            self.assertEqual(call.leading(), metadata)
        elif what == "message":
            self.assertEqual(call.receive(), bytes.fromhex(seen["hex"]))
        elif seen["code"] == 0:
            self.assertIsNone(call.receive())
            self.assertEqual(call.trailing, metadata)
        else:
            with self.assertRaises(RpcError) as raised:
                call.receive()
            error = raised.exception
            self.assertEqual((error.code, error.message), (seen["code"], seen.get("message", "")))
            self.assertEqual((error.trailing, error.unprocessed), (metadata, seen.get("unprocessed", False)))
            self.assertEqual(len(error.details), len(seen.get("details", [])))

    def test_bad_input(self):
        for case in self.vectors("bad-input.json"):
            if case["to"] == "client":
                with self.subTest(case["name"]), self.connected() as (client, _, peer):
                    call = client.call("a.B/C")
                    call.send(b"q")
                    peer.expect(Kind.CALL, 1)
                    peer.send(bytes.fromhex(case["before"]) + bytes.fromhex(case["hex"]))
                    reaction = case["reaction"]
                    if "goaway" in reaction:
                        self.assertEqual(peer.skip(Kind.CANCEL).payload[0], reaction["goaway"])
                        self.assertIsNone(peer.next())
                    elif "end" in reaction:
                        with self.assertRaises(RpcError) as raised:
                            while call.receive() is not None:
                                pass
                        self.assertEqual(raised.exception.code, reaction["end"])
                    else:
                        peer.frame(Kind.PING, payload=bytes(8))
                        peer.expect(Kind.PONG)


def frames(data):
    """All frames of these bytes."""
    found, at = [], 0
    while at < len(data):
        frame, at = native.decode_frame(data, at, 16384)
        found.append(frame)
    return found


def essence(frame):
    """What two clients that say the same must have in common: not how long is left, who is called and what is accepted."""
    if frame.kind == Kind.GOAWAY:
        return frame.kind, frame.payload[:1]
    if frame.kind not in (Kind.CALL, Kind.OPEN):
        return frame
    reference, path, fields, message = call_of(frame)
    kept = [field for field in fields if field[0] not in (Tag.ACCEPTS, Tag.AUTHORITY, Tag.TIMEOUT)]
    return frame.kind, frame.flags & ~FIELDS, frame.stream, reference, path, sorted(kept), message


class Scripted(unittest.TestCase):
    """Against a server that follows a script."""

    def setUp(self):
        self._stack = contextlib.ExitStack()
        self.addCleanup(self._stack.close)
        directory = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.path = os.path.join(directory, "s")

    def client(self, *scripts, **options):
        """A client whose connections are answered by one script each."""
        listener = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self.path)
        listener.listen()
        listener.settimeout(PATIENCE)
        failures = []

        def serve():
            try:
                for script in scripts:
                    connected, _ = listener.accept()
                    with connected:
                        script(Peer(connected))
            except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
                failures.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def joined():
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive(), "the script did not come to its end")
            if failures:
                raise failures[0]

        client = Client("unix:" + self.path, **options)
        self._stack.callback(joined)
        self._stack.callback(client.close)
        return client

    def patch(self, name, value):
        self._stack.enter_context(unittest.mock.patch.object(native, name, value))

    def fails(self, code, call, *arguments, **options):
        with self.assertRaises(RpcError) as raised:
            call(*arguments, **options)
        self.assertEqual(raised.exception.code, code, raised.exception)
        return raised.exception

    def test_a_unary_call_is_one_frame_each_way(self):
        def script(peer):
            peer.greet()
            frame = peer.expect(Kind.CALL, 1, LAST | FIELDS)
            self.assertEqual(call_of(frame), (3, "s/M", [(Tag.ACCEPTS, b"\x07")], b"ask"))
            peer.frame(Kind.MESSAGE, LAST, 1, b"answer")

        self.assertEqual(self.client(script).unary("s/M", b"ask"), b"answer")

    def test_a_server_of_another_version_is_told_both(self):
        def script(peer):
            peer.preface()
            peer.expect(Kind.HELLO)
            peer.frame(Kind.HELLO, payload=encode_field(HelloTag.VERSION, encode_varint(2)))
            goaway = peer.skip(Kind.CALL, Kind.CANCEL)
            self.assertEqual((goaway.kind, goaway.payload[0]), (Kind.GOAWAY, 1))
            self.assertRegex(goaway.payload.decode(), "version 2.* 1")

        error = self.fails(Code.UNAVAILABLE, self.client(script).unary, "s/M", b"ask", timeout=10)
        self.assertIn("version 2", error.message)

    def test_a_method_is_named_once_with_the_habits_of_its_calls(self):
        def script(peer):
            peer.greet()
            seen = []
            for _ in range(5):
                frame = peer.expect(Kind.CALL, 1)
                seen.append(call_of(frame)[:3])
                peer.frame(Kind.MESSAGE, LAST, 1, b"1")
            accepts = (Tag.ACCEPTS, b"\x07")
            self.assertEqual(
                seen,
                [
                    (3, "s/M", [accepts]),
                    (2, None, []),
                    (5, "s/M", [(Tag.CODEC, b"\x01"), accepts]),
                    (4, None, []),
                    (2, None, [(Tag.LEADING, b"\x01kv")]),
                ],
            )

        client = self.client(script)
        for options in ({}, {}, {"codec": JSON}, {"codec": JSON}, {"metadata": {"k": "v"}}):
            client.unary("/s/M", b"" if "codec" not in options else {}, **options)

    def test_no_more_methods_are_numbered_than_the_server_remembers(self):
        def script(peer):
            peer.greet()
            for index in range(66):
                reference, path, _, _ = call_of(peer.expect(Kind.CALL, 1))
                self.assertEqual(reference, (index + 1) * 2 + 1 if index < 64 else 1)
                self.assertEqual(path, f"s/M{index}")
                peer.frame(Kind.MESSAGE, LAST, 1)

        client = self.client(script)
        for index in range(66):
            client.unary(f"s/M{index}", b"")

    def test_metadata_timeout_and_a_status_with_everything(self):
        def script(peer):
            peer.greet()
            _, _, fields, _ = call_of(peer.expect(Kind.CALL))
            self.assertEqual(fields[0][0], Tag.TIMEOUT)
            self.assertLessEqual(native.decode_number(fields[0][1]), 5_000_000)
            self.assertEqual(fields[1:3], [(Tag.LEADING, b"\x01kv"), (Tag.LEADING, b"\x05b-bin\x00\xff")])
            end = encode_pair(Tag.LEADING, "early", "yes") + encode_field(Tag.CODE, 9) + encode_field(Tag.MESSAGE, "süß".encode())
            end += encode_pair(Tag.DETAIL, "type.googleapis.com/a.B", b"\x08\x01") + encode_pair(Tag.TRAILING, "late-bin", b"\x00")
            peer.frame(Kind.END, 0, 1, end)

        client = self.client(script)
        with client.call("s/M", metadata=[("k", "v"), ("b-bin", b"\0\xff")], timeout=5) as call:
            call.send(b"x", last=True)
            error = self.fails(Code.FAILED_PRECONDITION, call.only)
            self.assertEqual(str(error), "FAILED_PRECONDITION: süß")
            self.assertEqual(error.details, [("type.googleapis.com/a.B", b"\x08\x01")])
            self.assertEqual(error.trailing, [("late-bin", b"\0")])
            self.assertEqual((call.leading(), call.trailing), ([("early", "yes")], error.trailing))

    def test_metadata_that_is_none_is_refused_before_anything_is_sent(self):
        client = Client("unix:/nowhere")
        for bad in ({"Key": "v"}, {"": "v"}, {"k": "ü"}, {"k": b"v"}, {"k-bin": "v"}, {"k": "a\nb"}):
            with self.assertRaises(ValueError):
                client.call("s/M", metadata=bad)

    def test_metadata_of_the_server_that_is_none_ends_the_call_and_not_the_connection(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL)
            peer.frame(Kind.HEADERS, 0, 1, encode_pair(Tag.LEADING, "Not a key", "v"))
            peer.expect(Kind.CANCEL, 1)
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 1))
            peer.frame(Kind.MESSAGE, LAST, peer.expect(Kind.CALL).stream, b"fine")

        client = self.client(script)
        self.fails(Code.INTERNAL, client.unary, "s/M", b"")
        self.assertEqual(client.unary("s/M", b""), b"fine")

    def test_responses_of_a_stream_come_in_order_and_then_its_end(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1, LAST | FIELDS)
            peer.frame(Kind.HEADERS, 0, 1, encode_pair(Tag.LEADING, "k", "v"))
            for index in range(3):
                peer.frame(Kind.MESSAGE, 0, 1, b"%d" % index)
            peer.frame(Kind.END, 0, 1, encode_pair(Tag.TRAILING, "t", "u"))

        call = self.client(script).server_streaming("s/M", b"")
        self.assertEqual(call.leading(), [("k", "v")])
        self.assertEqual(list(call), [b"0", b"1", b"2"])
        self.assertEqual(call.trailing, [("t", "u")])
        self.assertIsNone(call.receive())

    def test_the_first_message_of_a_stream_opens_it(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1, FIELDS)
            peer.expect(Kind.MESSAGE, 1, 0)
            peer.expect(Kind.END, 1, 0)
            peer.frame(Kind.MESSAGE, LAST, 1, b"sum")

        self.assertEqual(self.client(script).client_streaming("s/M", [b"1", b"2"]), b"sum")

    def test_a_stream_without_messages(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.OPEN, 1, LAST | FIELDS)
            peer.frame(Kind.MESSAGE, LAST, 1, b"none")

        self.assertEqual(self.client(script).client_streaming("s/M", []), b"none")

    def test_who_receives_before_he_sends_opens_the_call(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.OPEN, 1, FIELDS)
            peer.frame(Kind.MESSAGE, 0, 1, b"welcome")
            self.assertEqual(peer.expect(Kind.MESSAGE, 1, LAST).payload, b"bye")
            peer.frame(Kind.END, 0, 1)

        with self.client(script).bidirectional("s/M") as call:
            self.assertEqual(call.receive(), b"welcome")
            call.send(b"bye", last=True)
            self.assertIsNone(call.receive())
            with self.assertRaises(ValueError):
                call.send(b"more")

    def test_a_server_that_ends_early_has_the_last_word_on_a_client_stream(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 3) + encode_field(Tag.MESSAGE, b"no such item"))
            while peer.next() is not None:
                pass

        def requests():
            while True:
                yield bytes(1000)

        error = self.fails(Code.INVALID_ARGUMENT, self.client(script).client_streaming, "s/M", requests())
        self.assertEqual(error.message, "no such item")

    def test_a_long_message_leaves_in_frames_within_the_windows(self):
        message = bytes(range(256)) * 400

        def script(peer):
            peer.greet()
            first = peer.expect(Kind.CALL, 1)
            self.assertEqual(first.flags, MORE | FIELDS)
            got = call_of(first)[3]
            while len(got) < 65536:
                frame = peer.expect(Kind.MESSAGE, 1, MORE)
                self.assertLessEqual(len(frame.payload), 16384)
                got += frame.payload
            self.assertEqual(len(got), 65536)
            # Both windows are shut: nothing comes, whatever is given to one of them alone.
            peer.frame(Kind.WINDOW, 0, 1, encode_varint(100_000))
            peer.frame(Kind.PING, 0, 0, b"12345678")
            peer.expect(Kind.PONG)
            peer.frame(Kind.WINDOW, 0, 0, encode_varint(100_000))
            while True:
                frame = peer.expect(Kind.MESSAGE, 1)
                got += frame.payload
                if frame.flags == LAST:
                    break
                self.assertEqual(frame.flags, MORE)
            self.assertEqual(got, message)
            peer.frame(Kind.MESSAGE, LAST, 1, b"ok")

        self.assertEqual(self.client(script).unary("s/M", message), b"ok")

    def test_a_small_call_does_not_wait_behind_a_long_message(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            left = 3
            while left:
                left -= 1
                peer.expect(Kind.MESSAGE, 1, MORE)
            peer.frame(Kind.WINDOW, 0, 0, encode_varint(1000))
            # One of the two has the window now; the other call needs no more than one frame.
            frame = peer.next()
            while frame.kind != Kind.CALL:
                self.assertEqual(frame.stream, 1)
                peer.frame(Kind.WINDOW, 0, 0, encode_varint(1000))
                frame = peer.next()
            self.assertEqual(frame.stream, 2)
            peer.frame(Kind.MESSAGE, LAST, 2, b"quick")
            done.wait(PATIENCE)
            peer.frame(Kind.MESSAGE, LAST, 1, b"slow")

        done = threading.Event()
        client = self.client(script)
        call = client.call("s/Slow")
        slow = threading.Thread(target=lambda: self.fails(Code.CANCELLED, call.send, bytes(1 << 20)))
        slow.start()
        self.assertEqual(client.unary("s/Quick", b"?"), b"quick")
        done.set()
        self.assertEqual(call.receive(), b"slow")
        slow.join(PATIENCE)

    def test_what_hello_adds_counts_for_streams_that_did_not_wait_for_it(self):
        def script(peer):
            peer.preface()
            peer.expect(Kind.HELLO)
            peer.expect(Kind.CALL, 1)
            got = 0
            while got < 65536 - 20_000:
                got += len(peer.expect(Kind.MESSAGE, 1, MORE).payload)
            peer.hello(window_bytes=100_000, connection_window_bytes=200_000, frame_bytes_max=32768)
            while peer.expect(Kind.MESSAGE, 1).flags == MORE:
                pass
            peer.frame(Kind.MESSAGE, LAST, 1, b"ok")

        self.assertEqual(self.client(script).unary("s/M", bytes(100_000)), b"ok")

    def test_a_response_longer_than_the_window_gets_window_while_it_comes(self):
        message = os.urandom(300_000)

        def script(peer):
            hello = peer.greet()
            stream, connection = (native.decode_number(hello[tag]) for tag in (HelloTag.WINDOW_BYTES, HelloTag.CONNECTION_WINDOW_BYTES))
            self.assertEqual((stream, connection), (65536, 131072))
            peer.expect(Kind.CALL)
            at = 0
            while at < len(message):
                while min(stream, connection) == 0:
                    frame = peer.expect(Kind.WINDOW)
                    if frame.stream:
                        stream += native.decode_number(frame.payload)
                    else:
                        connection += native.decode_number(frame.payload)
                chunk = message[at : at + min(stream, connection, 16384)]
                at, stream, connection = at + len(chunk), stream - len(chunk), connection - len(chunk)
                peer.frame(Kind.MESSAGE, LAST if at == len(message) else MORE, 1, chunk)

        client = self.client(script, window_bytes=65536, connection_window_bytes=131072)
        self.assertEqual(client.unary("s/M", b""), message)

    def test_a_reader_that_does_not_read_gives_no_window(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL)
            for _ in range(4):
                peer.frame(Kind.MESSAGE, 0, 1, bytes(16384))
            peer.frame(Kind.PING, 0, 0, b"12345678")
            peer.expect(Kind.PONG)
            filled.set()
            peer.expect(Kind.WINDOW, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, b"last")

        filled = threading.Event()
        client = self.client(script, window_bytes=65536)
        call = client.server_streaming("s/M", b"")
        self.assertTrue(filled.wait(PATIENCE))
        self.assertEqual([len(message) for message in call], [16384] * 4 + [4])

    def test_a_server_that_overruns_a_window_is_left(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL)
            for _ in range(5):
                peer.frame(Kind.MESSAGE, 0, 1, bytes(16384))
            self.assertEqual(peer.skip(Kind.PING).payload[0], native.GoAway.PROTOCOL)

        client = self.client(script, window_bytes=65536)
        call = client.server_streaming("s/M", b"")
        self.fails(Code.UNAVAILABLE, call._connection.ping, PATIENCE)
        error = self.fails(Code.UNAVAILABLE, list, call)
        self.assertIn("more bytes than the stream's window", error.message)

    def test_a_response_beyond_the_limit_ends_its_call(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL)
            peer.frame(Kind.MESSAGE, MORE, 1, bytes(10_000))
            peer.frame(Kind.MESSAGE, MORE, 1, bytes(10_000))
            peer.expect(Kind.CANCEL, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, bytes(10_000))
            peer.frame(Kind.MESSAGE, LAST, peer.expect(Kind.CALL).stream, bytes(10_000))

        client = self.client(script, message_bytes_max=15_000)
        self.fails(Code.RESOURCE_EXHAUSTED, client.unary, "s/M", b"")
        self.assertEqual(len(client.unary("s/M", b"")), 10_000)

    def test_who_leaves_the_loop_cancels_and_the_number_waits_for_the_end(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, 0, 1, b"0")
            peer.expect(Kind.CANCEL, 1)
            peer.frame(Kind.MESSAGE, 0, 1, b"too late")
            peer.expect(Kind.CALL, 2)
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 1))
            peer.frame(Kind.MESSAGE, LAST, 2, b"ok")
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, b"ok")

        client = self.client(script)
        for message in client.server_streaming("s/M", b""):
            self.assertEqual(message, b"0")
            break
        self.assertEqual(client.unary("s/M", b""), b"ok")
        self.assertEqual(client.unary("s/M", b""), b"ok")

    def test_a_call_whose_deadline_passes_is_cancelled(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.expect(Kind.CANCEL, 1)

        client = self.client(script)
        self.fails(Code.DEADLINE_EXCEEDED, client.unary, "s/M", b"", timeout=0.02)

    def test_a_deadline_passes_also_while_windows_are_shut(self):
        def script(peer):
            peer.greet()
            while peer.next().kind != Kind.CANCEL:
                pass

        self.fails(Code.DEADLINE_EXCEEDED, self.client(script).unary, "s/M", bytes(100_000), timeout=0.05)

    def test_a_cancelled_call_ends_for_who_waits_for_it(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.OPEN, 1)
            opened.set()
            peer.expect(Kind.CANCEL, 1)

        opened = threading.Event()
        call = self.client(script).bidirectional("s/M")
        canceller = threading.Thread(target=lambda: (opened.wait(PATIENCE), call.cancel()))
        canceller.start()
        self.fails(Code.CANCELLED, call.receive)
        canceller.join()

    def test_calls_beyond_the_servers_streams_wait(self):
        def script(peer):
            peer.greet(streams_max=1)
            # Calls that did not wait for HELLO may be refused; it says that nobody looked at them.
            for _ in range(6):
                frame = peer.expect(Kind.CALL)
                self.assertEqual(frame.stream, 1)
                peer.frame(Kind.MESSAGE, LAST, 1, call_of(frame)[3])

        client = self.client(script)
        self.assertEqual(client.unary("s/M", b"first"), b"first")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(client.unary("s/M", b"x"))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(answers, [b"x"] * 5)

    def test_a_unary_call_nobody_looked_at_is_made_again(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 14) + encode_field(Tag.UNPROCESSED, b""))
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, b"ok")
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 14))

        client = self.client(script)
        self.assertEqual(client.unary("s/M", b""), b"ok")
        self.fails(Code.UNAVAILABLE, client.unary, "s/M", b"")

    def test_a_connection_that_drains_ends_its_calls_and_another_takes_the_next(self):
        def first(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.GOAWAY, 0, 0, b"\x00")
            self.assertEqual(peer.expect(Kind.GOAWAY).payload, b"\x00")
            peer.frame(Kind.MESSAGE, 0, 1, b"drained")
            peer.frame(Kind.END, 0, 1)
            self.assertIsNone(peer.next())

        def second(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, b"new")

        client = self.client(first, second)
        self.assertEqual(list(client.server_streaming("s/M", b"")), [b"drained"])
        self.assertEqual(client.unary("s/M", b""), b"new")

    def test_a_server_that_gives_up_says_why_to_every_call(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.GOAWAY, 0, 0, b"\x02too many pings")

        error = self.fails(Code.UNAVAILABLE, self.client(script).unary, "s/M", b"")
        self.assertIn("too many pings", error.message)
        self.assertFalse(error.unprocessed)

    def test_a_server_that_hangs_up_ends_its_calls(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)

        error = self.fails(Code.UNAVAILABLE, self.client(script).unary, "s/M", b"")
        self.assertIn("closed the connection", error.message)

    def test_pings_are_answered_both_ways(self):
        def script(peer):
            peer.greet()
            peer.frame(Kind.PING, 0, 0, b"abcdefgh")
            kinds = {}
            for _ in range(2):
                frame = peer.next()
                kinds[frame.kind] = frame.payload
            self.assertEqual(kinds[Kind.PONG], b"abcdefgh")
            peer.frame(Kind.PONG, 0, 0, kinds[Kind.PING])

        self.assertGreater(self.client(script).ping(PATIENCE), 0)

    def test_a_server_that_wants_signs_of_life_gets_them(self):
        def script(peer):
            peer.greet(silence_max_ms=30)
            peer.expect(Kind.CALL, 1)
            for _ in range(3):
                peer.frame(Kind.PONG, 0, 0, peer.expect(Kind.PING).payload)
            peer.frame(Kind.MESSAGE, LAST, 1, b"alive")

        self.patch("SILENCE_SECONDS_MIN", 0.01)
        self.assertEqual(self.client(script).unary("s/M", b""), b"alive")

    def test_a_server_that_says_nothing_is_taken_for_dead(self):
        def script(peer):
            hello = peer.greet()
            self.assertEqual(native.decode_number(hello[HelloTag.SILENCE_MAX_MS]), 50)
            peer.expect(Kind.CALL, 1)
            self.assertEqual(peer.expect(Kind.GOAWAY).payload[0], native.GoAway.TIMEOUT)

        self.patch("SILENCE_SECONDS_MIN", 0.01)
        error = self.fails(Code.UNAVAILABLE, self.client(script, silence_seconds=0.05).unary, "s/M", b"")
        self.assertIn("nothing was heard", error.message)

    def test_messages_are_compressed_when_it_makes_them_smaller(self):
        text = b"abc" * 1000

        def script(peer):
            peer.greet()
            for number, unpack in ((1, gzip.decompress), (2, zlib.decompress)):
                frame = peer.expect(Kind.CALL, 1, LAST | FIELDS | COMPRESSED)
                _, _, fields, message = call_of(frame)
                self.assertIn((Tag.COMPRESSION, bytes([number])), fields)
                self.assertEqual(unpack(message), text)
                answer = encode_field(Tag.COMPRESSION, number)
                answer = encode_varint(len(answer)) + answer + message
                peer.frame(Kind.MESSAGE, LAST | FIELDS | COMPRESSED, 1, answer)
            self.assertEqual(call_of(peer.expect(Kind.CALL, 1, LAST))[3], b"short")
            peer.frame(Kind.MESSAGE, LAST, 1, b"plain")

        client = self.client(script)
        for name in ("gzip", "deflate"):
            self.assertEqual(client.unary("s/M", text, compression=name), text)
        self.assertEqual(client.unary("s/M", b"short", compression="gzip"), b"plain")

    def test_a_response_that_decompresses_beyond_the_limit_or_not_at_all_ends_its_call(self):
        bomb, good = gzip.compress(bytes(1 << 20)), gzip.compress(b"good")

        def script(peer):
            peer.greet()
            for number, message in ((1, bomb), (1, b"garbage"), (0, good), (1, good[:-5]), (1, good + b"x")):
                peer.expect(Kind.CALL, 1)
                fields = encode_field(Tag.COMPRESSION, number)
                peer.frame(Kind.MESSAGE, LAST | FIELDS | COMPRESSED, 1, encode_varint(len(fields)) + fields + message)

        client = self.client(script, message_bytes_max=(1 << 20) - 1)
        self.fails(Code.RESOURCE_EXHAUSTED, client.unary, "s/M", b"")
        for _ in range(4):
            self.fails(Code.INTERNAL, client.unary, "s/M", b"")

    def test_responses_that_are_too_few_or_too_many(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.END, 0, 1)
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, 0, 1, b"1")
            peer.frame(Kind.MESSAGE, LAST, 1, b"2")

        client = self.client(script)
        self.fails(Code.INTERNAL, client.unary, "s/M", b"")
        self.fails(Code.INTERNAL, client.unary, "s/M", b"")

    def test_json_goes_in_and_comes_out(self):
        def script(peer):
            peer.greet()
            _, _, fields, message = call_of(peer.expect(Kind.CALL, 1))
            self.assertEqual(message, '{"name":"ü"}'.encode())
            self.assertIn((Tag.CODEC, b"\x01"), fields)
            peer.frame(Kind.MESSAGE, LAST, 1, b'{"ok": true}')
            peer.expect(Kind.CALL, 1)
            peer.frame(Kind.MESSAGE, LAST, 1, b"\x08\x01")

        client = self.client(script, codec=JSON)
        self.assertEqual(client.unary("s/M", {"name": "ü"}), {"ok": True})
        self.fails(Code.INTERNAL, client.unary, "s/M", {})

    def test_unknown_frames_and_fields_are_skipped(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.CALL, 1)
            peer.frame(15, LAST | FIELDS, 7, b"what is this")
            fields = encode_field(99, b"later") + encode_pair(Tag.LEADING, "k", "v")
            peer.frame(Kind.MESSAGE, FIELDS, 1, encode_varint(len(fields)) + fields + b"ok")
            peer.frame(Kind.END, 0, 1, encode_field(77, b"") + encode_pair(Tag.TRAILING, "t", "v"))

        call = self.client(script).server_streaming("s/M", b"")
        self.assertEqual((list(call), call.leading(), call.trailing), ([b"ok"], [("k", "v")], [("t", "v")]))

    def test_a_peer_that_breaks_the_rules_is_told_and_left(self):
        end = encode_frame(Kind.END, 0, 1)
        cases = {
            "not open": encode_frame(Kind.MESSAGE, 0, 2, b""),
            "not open ": end + end,
            "clients only": encode_frame(Kind.CALL, 0, 1, b"\x02"),
            "second HELLO": encode_frame(Kind.HELLO, payload=encode_field(1, 1)),
            "goes on": encode_frame(Kind.MESSAGE, LAST | MORE, 1, b""),
            "too long": b"\x03\x80\x80\x80\x80\x01",
            "are allowed": encode_frame(Kind.MESSAGE, 0, 1, bytes(16385)),
            "middle": encode_frame(Kind.END, 0, 1, b"\x07\x05\x01"),
            "longer than their frame": encode_frame(Kind.MESSAGE, FIELDS, 1, b"\x09"),
            "instead of 8": encode_frame(Kind.PING, 0, 0, b"1234567"),
            "number": encode_frame(Kind.WINDOW, 0, 0, b""),
            "2^31": encode_frame(Kind.WINDOW, 0, 1, encode_varint(1 << 31)),
            "HEADERS behind": encode_frame(Kind.HEADERS, 0, 1) * 2,
            "without a code": encode_frame(Kind.GOAWAY),
        }
        for text, data in cases.items():
            with self.subTest(text), contextlib.ExitStack() as self._stack:
                self.path += "x"

                def script(peer, data=data):
                    peer.greet()
                    peer.expect(Kind.OPEN, 1)
                    peer.send(data)
                    frame = peer.skip(Kind.PING, Kind.CANCEL)
                    self.assertEqual(frame.kind, Kind.GOAWAY)
                    self.assertIn(frame.payload[0], (native.GoAway.PROTOCOL, native.GoAway.LIMIT))

                client = self.client(script)
                call = client.bidirectional("s/M")
                with contextlib.suppress(RpcError):
                    call.receive()
                connection = call._connection
                with self.assertRaises(RpcError) as raised:
                    # It may have ended well before the rule was broken; the connection has not.
                    while True:
                        connection.ping(PATIENCE)
                self.assertIn(text.strip(), raised.exception.message)

    def test_a_server_of_another_protocol_is_named(self):
        def script(peer):
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.preface()

        error = self.fails(Code.UNAVAILABLE, self.client(script).unary, "s/M", b"")
        self.assertIn("this is not polywire's native protocol", error.message)
        self.assertIn("HTTP/1.1 400", error.message)

    def test_a_server_of_another_version_is_named(self):
        def script(peer):
            peer.send(encode_frame(Kind.HELLO, payload=encode_field(HelloTag.VERSION, 2)))
            peer.preface()

        error = self.fails(Code.UNAVAILABLE, self.client(script).unary, "s/M", b"")
        self.assertIn("version 2", error.message)

    def test_a_server_that_never_greets_is_given_up(self):
        def script(peer):
            peer.preface()
            peer.expect(Kind.HELLO)
            peer.expect(Kind.CALL)
            peer.expect(Kind.GOAWAY)

        error = self.fails(Code.UNAVAILABLE, self.client(script, connect_seconds=0.05).unary, "s/M", b"")
        self.assertIn("no HELLO", error.message)

    def test_frames_that_come_byte_by_byte(self):
        def script(peer):
            peer.preface()
            peer.expect(Kind.HELLO)
            for byte in encode_frame(Kind.HELLO, payload=encode_field(HelloTag.VERSION, 1)):
                peer.send(bytes([byte]))
            peer.expect(Kind.CALL)
            for byte in encode_frame(Kind.MESSAGE, LAST, 1, b"slowly"):
                peer.send(bytes([byte]))

        self.assertEqual(self.client(script).unary("s/M", b""), b"slowly")

    def test_a_closed_client_ends_its_calls_and_takes_no_more(self):
        def script(peer):
            peer.greet()
            peer.expect(Kind.OPEN, 1)
            peer.frame(Kind.MESSAGE, 0, 1, b"open")
            peer.expect(Kind.CANCEL, 1)
            self.assertEqual(peer.expect(Kind.GOAWAY).payload, b"\x00")
            self.assertIsNone(peer.next())

        client = self.client(script)
        call = client.bidirectional("s/M")
        self.assertEqual(call.receive(), b"open")
        client.close()
        self.fails(Code.CANCELLED, call.receive)
        self.fails(Code.CANCELLED, client.unary, "s/M", b"")

    def test_nobody_there(self):
        error = self.fails(Code.UNAVAILABLE, Client("unix:" + self.path).unary, "s/M", b"")
        self.assertIn("cannot connect to unix:", error.message)
        with self.assertRaises(ValueError):
            Client("localhost").unary("s/M", b"")

    def test_under_tls(self):
        if shutil.which("openssl") is None:
            self.skipTest("no openssl to make a certificate with")
        directory = os.path.dirname(self.path)
        cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-out", cert, "-keyout", key]
            + ["-addext", "subjectAltName=DNS:localhost"],
            check=True,
            capture_output=True,
        )
        context = ssl_server(cert, key)
        message = os.urandom(200_000)

        def script(peer):
            with context.wrap_socket(peer._socket, server_side=True) as peer._socket:
                talk(peer)

        def talk(peer):
            self.assertEqual(peer._socket.selected_alpn_protocol(), "polywire/1")
            peer.greet(window_bytes=1 << 20, connection_window_bytes=1 << 20)
            got = b""
            while True:
                frame = peer.next()
                got += call_of(frame)[3] if frame.kind == Kind.CALL else frame.payload
                if frame.flags & LAST:
                    break
            for at in range(0, len(got), 10_000):
                peer.frame(Kind.MESSAGE, LAST if at + 10_000 >= len(got) else MORE, 1, got[at : at + 10_000])
            self.assertEqual(peer.skip(Kind.WINDOW).payload, b"\x00")
            self.assertIsNone(peer.next())

        client = self.client(script, tls=native.tls_context(cacert=cert))
        self.assertEqual(client.unary("s/M", message), message)
        with self.assertRaises(RpcError) as raised:
            Client(f"unix:{self.path}", tls=True, connect_seconds=0.05).unary("s/M", b"")
        self.assertIn("no TLS", raised.exception.message)

    def test_the_command_prints_a_line_for_each_response(self):
        def script(peer):
            peer.greet()
            _, path, fields, message = call_of(peer.expect(Kind.CALL, 1, LAST | FIELDS))
            self.assertEqual((path, json.loads(message)), ("s/M", {"a": 1}))
            self.assertIn((Tag.LEADING, b"\x01kv:w"), fields)
            self.assertIn((Tag.LEADING, b"\x05k-bin\x00\x01"), fields)
            self.assertEqual(fields[0][0], Tag.TIMEOUT)
            peer.frame(Kind.MESSAGE, 0, 1, b'{"b":[1, 2]}')
            peer.frame(Kind.MESSAGE, 0, 1, b"{}")
            peer.frame(Kind.END, 0, 1, encode_field(Tag.CODE, 5) + encode_field(Tag.MESSAGE, b"gone"))

        self.client(script)
        out, err = io.StringIO(), io.StringIO()
        arguments = ["unix:" + self.path, "s/M", '{"a":1}', "-H", "K: v:w", "-H", "k-bin: AAE=", "--timeout", "5"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.assertEqual(native.main(arguments), 64 + 5)
        self.assertEqual(out.getvalue(), '{"b": [1, 2]}\n{}\n')
        self.assertEqual(err.getvalue(), "error: NOT_FOUND: gone\n")

    def test_the_command_says_what_is_wrong_with_its_arguments(self):
        for arguments in (["unix:x", "s/M", "{"], ["nowhere", "s/M"], ["unix:x", "s/M", "-H", "novalue"]):
            err = io.StringIO()
            with contextlib.redirect_stderr(err):
                self.assertEqual(native.main(arguments), 2)
            self.assertTrue(err.getvalue().startswith("error: "), err.getvalue())


class Echo(unittest.TestCase):
    """Against a real server with the test service."""

    def setUp(self):
        if "ECHO_TARGET" not in os.environ:
            self.skipTest("ECHO_TARGET names no server")
        self.client = self.connected("ECHO_TARGET")

    def connected(self, variable, **options):
        client = Client(os.environ[variable], **options)
        self.addCleanup(client.close)
        return client

    def test_all_shapes_in_json(self):
        self.check_shapes(self.client, JSON, lambda text, **fields: {"text": text, **fields}, lambda reply: reply.get("text", ""))

    def test_all_shapes_in_protobuf(self):
        def request(text, times=0):
            text = text.encode()
            return (b"\x0a" + encode_varint(len(text)) + text if text else b"") + (b"\x10" + encode_varint(times) if times else b"")

        def reply(message):
            if not message:
                return ""
            length, at = native.decode_varint(message, 1)
            self.assertEqual((message[0], at + length), (0x0A, len(message)))
            return message[at:].decode()

        for compression in (None, "gzip", "deflate"):
            self.check_shapes(self.client, native.PROTO, request, reply, compression)

    def check_shapes(self, client, codec, request, reply, compression=None):
        options = {"codec": codec, "timeout": PATIENCE, "compression": compression}
        for text in ("", "hello", "ü" * 100, "long " * 40_000):
            self.assertEqual(reply(client.unary(f"{ECHO}/Unary", request(text), **options)), text)
        self.assertEqual([reply(each) for each in client.server_streaming(f"{ECHO}/Expand", request("x", times=5), **options)], ["x"] * 5)
        # Far more than the windows hold.
        total = sum(len(reply(each)) for each in client.server_streaming(f"{ECHO}/Expand", request("y" * 5000, times=1000), **options))
        self.assertEqual(total, 5_000_000)
        texts = [str(index) for index in range(1000)]
        self.assertEqual(reply(client.client_streaming(f"{ECHO}/Collect", map(request, texts), **options)), "".join(texts))
        self.assertEqual(reply(client.client_streaming(f"{ECHO}/Collect", [], **options)), "")
        with client.bidirectional(f"{ECHO}/Chat", **options) as call:
            for text in ("a", "b", "c" * 100_000):
                call.send(request(text))
                self.assertEqual(reply(call.receive()), text)
            call.half_close()
            self.assertIsNone(call.receive())

    def test_a_status_comes_through(self):
        with self.assertRaises(RpcError) as raised:
            self.client.unary(f"{ECHO}/Unary", {"text": "because", "code": 9}, codec=JSON, timeout=PATIENCE)
        self.assertEqual(raised.exception.code, Code.FAILED_PRECONDITION)
        with self.assertRaises(RpcError) as raised:
            self.client.unary(f"{ECHO}/Nothing", b"", timeout=PATIENCE)
        self.assertEqual(raised.exception.code, Code.UNIMPLEMENTED)
        with self.assertRaises(RpcError) as raised:
            self.client.unary(f"{ECHO}/Unary", {"text": "x"}, codec=native.Codec(1, lambda value: b"{", json.loads), timeout=PATIENCE)
        self.assertEqual(raised.exception.code, Code.INVALID_ARGUMENT)

    def test_a_deadline_passes(self):
        with self.assertRaises(RpcError) as raised:
            self.client.unary(f"{ECHO}/Unary", {"text": "x", "waitMs": 60_000}, codec=JSON, timeout=0.05)
        self.assertEqual(raised.exception.code, Code.DEADLINE_EXCEEDED)

    def test_a_loop_left_early_leaves_the_connection_in_order(self):
        for _ in range(50):
            for reply in self.client.server_streaming(f"{ECHO}/Expand", {"text": "z" * 1000, "times": 10_000}, codec=JSON):
                self.assertEqual(len(reply["text"]), 1000)
                break
        self.assertEqual(self.client.unary(f"{ECHO}/Unary", {"text": "still here"}, codec=JSON), {"text": "still here"})

    def test_many_threads_share_a_connection(self):
        failures = []

        def talk(index):
            try:
                for turn in range(50):
                    text = f"{index}-{turn}" + "x" * (turn * 500)
                    reply = self.client.unary(f"{ECHO}/Unary", {"text": text}, codec=JSON, timeout=PATIENCE)
                    assert reply["text"] == text, (reply, text)
            except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=talk, args=(index,)) for index in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failures, [])
        self.assertGreater(self.client.ping(), 0)

    def test_under_tls_as_well(self):
        if "ECHO_TLS_TARGET" not in os.environ:
            self.skipTest("ECHO_TLS_TARGET names no server")
        tls = native.tls_context(cacert=os.environ["ECHO_TLS_CACERT"])
        client = self.connected("ECHO_TLS_TARGET", tls=tls, server_name="localhost")
        self.check_shapes(client, JSON, lambda text, **fields: {"text": text, **fields}, lambda reply: reply.get("text", ""))


class Orders(unittest.TestCase):
    """Against the order system."""

    @classmethod
    def setUpClass(cls):
        binary = os.environ.get("ORDERS_BINARY")
        if not binary:
            raise unittest.SkipTest("ORDERS_BINARY names no program")
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.target = f"127.0.0.1:{free_port()}"
        arguments = [os.path.abspath(binary), "--ephemeral", "--listen", cls.target]
        cls.process = subprocess.Popen(arguments, cwd=directory.name, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(stop, cls.process)
        for line in cls.process.stderr:
            if "listening" in line:
                break
        # What nobody reads would stop it one day.
        threading.Thread(target=cls.process.stderr.read, daemon=True).start()
        cls.client = Client(cls.target, codec=JSON)
        cls.addClassCleanup(cls.client.close)

    def create(self, customer):
        lines = [{"item": "items/flat-white", "quantity": 2}]
        return self.client.unary("orders.v1.Orders/Create", {"customer": customer, "lines": lines}, timeout=PATIENCE)

    def test_an_order_is_placed_found_and_taken_back(self):
        order = self.create("Ada")
        self.assertEqual(self.client.unary("orders.v1.Orders/Get", {"name": order["name"]})["customer"], "Ada")
        events = self.client.server_streaming("orders.v1.Orders/Watch", {"name": order["name"]}, timeout=PATIENCE)
        self.assertEqual(next(iter(events))["order"]["status"], "CONFIRMED")
        self.client.unary("orders.v1.Orders/Cancel", {"name": order["name"], "reason": "rain"})
        self.assertEqual([event["order"]["status"] for event in events], ["CANCELLED"])

    def test_what_is_refused_says_why(self):
        order = self.create("Bob")
        other = order["name"][:-1] + ("1" if order["name"].endswith("0") else "0")
        with self.assertRaises(RpcError) as raised:
            self.client.unary("orders.v1.Orders/Get", {"name": other})
        self.assertEqual(raised.exception.code, Code.NOT_FOUND)
        with self.assertRaises(RpcError) as raised:
            self.client.unary("orders.v1.Orders/Complete", {"name": order["name"]})
        self.assertEqual(raised.exception.code, Code.FAILED_PRECONDITION)
        self.assertTrue(raised.exception.details)

    def test_orders_are_imported(self):
        line = {"customer": "Eve", "lines": [{"item": "items/scone", "quantity": 1}]}
        summary = self.client.client_streaming("orders.v1.Orders/Import", [line, {}, line], timeout=PATIENCE)
        self.assertEqual((summary["created"], summary["refused"]), (2, 1))

    def test_a_kitchen_talks(self):
        order = self.create("Kim")
        with self.client.bidirectional("orders.v1.Orders/Kitchen", timeout=PATIENCE) as call:
            call.send({"announce": {"kitchen": "test", "ticketsOpenMax": 100}})
            self.assertEqual(call.receive()["welcome"]["kitchen"], "test")
            while call.receive()["ticket"]["order"] != order["name"]:
                pass
            call.send({"accepted": {"order": order["name"]}})
            reply = call.receive()
            while "noted" not in reply:
                reply = call.receive()
            self.assertEqual(reply["noted"]["order"], order["name"])

    def test_whoever_follows_all_orders_is_told_from_where_on(self):
        watching = self.client.server_streaming("orders.v1.Orders/WatchAll", {})
        self.assertEqual(dict(watching.leading()).keys(), {"orders-sequence"})
        order = self.create("Wim")
        while next(iter(watching))["order"]["name"] != order["name"]:
            pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    process.stderr.close()


def ssl_server(cert, key):
    context = native.ssl.SSLContext(native.ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["polywire/1"])
    return context


if __name__ == "__main__":
    unittest.main()
