// The native protocol's bytes: frames, fields, hello. `docs/native-protocol.md` says what they mean; nothing here
// keeps state but the reader's unfinished frame.

import { ByteReader, ByteWriter, text, utf8 } from "./bytes.js";

/** What a connecting side says before anything else. */
export const PREFACE = Uint8Array.of(0xf0, 0x50, 0x57, 0x31);

export const Kind = {
  Hello: 0,
  Call: 1,
  Open: 2,
  Message: 3,
  Headers: 4,
  End: 5,
  Cancel: 6,
  Window: 7,
  Ping: 8,
  Pong: 9,
  GoAway: 10,
} as const;

export const Flag = {
  /** The sender's last message of this stream. */
  Last: 0x10,
  /** The message is compressed, with the compression named in the fields. */
  Compressed: 0x20,
  /** The message goes on in the stream's next frame. */
  More: 0x40,
  /** Fields stand before the message. */
  Fields: 0x80,
} as const;

export const GoAwayCode = {
  None: 0,
  Protocol: 1,
  Limit: 2,
  Timeout: 3,
  Internal: 4,
} as const;

/** A stream's number has at most 28 bits, a payload's length at most 21: a head has at most 8 bytes. */
export const STREAM_NUMBER_MAX = 2 ** 28 - 1;
export const PAYLOAD_BYTES_MAX = 2 ** 21 - 1;

/** The peer broke a rule of the protocol, or a limit; the connection ends with this code and text. */
export class PeerMisbehaved extends Error {
  readonly code: number;

  constructor(message: string, code: number = GoAwayCode.Protocol) {
    super(message);
    this.name = "PeerMisbehaved";
    this.code = code;
  }
}

export interface Frame {
  readonly kind: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

export function writeFrame(out: ByteWriter, kind: number, flags: number, stream: number, payload: Uint8Array): void {
  writeFrameHead(out, kind, flags, stream, payload.length);
  out.bytes(payload);
}

/** The payload of `length` bytes must follow. */
export function writeFrameHead(out: ByteWriter, kind: number, flags: number, stream: number, length: number): void {
  out.byte(kind | flags);
  out.varint(stream);
  out.varint(length);
}

/** Cuts bytes into frames. A frame may come in any number of pieces. */
export class FrameReader {
  readonly #payloadBytesMax: number;
  #bytes: Uint8Array = new Uint8Array();

  constructor(payloadBytesMax: number) {
    this.#payloadBytesMax = payloadBytesMax;
  }

  /** The frames that are complete with these bytes. Throws `PeerMisbehaved`. */
  *read(bytes: Uint8Array): Generator<Frame, void> {
    if (this.#bytes.length === 0) {
      this.#bytes = bytes;
    } else {
      const joined = new Uint8Array(this.#bytes.length + bytes.length);
      joined.set(this.#bytes);
      joined.set(bytes, this.#bytes.length);
      this.#bytes = joined;
    }
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) break;
      yield frame;
    }
    // The message these bytes came in should not be kept alive by what is left of it.
    this.#bytes = this.#bytes.slice();
  }

  #next(): Frame | undefined {
    const bytes = this.#bytes;
    const first = bytes[0];
    if (first === undefined) return undefined;
    const stream = headVarint(bytes, 1, 4, "the stream's number");
    if (stream === undefined) return undefined;
    const length = headVarint(bytes, stream.end, 3, "the payload's length");
    if (length === undefined) return undefined;
    if (length.value > this.#payloadBytesMax) {
      throw new PeerMisbehaved(
        `a frame of ${length.value} bytes where at most ${this.#payloadBytesMax} are allowed`,
        GoAwayCode.Protocol,
      );
    }
    const end = length.end + length.value;
    if (bytes.length < end) return undefined;
    this.#bytes = bytes.subarray(end);
    return {
      kind: first & 0x0f,
      flags: first & 0xf0,
      stream: stream.value,
      payload: bytes.subarray(length.end, end),
    };
  }
}

function headVarint(bytes: Uint8Array, at: number, bytesMax: number, what: string): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < bytesMax; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  throw new PeerMisbehaved(`${what} takes more than ${bytesMax} bytes`);
}

/** A key and its value. The value of a key that ends in "-bin" is any bytes, of another one text. */
export type MetadataEntry = readonly [key: string, value: Uint8Array];

export interface StatusDetail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** What may stand before a message, and what headers and ends consist of. */
export interface CallFields {
  timeoutMicros?: number;
  leading?: MetadataEntry[];
  codec?: number;
  compression?: number;
  /** Bit n stands for the compression with number n. */
  accepted?: number;
  authority?: string;
  code?: number;
  message?: string;
  details?: StatusDetail[];
  trailing?: MetadataEntry[];
  /** The call was not begun and may be made again. */
  unprocessed?: boolean;
}

const CallTag = {
  Timeout: 1,
  Leading: 2,
  Codec: 3,
  Compression: 4,
  Accepted: 5,
  Authority: 6,
  Code: 7,
  Message: 8,
  Detail: 9,
  Trailing: 10,
  Unprocessed: 11,
} as const;

