"""Writes the lines of vectors.txt that Python's encoders make.

pip install zstandard brotli python-snappy
python vectors.py
"""

import gzip
import zlib

import brotli
import snappy
import zstandard

MESSAGES = {
    "empty": b"",
    "short": b"hello, polywire",
    "repeats": b"polywire " * 5000,
}


def zstd_stream(message: bytes) -> bytes:
    """Without the content's size, and with a checksum."""
    encoder = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compressobj()
    return encoder.compress(message) + encoder.flush()


ENCODERS = [
    ("gzip", "python", lambda m: gzip.compress(m, mtime=0)),
    # Two members make one message.
    ("gzip", "python-members", lambda m: gzip.compress(m[:7], mtime=0) + gzip.compress(m[7:], mtime=0)),
    ("deflate", "python", zlib.compress),
    ("zstd", "python", zstandard.ZstdCompressor().compress),
    ("zstd", "python-stream", zstd_stream),
    ("br", "python", brotli.compress),
    ("snappy", "python", snappy.StreamCompressor().add_chunk),
]

for compression, encoder, compress in ENCODERS:
    for name, message in MESSAGES.items():
        if compression == "snappy":
            compress = snappy.StreamCompressor().add_chunk
        print(compression, encoder, name, compress(message).hex() or "-")
