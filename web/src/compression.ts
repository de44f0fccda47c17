// Compression of messages, with what browsers and Node bring along.

import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

/** The protocol's numbers, by the names that everybody uses. */
export const COMPRESSION_NUMBERS: Readonly<Record<string, number>> = {
  identity: 0,
  gzip: 1,
  deflate: 2,
  zstd: 3,
  br: 4,
  snappy: 5,
};

/** gzip, by the platform's streams. */
export const gzip: Compression = platformCompression("gzip");

function platformCompression(name: "gzip"): Compression {
  return {
    name,
    compress: (bytes) => through(bytes, new CompressionStream(name), Number.MAX_SAFE_INTEGER),
    decompress: (bytes, readMaxBytes) => through(bytes, new DecompressionStream(name), readMaxBytes),
  };
}

async function through(
  bytes: Uint8Array,
  transform: { readable: ReadableStream; writable: WritableStream },
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const writer = transform.writable.getWriter();
  // What goes wrong there shows at the reading end.
  writer.write(bytes).catch(() => {});
  writer.close().catch(() => {});
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = (transform.readable as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel();
      throw new ConnectError(`a message is larger than the ${bytesMax} bytes that are allowed`, Code.ResourceExhausted);
    }
    pieces.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