/** The entries alone, without their total. The timeout stands first, and next what a method's number stands for: so what differs
 * from call to call is at both ends. */
export function encodeCallFields(fields: CallFields): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  writeInteger(out, CallTag.Timeout, fields.timeoutMicros);
  writeInteger(out, CallTag.Codec, fields.codec);
  writeInteger(out, CallTag.Compression, fields.compression);
  writeInteger(out, CallTag.Accepted, fields.accepted);
  writeText(out, CallTag.Authority, fields.authority);
  for (const entry of fields.leading ?? []) writeNamed(out, CallTag.Leading, utf8(entry[0]), entry[1]);
  writeInteger(out, CallTag.Code, fields.code);
  writeText(out, CallTag.Message, fields.message);
  for (const detail of fields.details ?? []) writeNamed(out, CallTag.Detail, utf8(detail.typeUrl), detail.value);
  for (const entry of fields.trailing ?? []) writeNamed(out, CallTag.Trailing, utf8(entry[0]), entry[1]);
  if (fields.unprocessed === true) writeEntry(out, CallTag.Unprocessed, new Uint8Array());
  return out.take();
}

/** Throws `PeerMisbehaved`. */
export function decodeCallFields(bytes: Uint8Array): CallFields {
  const fields: CallFields = {};
  decodeEntries(bytes, (tag, value) => {
    switch (tag) {
      case CallTag.Timeout:
        fields.timeoutMicros = integer(value);
        break;
      case CallTag.Leading:
        (fields.leading ??= []).push(named(value));
        break;
      case CallTag.Codec:
        fields.codec = integer(value);
        break;
      case CallTag.Compression:
        fields.compression = integer(value);
        break;
      case CallTag.Accepted:
        fields.accepted = integer(value);
        break;
      case CallTag.Authority:
        fields.authority = text(value);
        break;
      case CallTag.Code:
        fields.code = integer(value);
        break;
      case CallTag.Message:
        fields.message = text(value);
        break;
      case CallTag.Detail: {
        const [typeUrl, detail] = named(value);
        (fields.details ??= []).push({ typeUrl, value: detail });
        break;
      }
      case CallTag.Trailing:
        (fields.trailing ??= []).push(named(value));
        break;
      case CallTag.Unprocessed:
        fields.unprocessed = true;
        break;
    }
  });
  return fields;
}

/** A payload's fields and the message behind them. Throws `PeerMisbehaved`. */
export function splitFields(payload: Uint8Array, flags: number): [fields: CallFields | undefined, message: Uint8Array] {
  if ((flags & Flag.Fields) === 0) return [undefined, payload];
  return malformedIsMisbehaviour(() => {
    const reader = new ByteReader(payload);
    const fields = decodeCallFields(reader.bytes(reader.varint()));
    return [fields, reader.rest()];
  });
}

/** What each side tells the other first. */
export interface Hello {
  version: number;
  streamsMax: number;
  frameBytesMax: number;
  /** For information; 0 if the peer does not say. */
  messageBytesMax: number;
  windowBytes: number;
  connectionWindowBytes: number;
  /** 0: never. */
  silenceMaxMs: number;
  methodsMax: number;
  name: string;
  /** The compressions this side takes; bit n stands for the compression with number n. */
  accepted: number;
}

/** What holds until a hello has come, and what one that says nothing means. */
export const HELLO_DEFAULTS: Readonly<Hello> = {
  version: 1,
  streamsMax: 100,
  frameBytesMax: 16384,
  messageBytesMax: 0,
  windowBytes: 65536,
  connectionWindowBytes: 65536,
  silenceMaxMs: 0,
  methodsMax: 64,
  name: "",
  accepted: 1,
};

const HelloTag = {
  Version: 1,
  StreamsMax: 2,
  FrameBytesMax: 3,
  MessageBytesMax: 4,
  WindowBytes: 5,
  ConnectionWindowBytes: 6,
  SilenceMaxMs: 7,
  MethodsMax: 8,
  Name: 10,
  Accepted: 11,
} as const;

/** The entries: the version, and what differs from the defaults. */
export function encodeHello(hello: Hello): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  const differing = (tag: number, value: number, standard: number) => {
    if (value !== standard) writeInteger(out, tag, value);
  };
  writeInteger(out, HelloTag.Version, hello.version);
  differing(HelloTag.StreamsMax, hello.streamsMax, HELLO_DEFAULTS.streamsMax);
  differing(HelloTag.FrameBytesMax, hello.frameBytesMax, HELLO_DEFAULTS.frameBytesMax);
  differing(HelloTag.MessageBytesMax, hello.messageBytesMax, HELLO_DEFAULTS.messageBytesMax);
  differing(HelloTag.WindowBytes, hello.windowBytes, HELLO_DEFAULTS.windowBytes);
  differing(HelloTag.ConnectionWindowBytes, hello.connectionWindowBytes, HELLO_DEFAULTS.connectionWindowBytes);
  differing(HelloTag.SilenceMaxMs, hello.silenceMaxMs, HELLO_DEFAULTS.silenceMaxMs);
  differing(HelloTag.MethodsMax, hello.methodsMax, HELLO_DEFAULTS.methodsMax);
  if (hello.name !== "") writeText(out, HelloTag.Name, hello.name);
  differing(HelloTag.Accepted, hello.accepted, HELLO_DEFAULTS.accepted);
  return out.take();
}

