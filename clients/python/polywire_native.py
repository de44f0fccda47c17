#!/usr/bin/env python3
"""A client for polywire's native protocol, version 1, in one file, with nothing but Python's standard library (3.8 or newer).

It was written from the specification (docs/native-protocol.md) alone and is meant to be read beside it: as the example for other
languages and for devices. Copy the file, or put its directory on the path.

    from polywire_native import Client, JSON, RpcError

    with Client("127.0.0.1:8080", codec=JSON) as client:
        # unary: one message each way
        order = client.unary("orders.v1.Orders/Get", {"name": "orders/01"}, timeout=2)

        # server streaming: a call is an iterator over its responses; leaving the loop early cancels it
        for event in client.server_streaming("orders.v1.Orders/Watch", {"name": order["name"]}):
            print(event)

        # client streaming: any iterable of requests, one response
        summary = client.client_streaming("orders.v1.Orders/Import", [{"customer": "Ada"}, {"customer": "Bob"}])

        # bidirectional streaming: send and receive in any order, also from two threads
        with client.bidirectional("orders.v1.Orders/Kitchen") as call:
            call.send({"announce": {"kitchen": "east"}})
            print(call.receive())

Messages. With `codec=PROTO` (the default) a message is bytes, as Protobuf encodes it: `Order.FromString(client.unary(m, request.SerializeToString()))`.
With `codec=JSON` it is what `json` reads and writes, and nothing has to know the `.proto` files. `Codec(0, encode, decode)` is one of your own.

Metadata is a list of pairs or a dictionary of text; keys that end in `-bin` have values of bytes. That of the response stands in `call.leading()`
and `call.trailing` of what `client.call(...)` returns; a unary call with everything to see is

    call = client.call("orders.v1.Orders/Get", metadata={"x-trace": "7"})
    call.send({"name": "orders/01"}, last=True)
    order = call.only()
    print(call.leading(), call.trailing)

Failures are `RpcError`: code, message, details, metadata. `timeout` is in seconds, for the whole call, and travels to the server.
`Client("unix:/run/orders.sock")` uses a Unix socket, `Client("host:443", tls=True)` TLS with the system's authorities,
`Client("host:443", tls=tls_context(cacert="ca.pem"))` with others. A client opens its connection when it is needed, opens another when
that one is gone, and repeats by itself only unary calls of which the server said that it did not look at them.

As a command it prints each response as a line of JSON:

    python3 polywire_native.py 127.0.0.1:8080 orders.v1.Orders/Get '{"name": "orders/01"}'
    python3 polywire_native.py unix:/run/orders.sock orders.v1.Orders/Import - < orders.jsonl

Inside, there is one thread for each connection, which reads, answers pings and minds the time. Whoever sends writes to the socket himself; only
what the socket does not take at once is left to that thread. Everything a connection knows is under one lock.
"""

from __future__ import annotations

import argparse
import base64
import collections
import enum
import gzip
import heapq
import itertools
import json
import os
import selectors
import socket
import ssl
import sys
import threading
import time
import zlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

__all__ = ["Call", "Client", "Code", "Codec", "JSON", "PROTO", "RpcError", "tls_context"]

Pairs = List[Tuple[str, Union[str, bytes]]]
Metadata = Union[Dict[str, Union[str, bytes]], Iterable[Tuple[str, Union[str, bytes]]]]

# What we choose. Each bound keeps something a peer, or a busy caller, could make grow.

MESSAGE_BYTES_MAX = 4 << 20
"""Longest message we accept, also after decompression."""
WINDOW_BYTES = 256 << 10
"""What one stream may have on the way to us or waiting to be received."""
CONNECTION_WINDOW_BYTES = 1 << 20
"""What all streams together may have on the way to us."""
OUTBOX_BYTES_MAX = 256 << 10
"""What may wait for the socket before a sender waits himself."""
OUTBOX_BYTES_FATAL = 4 << 20
"""What may wait for the socket at all. Only answers to a peer that asks and does not read come so far."""
CONNECT_SECONDS = 10.0
"""How long connecting, shaking hands under TLS and the server's HELLO may take, each."""
SILENCE_SECONDS = 60.0
"""A server that says nothing for so long is taken for dead. It is told so, and pings if it has nothing else to say."""
SILENCE_SECONDS_MIN = 3.0
"""Less than this counts as this, both ways."""
ATTEMPTS_MAX = 3
"""How often a unary call is tried that the server did not look at."""


class Code(enum.IntEnum):
    """How a call ended: the codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that did not end well."""

    def __init__(
        self,
        code: Code,
        message: str,
        details: Iterable[Tuple[str, bytes]] = (),
        trailing: Iterable[Tuple[str, Union[str, bytes]]] = (),
        unprocessed: bool = False,
    ):
        super().__init__(f"{code.name}: {message}" if message else code.name)
        self.code = code
        self.message = message
        self.details = list(details)
        """Pairs of a type's URL and a message of that type, encoded by Protobuf."""
        self.trailing = list(trailing)
        """The metadata that came with the status."""
        self.unprocessed = unprocessed
        """Nobody has looked at the call: it may be made again whatever it does."""


class Codec(NamedTuple):
    """How messages become bytes, with the number that the protocol gives it."""

    number: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


PROTO = Codec(0, bytes, bytes)
"""Messages are bytes already: those of Protobuf."""
JSON = Codec(1, lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), json.loads)
"""Messages are dictionaries, written as Protobuf's JSON."""


