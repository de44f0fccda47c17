import { describe, expect, test } from "vitest";

import { ByteReader, ByteWriter, utf8 } from "../src/bytes.js";
import {
  decodeCallFields,
  decodeGoAway,
  decodeHello,
  encodeCallFields,
  encodeGoAway,
  encodeHello,
  encodeMethod,
  Flag,
  FrameReader,
  HELLO_DEFAULTS,
  Kind,
  PeerMisbehaved,
  splitFields,
  writeFrame,
} from "../src/frames.js";
import type { CallFields, Frame } from "../src/frames.js";

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(/\s+/).filter((it) => it !== ""), (it) => parseInt(it, 16));
}

function written(kind: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const out = new ByteWriter();
  writeFrame(out, kind, flags, stream, payload);
  return out.take();
}

describe("integers", () => {
  test.each([
    [0, "00"],
    [1, "01"],
    [127, "7f"],
    [128, "80 01"],
    [16384, "80 80 01"],
    [2 ** 28 - 1, "ff ff ff 7f"],
    [2 ** 32, "80 80 80 80 10"],
    [Number.MAX_SAFE_INTEGER, "ff ff ff ff ff ff ff 0f"],
  ])("%d is %s", (value, encoded) => {
    const out = new ByteWriter(1);
    out.varint(value);
    const taken = out.take();
    expect(hex(taken)).toBe(encoded);
    expect(new ByteReader(taken).varint()).toBe(value);
  });

  test("need not be minimal, but may take no more than 8 bytes", () => {
    expect(new ByteReader(bytes("81 80 80 80 80 80 80 00")).varint()).toBe(1);
    expect(() => new ByteReader(bytes("81 80 80 80 80 80 80 80 00")).varint()).toThrow(RangeError);
    expect(() => new ByteReader(bytes("81 80")).varint()).toThrow(RangeError);
  });
});

describe("frames", () => {
  test("a small frame has a head of three bytes", () => {
    expect(hex(written(Kind.Message, Flag.Last, 1, bytes("aa bb")))).toBe("13 01 02 aa bb");
  });

  test("come complete however the bytes are cut", () => {
    const all = new Uint8Array([
      ...written(Kind.Hello, 0, 0, bytes("01 01 01")),
      ...written(Kind.Message, Flag.Last, 300, new Uint8Array(200).fill(7)),
      ...written(Kind.Ping, 0, 0, new Uint8Array(8)),
      ...written(Kind.End, 0, 2 ** 28 - 1, new Uint8Array()),
    ]);
    const seen = (frames: Frame[]) => frames.map((it) => [it.kind, it.flags, it.stream, it.payload.length]);
    const whole = seen([...new FrameReader(16384).read(all)]);
    expect(whole).toEqual([
      [Kind.Hello, 0, 0, 3],
      [Kind.Message, Flag.Last, 300, 200],
      [Kind.Ping, 0, 0, 8],
      [Kind.End, 0, 2 ** 28 - 1, 0],
    ]);
    for (let size = 1; size < 20; size++) {
      const reader = new FrameReader(16384);
      const frames: Frame[] = [];
      for (let at = 0; at < all.length; at += size) frames.push(...reader.read(all.slice(at, at + size)));
      expect(seen(frames)).toEqual(whole);
    }
  });

  test.each([
    ["a stream number of five bytes", "03 80 80 80 80 01 00"],
    ["a length of four bytes", "03 01 80 80 80 01"],
    ["a payload over the limit", "03 01 81 80 01"],
  ])("%s is misbehaviour", (_, encoded) => {
    expect(() => [...new FrameReader(16384).read(bytes(encoded))]).toThrow(PeerMisbehaved);
  });
});

describe("fields", () => {
  const all: CallFields = {
    timeoutMicros: 1_500_000,
    leading: [
      ["k", utf8("v")],
      ["raw-bin", bytes("00 ff")],
    ],
    codec: 1,
    compression: 1,
    accepted: 3,
    authority: "cafe",
    code: 5,
    message: "no such order",
    details: [{ typeUrl: "type.googleapis.com/a.B", value: bytes("08 01") }],
    trailing: [["t", utf8("")]],
    unprocessed: true,
  };

  test("come back as they were", () => {
    expect(decodeCallFields(encodeCallFields(all))).toEqual(all);
    expect(decodeCallFields(new Uint8Array())).toEqual({});
  });

  test("begin with the timeout and name metadata by key and value", () => {
    expect(hex(encodeCallFields({ leading: [["k", utf8("v")]], timeoutMicros: 5 }))).toBe("01 01 05 02 03 01 6b 76");
  });

  test("that are unknown are ignored", () => {
    expect(decodeCallFields(bytes("7f 02 aa bb 07 01 05"))).toEqual({ code: 5 });
  });

  test.each([
    ["a length behind the end", "07 05 01"],
    ["half an integer", "07 01 80"],
    ["bytes behind an integer", "07 02 01 01"],
    ["a key behind the end", "02 01 05"],
  ])("with %s are misbehaviour", (_, encoded) => {
    expect(() => decodeCallFields(bytes(encoded))).toThrow(PeerMisbehaved);
  });

  test("stand before the message, behind their total", () => {
    expect(splitFields(bytes("03 07 01 05 aa"), Flag.Fields)).toEqual([{ code: 5 }, bytes("aa")]);
    expect(splitFields(bytes("03 07"), 0)).toEqual([undefined, bytes("03 07")]);
    expect(() => splitFields(bytes("09 07"), Flag.Fields)).toThrow(PeerMisbehaved);
  });
});

describe("hello", () => {
  test("says only what differs", () => {
    expect(hex(encodeHello(HELLO_DEFAULTS))).toBe("01 01 01");
    expect(hex(encodeHello({ ...HELLO_DEFAULTS, windowBytes: 131072, name: "a" }))).toBe("01 01 01 05 03 80 80 08 0a 01 61");
  });

  test("comes back as it was", () => {
    const hello = {
      version: 1,
      streamsMax: 7,
      frameBytesMax: 65536,
      messageBytesMax: 1 << 20,
      windowBytes: 1 << 18,
      connectionWindowBytes: 1 << 20,
      silenceMaxMs: 30000,
      methodsMax: 100,
      name: "café",
      accepted: 3,
    };
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
  });

  test("cannot promise less than the defaults", () => {
    const hello = decodeHello(bytes("01 01 01 03 01 05 05 01 05 06 01 05 08 01 05"));
    expect(hello).toEqual(HELLO_DEFAULTS);
  });
});

test("a method is named once and numbered afterwards", () => {
  expect(hex(encodeMethod(1, "a.B/C"))).toBe("03 05 61 2e 42 2f 43");
  expect(hex(encodeMethod(1))).toBe("02");
  expect(hex(encodeMethod(0, "a.B/C"))).toBe("01 05 61 2e 42 2f 43");
});

test("going away has a code and words", () => {
  expect(decodeGoAway(encodeGoAway(1, "bad preface"))).toEqual({ code: 1, message: "bad preface" });
  expect(() => decodeGoAway(new Uint8Array())).toThrow(PeerMisbehaved);
});