/** Throws `PeerMisbehaved`. What may not be less than its default is raised to it. */
export function decodeHello(bytes: Uint8Array): Hello {
  const hello: Hello = { ...HELLO_DEFAULTS, version: 0 };
  decodeEntries(bytes, (tag, value) => {
    switch (tag) {
      case HelloTag.Version:
        hello.version = integer(value);
        break;
      case HelloTag.StreamsMax:
        hello.streamsMax = Math.max(integer(value), 1);
        break;
      case HelloTag.FrameBytesMax:
        hello.frameBytesMax = Math.min(Math.max(integer(value), HELLO_DEFAULTS.frameBytesMax), PAYLOAD_BYTES_MAX);
        break;
      case HelloTag.MessageBytesMax:
        hello.messageBytesMax = integer(value);
        break;
      case HelloTag.WindowBytes:
        hello.windowBytes = Math.max(integer(value), HELLO_DEFAULTS.windowBytes);
        break;
      case HelloTag.ConnectionWindowBytes:
        hello.connectionWindowBytes = Math.max(integer(value), HELLO_DEFAULTS.connectionWindowBytes);
        break;
      case HelloTag.SilenceMaxMs:
        hello.silenceMaxMs = integer(value);
        // Less than that would be pings all day.
        if (hello.silenceMaxMs > 0) hello.silenceMaxMs = Math.max(hello.silenceMaxMs, 3_000);
        break;
      case HelloTag.MethodsMax:
        hello.methodsMax = Math.max(integer(value), HELLO_DEFAULTS.methodsMax);
        break;
      case HelloTag.Name:
        hello.name = text(value);
        break;
      case HelloTag.Accepted:
        hello.accepted = integer(value);
        break;
    }
  });
  return hello;
}

/** Which method a call is for: by its number alone, or by its path with the number it gets (0: none). */
export function encodeMethod(number: number, path?: string): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter(8 + 3 * (path?.length ?? 0));
  if (path === undefined) {
    out.varint(number * 2);
  } else {
    const bytes = utf8(path);
    out.varint(number * 2 + 1);
    out.varint(bytes.length);
    out.bytes(bytes);
  }
  return out.take();
}

export function encodeVarint(value: number): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter(8);
  out.varint(value);
  return out.take();
}

/** Throws `PeerMisbehaved`. */
export function decodeWindow(payload: Uint8Array): number {
  return integer(payload);
}

export function encodeGoAway(code: number, message: string): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  out.varint(code);
  out.bytes(utf8(message));
  return out.take();
}

/** Throws `PeerMisbehaved`. */
export function decodeGoAway(payload: Uint8Array): { code: number; message: string } {
  return malformedIsMisbehaviour(() => {
    const reader = new ByteReader(payload);
    return { code: reader.varint(), message: text(reader.rest()) };
  });
}

function decodeEntries(bytes: Uint8Array, entry: (tag: number, value: Uint8Array) => void): void {
  malformedIsMisbehaviour(() => {
    const reader = new ByteReader(bytes);
    while (!reader.isEmpty) {
      const tag = reader.varint();
      entry(tag, reader.bytes(reader.varint()));
    }
  });
}

function integer(value: Uint8Array): number {
  return malformedIsMisbehaviour(() => {
    const reader = new ByteReader(value);
    const number = reader.varint();
    if (!reader.isEmpty) throw new RangeError("bytes behind an integer");
    return number;
  });
}

function named(value: Uint8Array): [string, Uint8Array] {
  const reader = new ByteReader(value);
  const name = text(reader.bytes(reader.varint()));
  // A copy, because it outlives the message of the WebSocket it came in.
  return [name, reader.rest().slice()];
}

function malformedIsMisbehaviour<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new PeerMisbehaved(`malformed fields: ${error.message}`);
    throw error;
  }
}

function writeEntry(out: ByteWriter, tag: number, value: Uint8Array): void {
  out.varint(tag);
  out.varint(value.length);
  out.bytes(value);
}

function writeInteger(out: ByteWriter, tag: number, value: number | undefined): void {
  if (value !== undefined) writeEntry(out, tag, encodeVarint(value));
}

function writeText(out: ByteWriter, tag: number, value: string | undefined): void {
  if (value !== undefined) writeEntry(out, tag, utf8(value));
}

function writeNamed(out: ByteWriter, tag: number, name: Uint8Array, value: Uint8Array): void {
  const entry = new ByteWriter(name.length + value.length + 8);
  entry.varint(name.length);
  entry.bytes(name);
  entry.bytes(value);
  writeEntry(out, tag, entry.take());
}