class Client:
    """Calls the methods of one server. All threads may share it."""

    def __init__(
        self,
        target: str,
        *,
        tls: Union[None, bool, ssl.SSLContext] = None,
        server_name: Optional[str] = None,
        codec: Codec = PROTO,
        compression: Optional[str] = None,
        metadata: Metadata = (),
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        window_bytes: int = WINDOW_BYTES,
        connection_window_bytes: int = CONNECTION_WINDOW_BYTES,
        silence_seconds: float = SILENCE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ):
        """`target` is HOST:PORT or unix:PATH. `compression` ("gzip" or "deflate") is that of what we send."""
        self._target = target
        self._tls = tls_context() if tls is True else tls or None
        self._server_name = server_name
        self._codec = codec
        self._compression = compression
        self._metadata = _pairs(metadata)
        self._limits = _Limits(
            message_bytes_max,
            max(window_bytes, WINDOW_BYTES_MIN),
            max(connection_window_bytes, WINDOW_BYTES_MIN),
            silence_seconds and max(silence_seconds, SILENCE_SECONDS_MIN),
            connect_seconds,
        )
        self._lock = threading.Lock()
        self._connection: Optional[_Connection] = None
        self._closed = False

    def unary(self, method: str, request: Any, **options: Any) -> Any:
        """One request, one response. The options are those of `call`."""
        if options.get("timeout") is not None:
            options["deadline"] = time.monotonic() + options.pop("timeout")
        for attempt in itertools.count(1):
            try:
                with self.call(method, **options) as call:
                    call.send(request, last=True)
                    return call.only()
            except RpcError as error:
                if not error.unprocessed or attempt == ATTEMPTS_MAX:
                    raise

    def server_streaming(self, method: str, request: Any, **options: Any) -> Call:
        """One request; the call is an iterator over the responses."""
        call = self.call(method, **options)
        call.send(request, last=True)
        return call

    def client_streaming(self, method: str, requests: Iterable[Any], **options: Any) -> Any:
        """All requests, then one response."""
        with self.call(method, **options) as call:
            for request in requests:
                try:
                    call.send(request)
                except RpcError:
                    # The server has ended the call early; how, stands where the response would.
                    return call.only()
            call.half_close()
            return call.only()

    def bidirectional(self, method: str, **options: Any) -> Call:
        """The call, to send to and receive from."""
        return self.call(method, **options)

    def call(
        self,
        method: str,
        *,
        metadata: Metadata = (),
        timeout: Optional[float] = None,
        deadline: Optional[float] = None,
        codec: Optional[Codec] = None,
        compression: Optional[str] = None,
    ) -> Call:
        """A call of any shape. `method` is `package.Service/Method`; `deadline` is a moment of `time.monotonic()`."""
        if timeout is not None:
            deadline = time.monotonic() + timeout
        codec = codec or self._codec
        stream = _Stream(
            method.lstrip("/"), codec, deadline, _compression_number(compression or self._compression), [*self._metadata, *_pairs(metadata)]
        )
        return Call(self._connected(), stream)

    def ping(self, timeout: float = 5.0) -> float:
        """How many seconds a word to the server and back takes."""
        return self._connected().ping(timeout)

    def close(self) -> None:
        """Cancels what is open and hangs up."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _connected(self) -> _Connection:
        with self._lock:
            if self._closed:
                raise RpcError(Code.CANCELLED, "the client was closed")
            if self._connection is None or not self._connection.takes_calls():
                # One that drains lives on for as long as its calls hold it.
                self._connection = _Connection(self._target, self._tls, self._server_name, self._limits)
            return self._connection


class Call:
    """One call. It may be sent to by one thread and received from by another; `for` iterates over its responses."""

    def __init__(self, connection: _Connection, stream: _Stream):
        self._connection = connection
        self._stream = stream
        self._sending = threading.Lock()

    def send(self, message: Any, last: bool = False) -> None:
        """Sends a message; waits while the server is too slow to take more. RpcError when the call is over."""
        encoded = self._stream.codec.encode(message)
        with self._sending:
            self._connection.send(self._stream, encoded, last)

    def half_close(self) -> None:
        """Says that no message follows."""
        with self._sending:
            self._connection.half_close(self._stream)

    def receive(self) -> Any:
        """Waits for the next response; `None` behind the last. RpcError when the call did not end well."""
        received = self._connection.receive(self._stream)
        return None if received is None else self._decoded(received)

    def only(self) -> Any:
        """The response of a unary or client streaming call."""
        # Not by `receive`: a message of JSON may be `null`.
        received = self._connection.receive(self._stream)
        if received is None:
            raise RpcError(Code.INTERNAL, "the server ended the call well but without a response")
        if self._connection.receive(self._stream) is not None:
            self.cancel()
            raise RpcError(Code.INTERNAL, "the server sent a second response to a call that has one")
        return self._decoded(received)

    def cancel(self) -> None:
        """Tells the server that nobody waits any more. Without effect on a call that is over."""
        self._connection.cancel(self._stream, Code.CANCELLED, "the caller cancelled the call")

    def leading(self) -> Pairs:
        """Waits for the response's leading metadata."""
        return self._connection.leading(self._stream)

    @property
    def trailing(self) -> Pairs:
        """The metadata that came with the status; empty before that."""
        end = self._stream.end
        return [] if end is None else end.trailing

    def _decoded(self, received: bytes) -> Any:
        try:
            return self._stream.codec.decode(received)
        except ValueError as error:
            self.cancel()
            raise RpcError(Code.INTERNAL, f"the response cannot be decoded: {error}") from error

    def __iter__(self) -> Iterator[Any]:
        while True:
            received = self._connection.receive(self._stream)
            if received is None:
                return
            yield self._decoded(received)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: Any) -> None:
        self.cancel()

    def __del__(self) -> None:
        # May run anywhere, also in a thread that holds the connection's lock.
        if self._stream.end is None:
            self._connection.abandon(self._stream)


