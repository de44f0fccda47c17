// A server of the native protocol for tests: keeps the rules of its side, checks those of the client's, and does what
// a test says. Behind a WebSocket that is none: bytes go from one object to the other.

import { ByteReader, text } from "../src/bytes.js";
import {
  decodeGoAway,
  decodeHello,
  decodeWindow,
  encodeCallFields,
  encodeGoAway,
  encodeHello,
  encodeVarint,
  Flag,
  FrameReader,
  HELLO_DEFAULTS,
  Kind,
  PREFACE,
  splitFields,
  writeFrame,
} from "../src/frames.js";
import { ByteWriter } from "../src/bytes.js";
import type { CallFields, Frame, Hello } from "../src/frames.js";
import type { WebSocketConstructor, WebSocketLike } from "../src/socket.js";

export interface FakeServerOptions {
  hello?: Partial<Hello>;
  /** A call has begun. */
  onCall?: (call: FakeCall) => void;
  /** Whether a WebSocket is accepted. */
  accepts?: () => boolean;
  protocol?: string;
  /** Does not say hello. */
  isMute?: boolean;
  /** Whether the window of what was received is given back by itself. */
  returnsWindow?: boolean;
}

export class FakeServer {
  readonly options: FakeServerOptions;
  readonly connections: FakeConnection[] = [];
  attempts = 0;
  readonly webSocket: WebSocketConstructor;

  constructor(options: FakeServerOptions = {}) {
    this.options = options;
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const server = this;
    this.webSocket = class extends FakeWebSocket {
      constructor() {
        super(server);
      }
    };
  }

  get connection(): FakeConnection {
    const last = this.connections.at(-1);
    if (last === undefined) throw new Error("nobody has connected");
    return last;
  }
}

class FakeWebSocket implements WebSocketLike {
  binaryType = "";
  bufferedAmount = 0;
  protocol = "";
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: unknown) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  isClosed = false;
  #connection: FakeConnection | undefined;

  constructor(server: FakeServer) {
    server.attempts++;
    queueMicrotask(() => {
      if (this.isClosed) return;
      if (server.options.accepts?.() === false) {
        this.end(1006, "");
        return;
      }
      this.protocol = server.options.protocol ?? "polywire.v1";
      this.#connection = new FakeConnection(server.options, {
        send: (bytes) => {
          if (!this.isClosed) this.onmessage?.({ data: bytes.buffer });
        },
        end: (code, reason) => this.end(code, reason),
      });
      server.connections.push(this.#connection);
      this.onopen?.({});
    });
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.isClosed) throw new Error("sent on a closed WebSocket");
    const copy = bytes.slice();
    this.#connection?.webSocketMessages.push(copy.length);
    queueMicrotask(() => this.#connection?.handleBytes(copy));
  }

  close(): void {
    queueMicrotask(() => this.end(1000, ""));
  }

  end(code: number, reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#connection?.handleClosed();
    this.onclose?.({ code, reason });
  }
}

interface Wire {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  end(code: number, reason: string): void;
}

/** The server's side of one connection. Collects the breaches of its client in `breaches`. */
export class FakeConnection {
  readonly options: FakeServerOptions;
  readonly wire: Wire;
  readonly hello: Hello;
  readonly calls = new Map<number, FakeCall>();
  readonly breaches: string[] = [];
  readonly frames: Frame[] = [];
  readonly webSocketMessages: number[] = [];
  clientHello: Hello | undefined;
  goAway: { code: number; message: string } | undefined;
  isClosed = false;
  receiveWindow: number = HELLO_DEFAULTS.connectionWindowBytes;
  sendWindow: number = HELLO_DEFAULTS.connectionWindowBytes;
  readonly #reader = new FrameReader(1 << 20);
  readonly #methods = new Map<number, { path: string; fields: CallFields }>();
  #prefaceLeft = PREFACE.length;

  constructor(options: FakeServerOptions, wire: Wire) {
    this.options = options;
    this.wire = wire;
    this.hello = { ...HELLO_DEFAULTS, name: "fake", ...options.hello };
    this.receiveWindow = this.hello.connectionWindowBytes;
    if (options.isMute !== true) queueMicrotask(() => this.send(Kind.Hello, 0, 0, encodeHello(this.hello)));
  }

  send(kind: number, flags: number, stream: number, payload: Uint8Array): void {
    const out = new ByteWriter();
    writeFrame(out, kind, flags, stream, payload);
    this.wire.send(out.take());
  }

