#!/usr/bin/env python3
"""Holds our HPACK against the one of python-hyper, both ways.

    pip install hpack==4.2.0
    tests/hpack/vectors.py write                                # theirs.txt: stories and their encoder's blocks
    HPACK_VECTORS=write cargo test -p polywire-engine vectors   # ours.txt: our encoder's blocks for the same stories
    tests/hpack/vectors.py check                                # their decoder reads our blocks

`cargo test` alone checks that our decoder reads their blocks, and that our encoder still writes what was checked.

A story is the life of one connection. Its lines:

    story NAME
    limit N           the decoder's limit, and what the encoder was told, from here on
    block HEX         in theirs.txt, followed by its fields
    - NAME: VALUE     a field; `!` instead of `-` if it may never be indexed

Names and values are written as Rust and Python write bytes, with `\\xNN` for what is not plain.
"""

import pathlib
import random
import sys

from hpack import Decoder, Encoder
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple

HERE = pathlib.Path(__file__).parent
THEIRS = HERE / "theirs.txt"
OURS = HERE / "ours.txt"


def stories():
    """Yields (name, huffman, steps); a step is a limit or a list of (name, value, sensitive)."""
    request = [
        (b":method", b"POST", False),
        (b":scheme", b"http", False),
        (b":path", b"/orders.v1.OrdersService/Create", False),
        (b":authority", b"orders.example.com:8080", False),
        (b"te", b"trailers", False),
        (b"content-type", b"application/grpc", False),
        (b"user-agent", b"grpc-python/1.60 (linux; chttp2)", False),
    ]
    response = [
        (b":status", b"200", False),
        (b"content-type", b"application/grpc", False),
        (b"grpc-accept-encoding", b"identity,gzip,zstd", False),
    ]
    trailers = [(b"grpc-status", b"0", False), (b"grpc-message", b"", False)]
    for huffman in (False, True):
        name = "huffman" if huffman else "plain"
        yield f"{name}: calls", huffman, [request, request, request, response, trailers] * 2
        steps = []
        for number in range(6):
            timeout = [(b"grpc-timeout", b"%du" % (1_000_000 - 13 * number), False)]
            secret = [(b"authorization", b"Bearer %x" % (number // 3), True)]
            steps.append(request + timeout + secret)
        yield f"{name}: varying and secret fields", huffman, steps
        yield f"{name}: table sizes", huffman, [
            request, request, 100, request, request, 0, request, 4096, request, request, response,
        ]  # fmt: skip
        yield f"{name}: anything", huffman, list(anything(random.Random(name)))


def anything(rng):
    names = [b":path", b":status", b"cookie", b"x-a", b"x-b", b"x-" + bytes(rng.randbytes(30))]
    values = [b"", b"/", b"404", b"gzip, deflate", b"a" * 70, bytes(range(256))]
    for _ in range(16):
        if rng.random() < 0.1:
            yield rng.choice([0, 64, 200, 4096])
        fields = []
        for _ in range(rng.randrange(8)):
            name = rng.choice(names)
            value = rng.choice(values) if rng.random() < 0.8 else rng.randbytes(rng.randrange(40))
            # Their encoder writes an index for a secret that is in a table; ours does not.
            sensitive = rng.random() < 0.1
            fields.append((b"x-secret" if sensitive else name, value, sensitive))
        yield fields


def write():
    lines = ["# Written by vectors.py, which explains it."]
    for name, huffman, steps in stories():
        lines.append(f"story {name}")
        encoder = Encoder()
        for step in steps:
            if isinstance(step, int):
                encoder.header_table_size = step
                lines.append(f"limit {step}")
                continue
            block = encoder.encode(
                [(NeverIndexedHeaderTuple if s else HeaderTuple)(n, v) for n, v, s in step],
                huffman=huffman,
            )
            lines.append(f"block {block.hex()}")
            for field, value, sensitive in step:
                lines.append(f"{'!' if sensitive else '-'} {escape(field)}: {escape(value)}")
    THEIRS.write_text("\n".join(lines) + "\n")


def check():
    ours = iter(OURS.read_text().splitlines()[1:])
    blocks = 0
    for name, _, steps in stories():
        assert next(ours) == f"story {name}"
        decoder = Decoder(max_header_list_size=1 << 20)
        for step in steps:
            if isinstance(step, int):
                decoder.max_allowed_table_size = step
                continue
            kind, _, block = next(ours).partition(" ")
            assert kind == "block"
            decoded = decoder.decode(bytes.fromhex(block), raw=True)
            fields = [(n, v, not field.indexable) for field in decoded for n, v in [field]]
            assert fields == step, (name, fields, step)
            blocks += 1
    assert next(ours, None) is None
    print(f"{blocks} blocks read as they were meant")


def escape(text):
    """As Rust's `escape_ascii`."""
    plain = {0x5C: "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x27: "\\'"}
    return "".join(
        plain.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in text
    )


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]]()