def tls_context(cacert: Optional[str] = None, cert: Optional[str] = None, key: Optional[str] = None) -> ssl.SSLContext:
    """How to trust a server: by the authorities in the file `cacert`, or by the system's. `cert` and `key` say who we are."""
    context = ssl.create_default_context(cafile=cacert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    if cert:
        context.load_cert_chain(cert, key)
    return context


# The protocol's words.

ALPN = "polywire/1"
PREFACE = b"\xf0PW1"
VERSION = 1


class Kind(enum.IntEnum):
    """What a frame is: the low four bits of its first byte."""

    HELLO = 0
    CALL = 1
    OPEN = 2
    MESSAGE = 3
    HEADERS = 4
    END = 5
    CANCEL = 6
    WINDOW = 7
    PING = 8
    PONG = 9
    GOAWAY = 10


LAST, COMPRESSED, MORE, FIELDS = 0x10, 0x20, 0x40, 0x80
"""The flags: the high four bits."""

STREAM_LIMIT = 1 << 28
PAYLOAD_LIMIT = 1 << 21


class Tag:
    """The fields of a call."""

    TIMEOUT = 1
    LEADING = 2
    CODEC = 3
    COMPRESSION = 4
    ACCEPTS = 5
    AUTHORITY = 6
    CODE = 7
    MESSAGE = 8
    DETAIL = 9
    TRAILING = 10
    UNPROCESSED = 11


class HelloTag:
    """The fields of HELLO."""

    VERSION = 1
    STREAMS_MAX = 2
    FRAME_BYTES_MAX = 3
    MESSAGE_BYTES_MAX = 4
    WINDOW_BYTES = 5
    CONNECTION_WINDOW_BYTES = 6
    SILENCE_MAX_MS = 7
    METHODS_MAX = 8
    NAME = 10
    ACCEPTS = 11


class GoAway:
    """Why a connection ends."""

    NO_ERROR = 0
    PROTOCOL = 1
    LIMIT = 2
    TIMEOUT = 3
    INTERNAL = 4


WINDOW_BYTES_MIN = 65536
"""What a window holds before HELLO says more."""
DEFAULT_HELLO = {
    HelloTag.STREAMS_MAX: 100,
    HelloTag.FRAME_BYTES_MAX: 16384,
    HelloTag.WINDOW_BYTES: WINDOW_BYTES_MIN,
    HelloTag.CONNECTION_WINDOW_BYTES: WINDOW_BYTES_MIN,
    HelloTag.SILENCE_MAX_MS: 0,
    HelloTag.METHODS_MAX: 64,
}
"""What holds before the server's HELLO. It may only say more (but for STREAMS_MAX), so one can speak at once."""

COMPRESSIONS = {"identity": 0, "gzip": 1, "deflate": 2}
COMPRESSION_MAX = 5
"""The protocol knows more than we do; nobody should send us those."""
ACCEPTS = sum(1 << number for number in COMPRESSIONS.values())


class Violation(Exception):
    """The peer broke a rule; the connection cannot go on."""

    def __init__(self, message: str, code: int = GoAway.PROTOCOL):
        super().__init__(message)
        self.code = code


class Frame(NamedTuple):
    """The unit of the wire."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, at: int, bytes_max: int = 8) -> Tuple[int, int]:
    """A varint and where the next thing begins. IndexError when `data` ends before it does."""
    value = 0
    for index in range(bytes_max):
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise Violation("a varint is too long")


def encode_frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Head and payload."""
    return b"".join((bytes([kind | flags]), encode_varint(stream), encode_varint(len(payload)), payload))


def decode_frame(data: bytes, at: int, payload_max: int) -> Optional[Tuple[Frame, int]]:
    """The frame that begins at `at` and where the next one does; `None` when it is not all there."""
    try:
        first = data[at]
        stream, start = decode_varint(data, at + 1, 4)
        length, start = decode_varint(data, start, 3)
    except IndexError:
        return None
    if length > payload_max:
        raise Violation(f"a frame of {length} bytes, {payload_max} are allowed")
    if len(data) < start + length:
        return None
    return Frame(first & 0x0F, first & 0xF0, stream, bytes(data[start : start + length])), start + length


def encode_field(tag: int, value: Union[int, bytes]) -> bytes:
    """One entry of the fields."""
    if isinstance(value, int):
        value = encode_varint(value)
    return encode_varint(tag) + encode_varint(len(value)) + value


def encode_pair(tag: int, key: str, value: Union[str, bytes]) -> bytes:
    """A field of a key and a value: metadata, or a detail with its type."""
    name = key.encode()
    return encode_field(tag, encode_varint(len(name)) + name + (value.encode() if isinstance(value, str) else value))


def decode_fields(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """The entries: tags and values."""
    at = 0
    try:
        while at < len(data):
            tag, at = decode_varint(data, at)
            length, at = decode_varint(data, at)
            if len(data) < at + length:
                raise IndexError
            yield tag, data[at : at + length]
            at += length
    except IndexError:
        raise Violation("fields end in the middle of one") from None


def split_fields(frame: Frame) -> Tuple[bytes, bytes]:
    """The fields and the message of a frame that may have both."""
    if not frame.flags & FIELDS:
        return b"", frame.payload
    try:
        total, at = decode_varint(frame.payload, 0)
    except IndexError:
        total = at = len(frame.payload) + 1
    if len(frame.payload) < at + total:
        raise Violation("fields are longer than their frame")
    return frame.payload[at : at + total], frame.payload[at + total :]


def decode_number(value: bytes) -> int:
    """The number a field holds."""
    try:
        number, at = decode_varint(value, 0)
    except IndexError:
        raise Violation("a field should hold a number and does not") from None
    if at != len(value):
        raise Violation("a field holds more than its number")
    return number


def decode_pair(value: bytes) -> Tuple[str, bytes]:
    """The key, or the type, and the value a field holds."""
    try:
        length, at = decode_varint(value, 0)
    except IndexError:
        length = at = len(value) + 1
    if len(value) < at + length:
        raise Violation("a key is longer than its field")
    return value[at : at + length].decode(errors="replace"), value[at + length :]


def decode_metadata(value: bytes) -> Tuple[str, Union[str, bytes]]:
    """One entry of metadata. ValueError when it is none."""
    key, held = decode_pair(value)
    pair = key, held if key.endswith("-bin") else held.decode()
    _check_pair(*pair)
    return pair


def encode_method(number: int, path: Optional[str]) -> bytes:
    """A reference to a method: by number, or with a path, which gets the number (0: none)."""
    if path is None:
        return encode_varint(number << 1)
    name = path.encode()
    return encode_varint(number << 1 | 1) + encode_varint(len(name)) + name


# What is behind a call.


class _Limits(NamedTuple):
    message_bytes_max: int
    window_bytes: int
    connection_window_bytes: int
    silence_seconds: float
    connect_seconds: float


class _Stream:
    """What a connection knows of a call. Belongs to the connection's lock, but for `end`, which is set once."""

    def __init__(self, path: str, codec: Codec, deadline: Optional[float], compression: int, metadata: Pairs):
        self.path = path
        self.codec = codec
        self.deadline = deadline
        self.compression = compression
        self.metadata = b"".join(encode_pair(Tag.LEADING, key, value) for key, value in metadata)
        habits = [(Tag.CODEC, codec.number), (Tag.COMPRESSION, compression), (Tag.ACCEPTS, ACCEPTS)]
        self.habits = b"".join(encode_field(tag, number) for tag, number in habits if number)
        """The fields that a method's number stands for as well."""
        self.number = 0
        """0: not opened yet."""
        self.half_closed = False
        self.window = 0
        """Bytes we may still send."""
        self.inbox: collections.deque = collections.deque()
        """Messages nobody has received yet: compressed or not, bytes, and how many of them the window has not got back."""
        self.part: Optional[bytearray] = None
        self.part_compressed = False
        self.part_held = 0
        self.granted = 0
        """Bytes the server may still send."""
        self.returned = 0
        """Bytes to give back to its window."""
        self.their_compression = 0
        self.leading: Optional[Pairs] = None
        self.end: Optional[_End] = None
        self.changed: Optional[threading.Condition] = None


class _End(NamedTuple):
    code: Code
    message: str
    details: List[Tuple[str, bytes]]
    trailing: Pairs
    unprocessed: bool

    def check(self) -> None:
        if self.code != Code.OK:
            raise RpcError(self.code, self.message, self.details, self.trailing, self.unprocessed)


class _Connection:
    """One transport with its streams."""

    def __init__(self, target: str, tls: Optional[ssl.SSLContext], server_name: Optional[str], limits: _Limits):
        self._limits = limits
        self._target = target
        self._lock = threading.Lock()
        self._sendable = threading.Condition(self._lock)
        """Notified when windows, the outbox or the number of streams let a sender go on."""
        self._hello: Optional[Dict[int, int]] = None
        self._says = dict(DEFAULT_HELLO)
        self._streams: Dict[int, Optional[_Stream]] = {}
        """By number; `None` is one we cancelled, whose end has not come."""
        self._free: List[int] = []
        self._methods: Dict[Tuple[str, bytes], int] = {}
        """The numbers of paths, with the fields they stand for."""
        self._window = WINDOW_BYTES_MIN
        self._granted = limits.connection_window_bytes
        self._returned = 0
        self._outbox = bytearray()
        self._abandoned: collections.deque = collections.deque()
        self._pings: Dict[bytes, threading.Event] = {}
        self._draining = False
        self._failure: Optional[str] = None
        self._closing = False
        self._hung_up = False

        self._socket, self._tls, self._tls_in, self._tls_out = _connect(target, tls, server_name, limits.connect_seconds)
        self._wake_out, self._wake_in = socket.socketpair()
        for each in (self._socket, self._wake_out, self._wake_in):
            each.setblocking(False)
        self._opened = self._sent = self._heard = time.monotonic()
        hello = (
            encode_field(HelloTag.VERSION, VERSION)
            + encode_field(HelloTag.MESSAGE_BYTES_MAX, limits.message_bytes_max)
            + encode_field(HelloTag.WINDOW_BYTES, limits.window_bytes)
            + encode_field(HelloTag.CONNECTION_WINDOW_BYTES, limits.connection_window_bytes)
            + encode_field(HelloTag.SILENCE_MAX_MS, int(limits.silence_seconds * 1000))
            + encode_field(HelloTag.NAME, b"polywire-python")
            + encode_field(HelloTag.ACCEPTS, ACCEPTS)
        )
        with self._lock:
            self._write(PREFACE + encode_frame(Kind.HELLO, payload=hello))
        threading.Thread(target=self._run, name=f"polywire {target}", daemon=True).start()

    # What calls do.

    def send(self, stream: _Stream, message: bytes, last: bool) -> None:
        compressed = 0
        if stream.compression:
            packed = _compress(stream.compression, message)
            if len(packed) < len(message):
                compressed, message = COMPRESSED, packed
        kind, at = Kind.MESSAGE, 0
        with self._lock:
            if stream.half_closed:
                raise ValueError("the call was half-closed: nothing can be sent any more")
            while True:
                opening = stream.number == 0
                self._wait_to_send(stream, opening, at < len(message))
                if opening:
                    kind = Kind.CALL
                    prefix, fields = self._opening(stream)
                else:
                    prefix, fields = b"", 0
                room = self._says[HelloTag.FRAME_BYTES_MAX] - len(prefix)
                chunk = message[at : at + max(0, min(room, self._window, stream.window))]
                at += len(chunk)
                self._window -= len(chunk)
                stream.window -= len(chunk)
                more = at < len(message)
                flags = compressed | fields | (MORE if more else LAST if last else 0)
                self._write(encode_frame(kind, flags, stream.number, prefix + chunk))
                if not more:
                    stream.half_closed = last
                    return
                kind = Kind.MESSAGE

    def half_close(self, stream: _Stream) -> None:
        with self._lock:
            if not stream.half_closed and stream.end is None:
                if stream.number:
                    self._write(encode_frame(Kind.END, stream=stream.number))
                else:
                    self._open(stream, LAST)
            stream.half_closed = True

    def receive(self, stream: _Stream) -> Optional[bytes]:
        with self._lock:
            self._open(stream)
            while not stream.inbox:
                if stream.end is not None:
                    stream.end.check()
                    return None
                self._wait(stream.changed, stream)
            compressed, message, held = stream.inbox.popleft()
            if not stream.inbox:
                # Of a message that is still coming the reader can take nothing: its bytes must not stop the rest of it.
                held += stream.part_held
                stream.part_held = 0
            self._give_back(stream, held)
            their_compression = stream.their_compression
        if not compressed:
            return message
        try:
            return _decompress(their_compression, message, self._limits.message_bytes_max)
        except RpcError as error:
            self.cancel(stream, error.code, error.message)
            raise

    def leading(self, stream: _Stream) -> Pairs:
        with self._lock:
            self._open(stream)
            while stream.leading is None and stream.end is None:
                self._wait(stream.changed, stream)
            return stream.leading or []

    def cancel(self, stream: _Stream, code: Code, message: str) -> None:
        with self._lock:
            self._cancel(stream, code, message)

    def abandon(self, stream: _Stream) -> None:
        self._abandoned.append(stream)
        self._wake()

    def ping(self, timeout: float) -> float:
        token, event, start = os.urandom(8), threading.Event(), time.monotonic()
        with self._lock:
            self._check_alive()
            self._pings[token] = event
            self._write(encode_frame(Kind.PING, payload=token))
        event.wait(timeout)
        with self._lock:
            if self._pings.pop(token, None) is not None:
                if self._failure is not None:
                    raise RpcError(Code.UNAVAILABLE, self._failure)
                raise RpcError(Code.DEADLINE_EXCEEDED, f"no answer to a ping within {timeout:g} s")
        return time.monotonic() - start

    def takes_calls(self) -> bool:
        with self._lock:
            return self._failure is None and not self._draining

    def close(self) -> None:
        with self._lock:
            for stream in list(self._streams.values()):
                if stream is not None:
                    self._cancel(stream, Code.CANCELLED, "the client was closed")
            if self._failure is None and not self._draining:
                self._write(encode_frame(Kind.GOAWAY, payload=encode_varint(GoAway.NO_ERROR)))
            self._closing = True
            self._wake()

    # Under the lock.

    def _wait_to_send(self, stream: _Stream, opening: bool, bytes_left: bool) -> None:
        while True:
            if stream.end is not None:
                if stream.end.code == Code.OK:
                    raise RpcError(Code.CANCELLED, "the server has ended the call and wants no more messages")
                stream.end.check()
            if opening:
                self._sweep()
                self._check_alive()
                stream_window = self._says[HelloTag.WINDOW_BYTES]
                full = len(self._streams) >= self._says[HelloTag.STREAMS_MAX]
            else:
                stream_window, full = stream.window, False
            windows = not bytes_left or min(self._window, stream_window) > 0
            if windows and not full and len(self._outbox) < OUTBOX_BYTES_MAX:
                return
            self._wait(self._sendable, stream)

    def _wait(self, condition: Optional[threading.Condition], stream: _Stream) -> None:
        """Waits for a change. A call whose deadline passes ends by it."""
        timeout = None
        if stream.deadline is not None:
            timeout = stream.deadline - time.monotonic()
            if timeout <= 0:
                self._cancel(stream, Code.DEADLINE_EXCEEDED, "the call's deadline has passed")
                return
        (condition or self._sendable).wait(timeout)

    def _open(self, stream: _Stream, flags: int = 0) -> None:
        """Opens a call that has no message yet."""
        if stream.number or stream.end is not None:
            return
        self._wait_to_send(stream, True, False)
        payload, fields = self._opening(stream)
        self._write(encode_frame(Kind.OPEN, flags | fields, stream.number, payload))

    def _opening(self, stream: _Stream) -> Tuple[bytes, int]:
        """Gives the stream its number; what the payload of its first frame begins with, and the flag for it."""
        fields = stream.metadata
        if stream.deadline is not None:
            left = max(0, int((stream.deadline - time.monotonic()) * 1_000_000))
            fields = encode_field(Tag.TIMEOUT, left) + fields
        # A number stands for the path and for how its calls are written.
        method = self._methods.get((stream.path, stream.habits))
        number = 0 if len(self._methods) >= self._says[HelloTag.METHODS_MAX] else len(self._methods) + 1
        if method is not None:
            reference = encode_method(method, None)
        else:
            reference = encode_method(number, stream.path)
            fields += stream.habits
        prefix = reference + (encode_varint(len(fields)) + fields if fields else b"")
        if len(prefix) > self._says[HelloTag.FRAME_BYTES_MAX]:
            stream.end = _ended(Code.RESOURCE_EXHAUSTED, f"{len(fields)} bytes of metadata are more than the server takes")
            stream.end.check()
        if method is None and number:
            self._methods[stream.path, stream.habits] = number
        stream.number = heapq.heappop(self._free) if self._free else len(self._streams) + 1
        stream.window = self._says[HelloTag.WINDOW_BYTES]
        stream.granted = self._limits.window_bytes
        stream.changed = threading.Condition(self._lock)
        self._streams[stream.number] = stream
        return prefix, FIELDS if fields else 0

    def _cancel(self, stream: _Stream, code: Code, message: str) -> None:
        if stream.end is not None:
            return
        self._finish(stream, _ended(code, message))
        stream.inbox.clear()
        stream.part = None
        if stream.number:
            self._streams[stream.number] = None
            self._write(encode_frame(Kind.CANCEL, stream=stream.number))

    def _sweep(self) -> None:
        """Cancels the calls that nobody holds any more."""
        while self._abandoned:
            self._cancel(self._abandoned.popleft(), Code.CANCELLED, "the caller is gone")

    def _finish(self, stream: _Stream, end: _End) -> None:
        if stream.end is None:
            stream.end = end
        if stream.changed is not None:
            stream.changed.notify_all()
        self._sendable.notify_all()

    def _free_number(self, number: int) -> None:
        del self._streams[number]
        heapq.heappush(self._free, number)
        self._sendable.notify_all()
        if self._draining and not self._streams:
            self._closing = True

    def _give_back(self, stream: _Stream, count: int) -> None:
        """Returns bytes to the stream's window, half a window at a time."""
        stream.returned += count
        if stream.end is None and stream.returned >= self._limits.window_bytes // 2:
            stream.granted += stream.returned
            self._write(encode_frame(Kind.WINDOW, stream=stream.number, payload=encode_varint(stream.returned)))
            stream.returned = 0

    def _check_alive(self) -> None:
        if self._failure is not None:
            # One that never worked will not work the next time.
            raise RpcError(Code.UNAVAILABLE, self._failure, unprocessed=self._hello is not None)
        if self._draining:
            raise RpcError(Code.UNAVAILABLE, f"{self._target} takes no more calls on this connection", unprocessed=True)
        if self._closing:
            raise RpcError(Code.CANCELLED, "the client was closed")

    def _write(self, data: bytes) -> None:
        if self._failure is not None:
            return
        self._sent = time.monotonic()
        if self._tls is not None:
            self._tls.write(data)
            data = self._tls_out.read()
        self._outbox += data
        if len(self._outbox) == len(data):
            self._flush()
        if self._outbox:
            # The thread waits until the socket takes more.
            self._wake()

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: self._socket.send(self._outbox)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            # What the server said before it hung up may still be there to be read: the reader finds the end.
            self._outbox.clear()

    def _wake(self) -> None:
        try:
            self._wake_in.send(b"\0")
        except OSError:
            # Full: it will wake up anyway. Closed: it has ended.
            pass

    # The thread.

    def _run(self) -> None:
        failure, code = "the connection was closed", None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                selector.register(self._wake_out, selectors.EVENT_READ)
                failure = self._serve(selector)
        except Violation as error:
            failure, code = f"{self._target} broke the protocol: {error}", error.code
        except TimeoutError as error:
            failure, code = f"{self._target}: {error}", GoAway.TIMEOUT
        except OSError as error:
            failure = f"{self._target}: {error}"
        except Exception as error:  # noqa: BLE001 - nobody may wait for a thread that is no more
            failure, code = f"the client failed: {error!r}", GoAway.INTERNAL
        self._end(failure, code)

    def _serve(self, selector: selectors.BaseSelector) -> str:
        """Moves bytes until the connection ends; says why it did."""
        buffer, watched = bytearray(self._read_tls(b"")), selectors.EVENT_READ
        while True:
            with self._lock:
                self._take(buffer)
                self._sweep()
                timeout = self._mind_the_time()
                if self._closing:
                    return "the connection was closed"
                if self._hung_up:
                    return f"{self._target} closed the connection"
                if len(self._outbox) > OUTBOX_BYTES_FATAL:
                    raise Violation("it asks and does not read the answers", GoAway.LIMIT)
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)
            if events != watched:
                selector.modify(self._socket, events)
                watched = events
            for key, ready in selector.select(timeout):
                if key.fileobj is self._wake_out:
                    _drain(self._wake_out)
                    continue
                if ready & selectors.EVENT_WRITE:
                    with self._lock:
                        self._flush()
                        self._sendable.notify_all()
                if ready & selectors.EVENT_READ:
                    try:
                        data = self._socket.recv(65536)
                    except (BlockingIOError, InterruptedError):
                        continue
                    if not data:
                        return f"{self._target} closed the connection"
                    self._heard = time.monotonic()
                    buffer += self._read_tls(data)

    def _read_tls(self, data: bytes) -> bytes:
        if self._tls is None:
            return data
        with self._lock:
            self._tls_in.write(data)
            plain = bytearray()
            try:
                while True:
                    chunk = self._tls.read(65536)
                    if not chunk:
                        break
                    plain += chunk
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                self._hung_up = True
            return bytes(plain)

    def _mind_the_time(self) -> Optional[float]:
        """Does what is due and says when to look again, in seconds."""
        now = time.monotonic()
        due = []
        if self._hello is None:
            due.append(self._opened + self._limits.connect_seconds)
            if now >= due[-1]:
                raise TimeoutError("no HELLO came; does the server speak polywire's native protocol?")
        if self._limits.silence_seconds:
            due.append(self._heard + self._limits.silence_seconds)
            if now >= due[-1]:
                raise TimeoutError(f"nothing was heard for {self._limits.silence_seconds:g} s")
        if self._says[HelloTag.SILENCE_MAX_MS]:
            interval = max(self._says[HelloTag.SILENCE_MAX_MS] / 1000, SILENCE_SECONDS_MIN) / 3
            if now >= self._sent + interval:
                self._write(encode_frame(Kind.PING, payload=bytes(8)))
            due.append(self._sent + interval)
        return max(0.0, min(due) - now) if due else None

    def _end(self, failure: str, code: Optional[int]) -> None:
        with self._lock:
            if code is not None:
                self._write(encode_frame(Kind.GOAWAY, payload=encode_varint(code) + failure.encode()))
            elif self._tls is not None:
                self._say_goodbye()
            self._failure = failure
            for stream in self._streams.values():
                if stream is not None:
                    self._finish(stream, _ended(Code.UNAVAILABLE, failure))
            self._streams.clear()
            for event in self._pings.values():
                event.set()
            self._sendable.notify_all()
            self._flush()
            for each in (self._socket, self._wake_in, self._wake_out):
                each.close()

    def _say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except (ssl.SSLError, OSError):
            # It wants to read the server's goodbye, for which nobody waits.
            pass
        self._outbox += self._tls_out.read()

    # Frames.

    def _take(self, buffer: bytearray) -> None:
        """Handles the whole frames in the buffer and leaves the rest."""
        if self._hello is None and buffer and buffer[0] != Kind.HELLO:
            raise Violation(f"it greets with {bytes(buffer[:16])!r}: this is not polywire's native protocol")
        at = 0
        while True:
            taken = decode_frame(buffer, at, DEFAULT_HELLO[HelloTag.FRAME_BYTES_MAX])
            if taken is None:
                break
            frame, at = taken
            self._handle(frame)
        del buffer[:at]

    def _handle(self, frame: Frame) -> None:
        if frame.kind == Kind.HELLO:
            self._on_hello(frame)
        elif frame.kind == Kind.WINDOW and frame.stream == 0:
            self._window = _widened(self._window, decode_number(frame.payload))
            self._sendable.notify_all()
        elif frame.kind in (Kind.MESSAGE, Kind.HEADERS, Kind.END, Kind.WINDOW):
            if frame.stream not in self._streams:
                raise Violation(f"a frame for stream {frame.stream}, which is not open")
            if frame.kind == Kind.MESSAGE:
                self._on_message(frame, self._streams[frame.stream])
            elif frame.kind == Kind.WINDOW:
                self._on_window(frame, self._streams[frame.stream])
            else:
                self._on_fields(frame, self._streams[frame.stream])
        elif frame.kind == Kind.PING:
            _expect_bytes(frame, 8)
            self._write(encode_frame(Kind.PONG, payload=frame.payload))
        elif frame.kind == Kind.PONG:
            _expect_bytes(frame, 8)
            event = self._pings.pop(frame.payload, None)
            if event is not None:
                event.set()
        elif frame.kind == Kind.GOAWAY:
            self._on_goaway(frame)
        elif frame.kind in (Kind.CALL, Kind.OPEN, Kind.CANCEL):
            raise Violation(f"{Kind(frame.kind).name} comes from clients only")
        # Others may be a later version's; they are skipped.

    def _on_hello(self, frame: Frame) -> None:
        if self._hello is not None or frame.stream:
            raise Violation("a second HELLO, or one on a stream")
        fields = dict(decode_fields(frame.payload))
        version = decode_number(fields[HelloTag.VERSION]) if HelloTag.VERSION in fields else VERSION
        if version != VERSION:
            raise Violation(f"it speaks version {version}, we speak {VERSION}")
        # The name, and fields that are not known, need not be numbers.
        says = {tag: decode_number(value) for tag, value in fields.items() if tag < HelloTag.NAME}
        self._hello = says
        before = dict(self._says)
        for tag, least in DEFAULT_HELLO.items():
            self._says[tag] = max(least, self._hello.get(tag, 0))
        self._says[HelloTag.STREAMS_MAX] = max(1, self._hello.get(HelloTag.STREAMS_MAX, DEFAULT_HELLO[HelloTag.STREAMS_MAX]))
        self._says[HelloTag.FRAME_BYTES_MAX] = min(self._says[HelloTag.FRAME_BYTES_MAX], PAYLOAD_LIMIT - 1)
        # Streams that did not wait for it have the smaller window so far.
        self._window = _widened(self._window, self._says[HelloTag.CONNECTION_WINDOW_BYTES] - before[HelloTag.CONNECTION_WINDOW_BYTES])
        for stream in self._streams.values():
            if stream is not None:
                stream.window = _widened(stream.window, self._says[HelloTag.WINDOW_BYTES] - before[HelloTag.WINDOW_BYTES])
        self._sendable.notify_all()

    def _on_message(self, frame: Frame, stream: Optional[_Stream]) -> None:
        # A frame that continues a message has no fields.
        fields, chunk = split_fields(frame) if stream is None or stream.part is None else (b"", frame.payload)
        last, more = frame.flags & LAST, frame.flags & MORE
        if last and more:
            raise Violation("a last message that goes on")
        # What we throw away counts as well; memory is bounded by the streams' windows.
        self._granted -= len(chunk)
        self._returned += len(chunk)
        if self._granted < 0:
            raise Violation("more bytes than the connection's window allows")
        if self._returned >= self._limits.connection_window_bytes // 2:
            self._granted += self._returned
            self._write(encode_frame(Kind.WINDOW, payload=encode_varint(self._returned)))
            self._returned = 0
        if stream is not None:
            stream.granted -= len(chunk)
            if stream.granted < 0:
                raise Violation("more bytes than the stream's window allows")
            end = self._note_fields(stream, fields)
            if stream.end is None:
                self._take_chunk(stream, frame, chunk, bool(more))
            if last:
                self._finish(stream, end)
        if last:
            self._free_number(frame.stream)

    def _take_chunk(self, stream: _Stream, frame: Frame, chunk: bytes, more: bool) -> None:
        if stream.part is None:
            stream.part = bytearray()
            stream.part_compressed = bool(frame.flags & COMPRESSED)
        stream.part += chunk
        stream.part_held += len(chunk)
        if len(stream.part) > self._limits.message_bytes_max:
            text = f"a response is longer than the {self._limits.message_bytes_max} bytes that are allowed"
            return self._cancel(stream, Code.RESOURCE_EXHAUSTED, text)
        if more:
            if not stream.inbox:
                held, stream.part_held = stream.part_held, 0
                self._give_back(stream, held)
            return None
        stream.inbox.append((stream.part_compressed, bytes(stream.part), stream.part_held))
        stream.part, stream.part_held = None, 0
        if stream.leading is None:
            stream.leading = []
        stream.changed.notify_all()
        return None

    def _on_fields(self, frame: Frame, stream: Optional[_Stream]) -> None:
        """HEADERS or END."""
        if stream is not None:
            if frame.kind == Kind.HEADERS and (stream.leading is not None or stream.part is not None):
                raise Violation("HEADERS behind HEADERS or a message")
            end = self._note_fields(stream, frame.payload)
            if frame.kind == Kind.END:
                if stream.part is not None and end.code == Code.OK:
                    end = _ended(Code.INTERNAL, "the server ended the call well in the middle of a response")
                self._finish(stream, end)
            elif stream.leading is None:
                stream.leading = []
            stream.changed.notify_all()
        if frame.kind == Kind.END:
            self._free_number(frame.stream)

    def _note_fields(self, stream: _Stream, data: bytes) -> _End:
        """Keeps the leading metadata; returns how the call ends, if it does. What concerns only the call ends only the call."""
        try:
            return self._read_fields(stream, data)
        except ValueError as error:
            self._cancel(stream, Code.INTERNAL, f"the server said something wrong about the call: {error}")
            return stream.end or _ended(Code.OK, "")

    def _read_fields(self, stream: _Stream, data: bytes) -> _End:
        leading: Pairs = []
        trailing: Pairs = []
        details: List[Tuple[str, bytes]] = []
        code, message, unprocessed = Code.OK, "", False
        for tag, value in decode_fields(data):
            if tag == Tag.LEADING:
                leading.append(decode_metadata(value))
            elif tag == Tag.COMPRESSION:
                stream.their_compression = decode_number(value)
                if stream.their_compression > COMPRESSION_MAX:
                    raise ValueError(f"compression {stream.their_compression} is unknown")
            elif tag == Tag.CODE:
                number = decode_number(value)
                code = Code(number) if number in Code.__members__.values() else Code.UNKNOWN
            elif tag == Tag.MESSAGE:
                message = value.decode(errors="replace")
            elif tag == Tag.DETAIL:
                details.append(decode_pair(value))
            elif tag == Tag.TRAILING:
                trailing.append(decode_metadata(value))
            elif tag == Tag.UNPROCESSED:
                unprocessed = True
        if leading and stream.leading is None:
            stream.leading = leading
        return _End(code, message, details, trailing, unprocessed)

    def _on_window(self, frame: Frame, stream: Optional[_Stream]) -> None:
        count = decode_number(frame.payload)
        if stream is not None:
            stream.window = _widened(stream.window, count)
            self._sendable.notify_all()

    def _on_goaway(self, frame: Frame) -> None:
        try:
            code, at = decode_varint(frame.payload, 0)
        except IndexError:
            raise Violation("GOAWAY without a code") from None
        if code != GoAway.NO_ERROR:
            raise ConnectionError(f"the server gave up: {frame.payload[at:].decode(errors='replace')} (code {code})")
        if not self._draining:
            # Bytes are in order: it knows by this that no call is on its way.
            self._write(encode_frame(Kind.GOAWAY, payload=encode_varint(GoAway.NO_ERROR)))
        self._draining = True
        self._closing = self._closing or not self._streams
        self._sendable.notify_all()


def _connect(target: str, tls: Optional[ssl.SSLContext], server_name: Optional[str], timeout: float):
    """The socket, and for TLS its engine with what it reads from and writes to."""
    host = "localhost"
    try:
        if target.startswith("unix:"):
            connected = socket.socket(socket.AF_UNIX)
            try:
                connected.settimeout(timeout)
                connected.connect(target[len("unix:") :])
            except OSError:
                connected.close()
                raise
        else:
            host, port = _host_and_port(target)
            connected = socket.create_connection((host, port), timeout)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise RpcError(Code.UNAVAILABLE, f"cannot connect to {target}: {error}") from error
    if tls is None:
        return connected, None, None, None
    try:
        # Not a wrapped socket: two threads must not be inside of one, one that reads and one that writes. This one is
        # only touched under the lock and never waits.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = tls.wrap_bio(incoming, outgoing, server_hostname=server_name or host)
        while True:
            try:
                engine.do_handshake()
                connected.sendall(outgoing.read())
                return connected, engine, incoming, outgoing
            except ssl.SSLWantReadError:
                connected.sendall(outgoing.read())
                data = connected.recv(65536)
                if not data:
                    raise ConnectionError("the server hung up; does it speak TLS here?") from None
                incoming.write(data)
    except OSError as error:
        connected.close()
        raise RpcError(Code.UNAVAILABLE, f"no TLS with {target}: {error}") from error


def _host_and_port(target: str) -> Tuple[str, int]:
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{target!r} is no address: HOST:PORT or unix:PATH")
    return host.strip("[]") or "localhost", int(port)


def _pairs(metadata: Metadata) -> Pairs:
    pairs = list(metadata.items() if isinstance(metadata, dict) else metadata)
    for key, value in pairs:
        _check_pair(key, value)
    return pairs


def _check_pair(key: str, value: Union[str, bytes]) -> None:
    if not key or not all(char in "0123456789abcdefghijklmnopqrstuvwxyz_-." for char in key):
        raise ValueError(f"{key!r} is no key of metadata: lower-case letters, digits and _-. are allowed")
    if isinstance(value, bytes) != key.endswith("-bin"):
        raise ValueError(f"{key!r}: keys that end in -bin have values of bytes, all others text")
    if isinstance(value, str) and not all(" " <= char <= "~" for char in value):
        raise ValueError(f"{key!r}: the value is not printable ASCII; use a key that ends in -bin")


def _ended(code: Code, message: str) -> _End:
    return _End(code, message, [], [], False)


def _widened(window: int, count: int) -> int:
    if window + count >= 1 << 31:
        raise Violation("a window beyond 2^31 - 1")
    return window + count


def _expect_bytes(frame: Frame, count: int) -> None:
    if len(frame.payload) != count:
        raise Violation(f"{Kind(frame.kind).name} of {len(frame.payload)} bytes instead of {count}")


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except (BlockingIOError, InterruptedError):
        pass


def _compression_number(name: Optional[str]) -> int:
    try:
        return COMPRESSIONS[name or "identity"]
    except KeyError:
        raise ValueError(f"{name!r} is no compression: {', '.join(COMPRESSIONS)}") from None


def _compress(number: int, message: bytes) -> bytes:
    return gzip.compress(message, 2, mtime=0) if number == COMPRESSIONS["gzip"] else zlib.compress(message, 2)


def _decompress(number: int, message: bytes, bytes_max: int) -> bytes:
    if number not in (COMPRESSIONS["gzip"], COMPRESSIONS["deflate"]):
        raise RpcError(Code.INTERNAL, f"the server compressed a response (compression {number}), which nobody allowed")
    engine = zlib.decompressobj(31 if number == COMPRESSIONS["gzip"] else 15)
    try:
        # One byte more than allowed tells what is just long enough from what is too long.
        plain = engine.decompress(message, bytes_max + 1)
    except zlib.error as error:
        raise RpcError(Code.INTERNAL, f"a response cannot be decompressed: {error}") from error
    if len(plain) > bytes_max:
        raise RpcError(Code.RESOURCE_EXHAUSTED, f"a response is longer than the {bytes_max} bytes that are allowed")
    if not engine.eof or engine.unused_data:
        raise RpcError(Code.INTERNAL, "a response cannot be decompressed: it has too few bytes, or too many")
    return plain


# The command.


def main(arguments: Optional[List[str]] = None) -> int:
    """Makes one call. The exit code is 0, or 64 and the code of the status, or 2 when the command is wrong."""
    parser = argparse.ArgumentParser(description="Makes a call over polywire's native protocol, with messages of JSON.")
    parser.add_argument("target", help="HOST:PORT or unix:PATH")
    parser.add_argument("method", help="package.Service/Method")
    parser.add_argument(
        "messages", nargs="*", help="requests of JSON; - reads them from standard input, one a line; none is the same as {}"
    )
    parser.add_argument("-H", "--header", action="append", default=[], metavar="KEY:VALUE", help="metadata; -bin values in base64")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the metadata of the response")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for the whole call")
    parser.add_argument("--compression", choices=list(COMPRESSIONS), help="of the requests")
    parser.add_argument("--tls", action="store_true", help="under TLS")
    parser.add_argument("--cacert", metavar="FILE", help="whom to believe under TLS; the system's authorities otherwise")
    parser.add_argument("--cert", metavar="FILE", help="the client's certificate")
    parser.add_argument("--key", metavar="FILE", help="its key")
    parser.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate, if it is not HOST")
    options = parser.parse_args(arguments)
    try:
        return _make_call(options)
    except RpcError as error:
        print(f"error: {error}", file=sys.stderr)
        for type_url, value in error.details:
            print(f"detail: {type_url} {base64.b64encode(value).decode()}", file=sys.stderr)
        return 64 + error.code
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _make_call(options: argparse.Namespace) -> int:
    tls = tls_context(options.cacert, options.cert, options.key) if options.tls or options.cacert else None
    metadata = []
    for header in options.header:
        key, colon, value = header.partition(":")
        if not colon:
            raise ValueError(f"-H {header}: expected KEY:VALUE")
        key, value = key.strip().lower(), value.strip()
        metadata.append((key, base64.b64decode(value + "==") if key.endswith("-bin") else value))
    texts = options.messages or ["{}"]
    if texts != ["-"]:
        requests: Iterable[Any] = [_json(text) for text in texts]
    else:
        requests = (_json(line) for line in sys.stdin if line.strip())
    with Client(options.target, tls=tls, server_name=options.server_name, codec=JSON, compression=options.compression) as client:
        call = client.call(options.method, metadata=metadata, timeout=options.timeout)
        if texts == ["-"]:
            # Responses are shown while requests are still being typed.
            threading.Thread(target=_send_all, args=(call, requests), daemon=True).start()
        else:
            *before, last = requests
            for request in before:
                call.send(request)
            call.send(last, last=True)
        try:
            if options.verbose:
                _show("leading", call.leading())
            for response in call:
                print(json.dumps(response, ensure_ascii=False), flush=True)
        finally:
            if options.verbose:
                _show("trailing", call.trailing)
    return 0


def _send_all(call: Call, requests: Iterable[Any]) -> None:
    try:
        for request in requests:
            call.send(request)
        call.half_close()
    except RpcError:
        pass  # Whoever receives learns of it.
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        call.cancel()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not JSON: {error}") from None


def _show(what: str, metadata: Pairs) -> None:
    for key, value in metadata:
        text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        print(f"{what}: {key}: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