  sendGoAway(code: number, message = ""): void {
    this.send(Kind.GoAway, 0, 0, encodeGoAway(code, message));
  }

  returnWindow(stream: number, bytes: number): void {
    if (stream === 0) this.receiveWindow += bytes;
    else {
      const call = this.calls.get(stream);
      if (call === undefined) return;
      call.receiveWindow += bytes;
    }
    this.send(Kind.Window, 0, stream, encodeVarint(bytes));
  }

  drop(code = 1006, reason = ""): void {
    this.wire.end(code, reason);
  }

  handleClosed(): void {
    this.isClosed = true;
  }

  handleBytes(bytes: Uint8Array): void {
    if (this.#prefaceLeft > 0) {
      const taken = bytes.subarray(0, this.#prefaceLeft);
      const expected = PREFACE.subarray(PREFACE.length - this.#prefaceLeft);
      taken.forEach((byte, i) => {
        if (byte !== expected[i]) this.breaches.push("bad preface");
      });
      this.#prefaceLeft -= taken.length;
      bytes = bytes.subarray(taken.length);
    }
    for (const frame of this.#reader.read(bytes)) {
      this.frames.push({ ...frame, payload: frame.payload.slice() });
      this.#handleFrame(frame);
    }
  }

  #handleFrame(frame: Frame): void {
    if (this.clientHello === undefined && frame.kind !== Kind.Hello) this.breaches.push("a frame before the hello");
    const call = this.calls.get(frame.stream);
    switch (frame.kind) {
      case Kind.Hello:
        this.clientHello = decodeHello(frame.payload);
        this.sendWindow += this.clientHello.connectionWindowBytes - HELLO_DEFAULTS.connectionWindowBytes;
        break;
      case Kind.Call:
      case Kind.Open:
        this.#open(frame);
        break;
      case Kind.Message:
        this.#message(call, frame.flags, frame.payload);
        break;
      case Kind.End:
        if (call === undefined) this.breaches.push("an end of no call");
        else if (call.isHalfClosed) this.breaches.push("a second end");
        else call.handleHalfClose();
        break;
      case Kind.Cancel:
        if (call === undefined) this.breaches.push("a cancel of no call");
        else {
          call.isCancelled = true;
          call.onCancel?.();
          if (!call.isEnded && call.endsWhenCancelled) call.end({ code: 1 });
        }
        break;
      case Kind.Window: {
        const more = decodeWindow(frame.payload);
        if (frame.stream === 0) this.sendWindow += more;
        else if (call !== undefined) call.handleWindow(more);
        break;
      }
      case Kind.Ping:
        this.send(Kind.Pong, 0, 0, frame.payload.slice());
        break;
      case Kind.GoAway:
        this.goAway = decodeGoAway(frame.payload);
        break;
    }
  }

  #open(frame: Frame): void {
    if (this.goAway !== undefined) this.breaches.push("a call after going away");
    if (this.calls.has(frame.stream)) this.breaches.push(`stream ${frame.stream} is in use`);
    const reader = new ByteReader(frame.payload);
    const reference = reader.varint();
    let method: { path: string; fields: CallFields } | undefined;
    let defines = 0;
    if (reference % 2 === 0) {
      method = this.#methods.get(reference / 2);
      if (method === undefined) this.breaches.push(`method ${reference / 2} is not defined`);
    } else {
      defines = (reference - 1) / 2;
      if (this.#methods.has(defines)) this.breaches.push(`method ${defines} is defined twice`);
      if (defines > this.hello.methodsMax) this.breaches.push("too many methods");
      method = { path: text(reader.bytes(reader.varint())), fields: {} };
    }
    const [fields, message] = splitFields(reader.rest(), frame.flags);
    const remembered = method?.fields ?? {};
    if (defines > 0 && method !== undefined) {
      const { codec, compression, accepted, authority } = fields ?? {};
      Object.assign(method.fields, { codec, compression, accepted, authority });
      this.#methods.set(defines, method);
    }
    const call = new FakeCall(this, frame.stream, method?.path ?? "", { ...remembered, ...fields });
    if (this.calls.size >= this.hello.streamsMax) {
      this.breaches.push("more streams than allowed");
    }
    this.calls.set(frame.stream, call);
    this.options.onCall?.(call);
    if (frame.kind === Kind.Call) this.#message(call, frame.flags, message);
    else if ((frame.flags & Flag.Last) !== 0) call.handleHalfClose();
  }

  #message(call: FakeCall | undefined, flags: number, bytes: Uint8Array): void {
    this.receiveWindow -= bytes.length;
    if (this.receiveWindow < 0) this.breaches.push("the connection's window is exceeded");
    if (this.options.returnsWindow !== false && bytes.length > 0) this.returnWindow(0, bytes.length);
    if (call === undefined) return;
    call.receiveWindow -= bytes.length;
    if (call.receiveWindow < 0) this.breaches.push("a stream's window is exceeded");
    if (this.options.returnsWindow !== false && bytes.length > 0) this.returnWindow(call.stream, bytes.length);
    call.handleMessage(flags, bytes.slice());
  }
}

export class FakeCall {
  readonly connection: FakeConnection;
  readonly stream: number;
  readonly path: string;
  readonly fields: CallFields;
  readonly messages: Uint8Array[] = [];
  receiveWindow: number;
  sendWindow: number;
  isHalfClosed = false;
  isCancelled = false;
  isEnded = false;
  endsWhenCancelled = true;
  onMessage: ((message: Uint8Array, compressed: boolean) => void) | undefined;
  onHalfClose: (() => void) | undefined;
  onCancel: (() => void) | undefined;
  #pieces: Uint8Array[] = [];
  #outgoing: { bytes: Uint8Array; flags: number; fields: CallFields | undefined; done: () => void }[] = [];

  constructor(connection: FakeConnection, stream: number, path: string, fields: CallFields) {
    this.connection = connection;
    this.stream = stream;
    this.path = path;
    this.fields = fields;
    this.receiveWindow = connection.hello.windowBytes;
    this.sendWindow = connection.clientHello?.windowBytes ?? HELLO_DEFAULTS.windowBytes;
  }

  headers(fields: CallFields): void {
    this.connection.send(Kind.Headers, 0, this.stream, encodeCallFields(fields));
  }

  /** Is done when all of it could be sent. */
  message(bytes: Uint8Array, flags = 0, fields?: CallFields): Promise<void> {
    return new Promise((done) => {
      this.#outgoing.push({ bytes, flags, fields, done });
      this.#pump();
    });
  }

  end(fields: CallFields = {}): void {
    this.#over();
    this.connection.send(Kind.End, 0, this.stream, encodeCallFields(fields));
  }

  handleWindow(more: number): void {
    this.sendWindow += more;
    this.#pump();
  }

  handleMessage(flags: number, bytes: Uint8Array): void {
    if (this.isHalfClosed) this.connection.breaches.push("a message after the end");
    this.#pieces.push(bytes);
    if ((flags & Flag.More) !== 0) return;
    const message = new Uint8Array(this.#pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of this.#pieces.splice(0)) {
      message.set(piece, at);
      at += piece.length;
    }
    this.messages.push(message);
    this.onMessage?.(message, (flags & Flag.Compressed) !== 0);
    if ((flags & Flag.Last) !== 0) this.handleHalfClose();
  }

  handleHalfClose(): void {
    if (this.isHalfClosed) this.connection.breaches.push("a second end");
    if (this.#pieces.length > 0) this.connection.breaches.push("an end inside a message");
    this.isHalfClosed = true;
    this.onHalfClose?.();
  }

  #pump(): void {
    while (!this.isEnded) {
      const next = this.#outgoing[0];
      if (next === undefined) return;
      if (next.bytes.length > 0 && this.sendWindow <= 0) return;
      const bytes = next.bytes.subarray(0, Math.min(this.sendWindow, 16000));
      next.bytes = next.bytes.subarray(bytes.length);
      this.sendWindow -= bytes.length;
      this.connection.sendWindow -= bytes.length;
      if (this.connection.sendWindow < 0) throw new Error("the client is slow to return the connection's window");
      const isWhole = next.bytes.length === 0;
      let flags = isWhole ? next.flags : (next.flags & ~Flag.Last) | Flag.More;
      const out = new ByteWriter();
      if (next.fields !== undefined) {
        const fields = encodeCallFields(next.fields);
        out.varint(fields.length);
        out.bytes(fields);
        flags |= Flag.Fields;
        next.fields = undefined;
      }
      out.bytes(bytes);
      if ((flags & Flag.Last) !== 0) this.#over();
      this.connection.send(Kind.Message, flags, this.stream, out.take());
      if (isWhole) {
        this.#outgoing.shift();
        next.done();
      }
    }
  }

  #over(): void {
    this.isEnded = true;
    this.connection.calls.delete(this.stream);
  }
}

