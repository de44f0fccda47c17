// One connection of the native protocol, the client's side: streams, windows, numbered methods, silence, drain.
// It knows neither WebSocket nor Connect: bytes go in by `handleBytes`, and out by its `Link`.

import { ByteWriter } from "./bytes.js";
import {
  decodeCallFields,
  decodeGoAway,
  decodeHello,
  decodeWindow,
  encodeCallFields,
  encodeGoAway,
  encodeHello,
  encodeMethod,
  encodeVarint,
  Flag,
  FrameReader,
  GoAwayCode,
  HELLO_DEFAULTS,
  Kind,
  PeerMisbehaved,
  PREFACE,
  splitFields,
  STREAM_NUMBER_MAX,
  writeFrame,
  writeFrameHead,
} from "./frames.js";
import type { CallFields, Frame, Hello, MetadataEntry, StatusDetail } from "./frames.js";

/** Every bound of a connection. */
export const LIMITS = {
  /** The payload of a frame we take; the least one may promise. Larger frames would only delay other streams. */
  frameBytesMax: 16384,
  /** What a stream's messages may take here before the application reads them. Enough for a fast line at 50 ms. */
  windowBytes: 256 * 1024,
  /** The same for all streams. It is given back at once, so it only bounds what is under way. */
  connectionWindowBytes: 1024 * 1024,
  /** A peer we have not heard for so long is dead. Three chances for a ping within what a person waits. */
  silenceMaxMs: 30_000,
  /** Calls that wait because the server takes no more streams; more are a program that went astray. */
  waitingMax: 1000,
  /** What is handed to the link although it has not sent yet. Small, so that a short call overtakes a long message. */
  bufferedBytesMax: 128 * 1024,
  /** What is handed to the link in one piece. */
  batchBytes: 64 * 1024,
  /** How often a full link is asked whether it has sent something; it has no event for that. */
  bufferedPollMs: 4,
  /** A timer this late means that the machine or the page slept, not that the peer was silent. */
  lateTimerMs: 2_000,
  /** Window that is not worth a peer's trust: more than 2^31-1 breaks the protocol. */
  windowMax: 2 ** 31 - 1,
} as const;

/** What carries the bytes. */
export interface Link {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** What was handed to `send` and is not sent yet. */
  readonly bufferedBytes: number;
  /** The connection is over; `reason` is for the log of whoever looks. */
  close(reason: string): void;
}

/** What its owner wants to know. */
export interface ConnectionEvents {
  /** The server's hello has come: it speaks our protocol. */
  onHello?(hello: Hello): void;
  /** No call may be opened any more; those which are open go on. */
  onDrain?(): void;
  /** All is over, and every call has its end. */
  onClosed?(end: StreamEnd): void;
}

/** What a call says when it opens. */
export interface OpenStream {
  /** `package.Service/Method` */
  readonly path: string;
  readonly leading: readonly MetadataEntry[];
  /** The host that is meant. */
  readonly authority: string;
  readonly codec: number;
  readonly compression: number;
  readonly accepted: number;
  /** A moment of `performance.now()`. */
  readonly deadline?: number | undefined;
  readonly messageBytesMax: number;
}

export interface IncomingMessage {
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
}

export interface Leading {
  readonly metadata: readonly MetadataEntry[];
  readonly compression: number;
}

/** How a stream ended. */
export interface StreamEnd {
  readonly code: number;
  readonly message: string;
  readonly details: readonly StatusDetail[];
  readonly trailing: readonly MetadataEntry[];
  /** The server has not begun with the call, so it may be made again. */
  readonly unprocessed: boolean;
  /** The server said so; otherwise it is our own conclusion. */
  readonly fromServer: boolean;
}

const Code = { Cancelled: 1, Unknown: 2, ResourceExhausted: 8, Internal: 13, Unavailable: 14 } as const;

/** The greatest of the codes that have a name. */
const CODE_MAX = 16;

/**
 * ```text
 *   open ── goaway 0, either way ──▶ draining ── no call left ──▶ closed
 *     └──────────── link lost, violation, silence ──────────────▶
 * ```
 */
export class Connection {
  readonly #link: Link;
  readonly #events: ConnectionEvents;
  readonly #reader = new FrameReader(LIMITS.frameBytesMax);
  readonly #out = new ByteWriter(4096);
  readonly #streams = new Map<number, Stream>();
  /** Streams with something to send, in the order of their turns. */
  #ready: Stream[] = [];
  /** Streams which wait for a number. */
  #waiting: Stream[] = [];
  /** Numbers that were in use and are free again, the smallest last. */
  readonly #freeNumbers: number[] = [];
  #numberNext = 1;
  readonly #methods = new Map<string, number>();
  #hello: Hello = HELLO_DEFAULTS;
  #helloCame = false;
  #sendWindow = HELLO_DEFAULTS.connectionWindowBytes;
  #unreturned = 0;
  #receiveWindow: number = LIMITS.connectionWindowBytes;
  #state: "open" | "draining" | "closed" = "open";
  #goAwaySent = false;
  #flushQueued = false;
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #heardAt = now();
  #sentAt = now();

  constructor(link: Link, events: ConnectionEvents = {}, name = "polywire-web") {
    this.#link = link;
    this.#events = events;
    this.#out.bytes(PREFACE);
    const hello = encodeHello({
      ...HELLO_DEFAULTS,
      windowBytes: LIMITS.windowBytes,
      connectionWindowBytes: LIMITS.connectionWindowBytes,
      silenceMaxMs: LIMITS.silenceMaxMs,
      name,
    });
    writeFrame(this.#out, Kind.Hello, 0, 0, hello);
    this.#watchSilence();
    this.#flushSoon();
  }

  /** Opens a stream; it has a number, and the server hears of it, with its first message or `start`. */
  open(call: OpenStream): Stream {
    const stream = new Stream(call, this.#core);
    if (this.#state !== "open") {
      stream.finish(ended(Code.Unavailable, "the connection is going away", true));
    } else if (headBytesAtMost(call) > this.#hello.frameBytesMax) {
      const text = `path and metadata of a call have to fit into ${this.#hello.frameBytesMax} bytes`;
      stream.finish(ended(Code.ResourceExhausted, text, false));
    } else if (this.#waiting.length >= LIMITS.waitingMax) {
      stream.finish(
        ended(
          Code.ResourceExhausted,
          `${LIMITS.waitingMax} calls wait already because the server takes only ${this.#hello.streamsMax} at once`,
          true,
        ),
      );
    }
    return stream;
  }

  handleBytes(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#heardAt = now();
    try {
      for (const frame of this.#reader.read(bytes)) {
        this.#handleFrame(frame);
        if (this.isClosed) return;
      }
    } catch (error) {
      if (!(error instanceof PeerMisbehaved)) throw error;
      this.#abandon(error.code, error.message, `the server broke the protocol: ${error.message}`, Code.Internal);
    }
  }

  /** The link is gone. */
  handleClosed(reason: string): void {
    this.#closed(Code.Unavailable, reason);
  }

  /** Takes no new calls, and closes when those that are open have ended. */
  drain(text = ""): void {
    if (this.#state === "closed") return;
    if (!this.#goAwaySent) {
      this.#goAwaySent = true;
      writeFrame(this.#out, Kind.GoAway, 0, 0, encodeGoAway(GoAwayCode.None, text));
      this.#flushSoon();
    }
    if (this.#state === "draining") return;
    this.#state = "draining";
    const unsent = [...this.#streams.values()].filter((stream) => !stream.wasSent);
    for (const stream of unsent) this.#free(stream);
    for (const stream of [...this.#waiting.splice(0), ...unsent]) {
      stream.finish(ended(Code.Unavailable, "the connection is going away", true));
    }
    this.#events.onDrain?.();
    this.#closeIfDrained();
  }

  /** Ends all calls and the connection. */
  close(message: string): void {
    this.#abandon(GoAwayCode.None, message, message, Code.Cancelled);
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  get streamsOpen(): number {
    return this.#streams.size;
  }

  #handleFrame(frame: Frame): void {
    if (!this.#helloCame && frame.kind !== Kind.Hello) {
      throw new PeerMisbehaved("a frame before the hello");
    }
    switch (frame.kind) {
      case Kind.Hello:
        this.#handleHello(frame);
        break;
      case Kind.Message:
        this.#handleMessage(frame);
        break;
      case Kind.Headers:
        this.#streamOf(frame).handleHeaders(decodeCallFields(frame.payload));
        break;
      case Kind.End: {
        const stream = this.#streamOf(frame);
        this.#free(stream);
        stream.handleEnd(decodeCallFields(frame.payload));
        break;
      }
      case Kind.Window:
        this.#handleWindow(frame);
        break;
      case Kind.Ping:
        if (frame.payload.length !== 8) throw new PeerMisbehaved("a ping without its 8 bytes");
        writeFrame(this.#out, Kind.Pong, 0, 0, frame.payload);
        this.#flushSoon();
        break;
      case Kind.GoAway:
        this.#handleGoAway(frame);
        break;
      case Kind.Call:
      case Kind.Open:
      case Kind.Cancel:
        throw new PeerMisbehaved("a frame that only clients send");
      default:
        // A pong has said all it has to by coming. What is unknown is for those who know it.
        break;
    }
  }

  #handleHello(frame: Frame): void {
    if (this.#helloCame) throw new PeerMisbehaved("a second hello");
    if (frame.stream !== 0) throw new PeerMisbehaved("a hello on a stream");
    const hello = decodeHello(frame.payload);
    if (hello.version !== 1) throw new PeerMisbehaved(`version ${hello.version} where we speak 1`);
    this.#helloCame = true;
    this.#hello = hello;
    this.#sendWindow += hello.connectionWindowBytes - HELLO_DEFAULTS.connectionWindowBytes;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += hello.windowBytes - HELLO_DEFAULTS.windowBytes;
      this.#wants(stream);
    }
    this.#watchSilence();
    this.#events.onHello?.(hello);
    this.#admitWaiting();
  }

  #handleMessage(frame: Frame): void {
    const stream = this.#streamOf(frame);
    const last = (frame.flags & Flag.Last) !== 0;
    if (last && (frame.flags & Flag.More) !== 0) throw new PeerMisbehaved("a message that is the last and goes on");
    // Only a message's first frame has fields; in the others the flag means nothing.
    const [fields, message] = stream.isInMessage
      ? [undefined, frame.payload]
      : splitFields(frame.payload, frame.flags);
    this.#receiveWindow -= message.length;
    stream.receiveWindow -= message.length;
    if (this.#receiveWindow < 0 || stream.receiveWindow < 0) throw new PeerMisbehaved("more than a window allows");
    this.#returnConnectionWindow(message.length);
    if (last) this.#free(stream);
    stream.handleMessage(frame.flags, fields, message);
  }

  #handleWindow(frame: Frame): void {
    const more = decodeWindow(frame.payload);
    if (frame.stream === 0) {
      this.#sendWindow += more;
      if (this.#sendWindow > LIMITS.windowMax) throw new PeerMisbehaved("the connection's window is too large");
      this.#flushSoon();
    } else {
      const stream = this.#streamOf(frame);
      stream.sendWindow += more;
      if (stream.sendWindow > LIMITS.windowMax) throw new PeerMisbehaved("a stream's window is too large");
      this.#wants(stream);
    }
  }

  #handleGoAway(frame: Frame): void {
    const { code, message } = decodeGoAway(frame.payload);
    if (code === GoAwayCode.None) {
      this.drain();
      return;
    }
    const why = message === "" ? `code ${code}` : message;
    this.#closed(
      code === GoAwayCode.Timeout ? Code.Unavailable : Code.Internal,
      `the server gave the connection up: ${why}`,
    );
    this.#link.close("the server gave it up");
  }

  #streamOf(frame: Frame): Stream {
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) throw new PeerMisbehaved(`a frame of stream ${frame.stream}, which is not open`);
    return stream;
  }

  /** The connection's window is given back as bytes come: the streams' windows alone bound what waits here, and one
   * that nobody reads does not stop the others. */
  #returnConnectionWindow(bytes: number): void {
    this.#unreturned += bytes;
    if (this.#unreturned * 2 < LIMITS.connectionWindowBytes) return;
    writeFrame(this.#out, Kind.Window, 0, 0, encodeVarint(this.#unreturned));
    this.#receiveWindow += this.#unreturned;
    this.#unreturned = 0;
    this.#flushSoon();
  }

  /** What streams may ask of their connection. */
  readonly #core: StreamCore = {
    wants: (stream) => this.#wants(stream),
    returnWindow: (stream, bytes) => {
      if (this.#streams.get(stream.number) !== stream) return;
      writeFrame(this.#out, Kind.Window, 0, stream.number, encodeVarint(bytes));
      stream.receiveWindow += bytes;
      this.#flushSoon();
    },
    cancel: (stream) => {
      if (this.#streams.get(stream.number) !== stream) {
        this.#waiting = this.#waiting.filter((other) => other !== stream);
        return;
      }
      if (!stream.wasSent) {
        // The server has never heard of it.
        this.#free(stream);
        return;
      }
      writeFrame(this.#out, Kind.Cancel, 0, stream.number, new Uint8Array());
      this.#flushSoon();
    },
  };

  #wants(stream: Stream): void {
    if (this.#state === "closed" || !stream.hasOutput) return;
    if (stream.isReady) {
      this.#flushSoon();
      return;
    }
    if (stream.number === 0 && !this.#admit(stream)) {
      if (!this.#waiting.includes(stream)) this.#waiting.push(stream);
      return;
    }
    stream.isReady = true;
    this.#ready.push(stream);
    this.#flushSoon();
  }

  /** Gives the stream a number if the server takes one more. */
  #admit(stream: Stream): boolean {
    if (this.#state !== "open" || this.#streams.size >= this.#hello.streamsMax) return false;
    const number = this.#freeNumbers.pop() ?? this.#numberNext++;
    if (number > STREAM_NUMBER_MAX) return false;
    stream.number = number;
    stream.sendWindow = this.#hello.windowBytes;
    this.#streams.set(number, stream);
    return true;
  }

  #admitWaiting(): void {
    while (this.#waiting.length > 0 && this.#streams.size < this.#hello.streamsMax && this.#state === "open") {
      const stream = this.#waiting.shift();
      if (stream !== undefined) this.#wants(stream);
    }
  }

  #free(stream: Stream): void {
    this.#streams.delete(stream.number);
    const place = this.#freeNumbers.findLastIndex((number) => number > stream.number);
    this.#freeNumbers.splice(place + 1, 0, stream.number);
    // Not at once: a last message that is being handled still belongs to the old stream.
    queueMicrotask(() => {
      this.#admitWaiting();
      this.#closeIfDrained();
    });
  }

  /** What was written in this turn leaves in one piece. */
  #flushSoon(): void {
    if (this.#flushQueued || this.#state === "closed") return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#flushTimer);
    // Streams take turns, a frame each. Those which have to wait for a window leave the row for this time.
    const blocked: Stream[] = [];
    for (;;) {
      const stream = this.#ready.shift();
      if (stream === undefined) break;
      if (this.#link.bufferedBytes + this.#out.length >= LIMITS.bufferedBytesMax) {
        this.#ready.unshift(stream);
        this.#flushTimer = setTimeout(() => this.#flush(), LIMITS.bufferedPollMs);
        break;
      }
      const sent = stream.writeFrame(this.#out, this.#sendWindow, this.#hello.frameBytesMax, this.#number);
      this.#sendWindow -= sent ?? 0;
      stream.isReady = stream.hasOutput;
      if (stream.isReady) (sent === undefined ? blocked : this.#ready).push(stream);
      if (this.#out.length >= LIMITS.batchBytes) this.#hand();
    }
    this.#ready.push(...blocked);
    this.#hand();
  }

  #hand(): void {
    if (this.#out.length === 0) return;
    this.#sentAt = now();
    this.#link.send(this.#out.take());
  }

  /** The reference to a method, and whether it brings its fields along. A number stands for the path together with
   * what goes with it, since the server remembers these with the number. */
  readonly #number = (call: OpenStream): { reference: Uint8Array; known: boolean } => {
    const key = [call.path, call.codec, call.compression, call.accepted, call.authority].join(" ");
    const known = this.#methods.get(key);
    if (known !== undefined) return { reference: encodeMethod(known), known: true };
    if (this.#methods.size >= this.#hello.methodsMax) return { reference: encodeMethod(0, call.path), known: false };
    const number = this.#methods.size + 1;
    this.#methods.set(key, number);
    return { reference: encodeMethod(number, call.path), known: false };
  };

  #closeIfDrained(): void {
    if (this.#state !== "draining" || this.#streams.size > 0) return;
    this.#flush();
    this.#closed(Code.Unavailable, "the connection is going away");
    this.#link.close("drained");
  }

  #watchSilence(): void {
    clearTimeout(this.#silenceTimer);
    // Something has to be sent in each third of the silence that the server bears, so we look twice as often.
    const theirs = this.#hello.silenceMaxMs > 0 ? this.#hello.silenceMaxMs : Infinity;
    const period = Math.min(LIMITS.silenceMaxMs, theirs) / 6;
    const due = now() + period;
    this.#silenceTimer = setTimeout(() => {
      const late = now() - due;
      if (late > LIMITS.lateTimerMs) {
        // We slept. What the peer sent meanwhile has not been read yet: it gets a last chance to answer a ping.
        this.#heardAt = Math.max(this.#heardAt, now() - (2 * LIMITS.silenceMaxMs) / 3);
        this.#ping();
      } else if (now() - this.#heardAt >= LIMITS.silenceMaxMs) {
        const text = `nothing was heard of the server for ${LIMITS.silenceMaxMs / 1000} s`;
        this.#abandon(GoAwayCode.Timeout, "silence", text, Code.Unavailable);
        return;
      } else if (now() - this.#sentAt >= (theirs / 6) * 0.9) {
        this.#ping();
      }
      this.#watchSilence();
    }, period);
  }

  #ping(): void {
    writeFrame(this.#out, Kind.Ping, 0, 0, new Uint8Array(8));
    this.#flushSoon();
  }

  /** Says goodbye with a code and closes. */
  #abandon(goAwayCode: number, goAwayText: string, message: string, code: number): void {
    if (this.#state === "closed") return;
    writeFrame(this.#out, Kind.GoAway, 0, 0, encodeGoAway(goAwayCode, goAwayText));
    this.#hand();
    this.#closed(code, message);
    this.#link.close(goAwayText);
  }

  #closed(code: number, message: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#silenceTimer);
    const streams = [...this.#streams.values()];
    const waiting = this.#waiting;
    this.#streams.clear();
    this.#waiting = [];
    this.#ready = [];
    for (const stream of streams) stream.finish(ended(code, message, !stream.wasSent));
    for (const stream of waiting) stream.finish(ended(code, message, true));
    this.#events.onClosed?.(ended(code, message, false));
  }
}

interface StreamCore {
  wants(stream: Stream): void;
  returnWindow(stream: Stream, bytes: number): void;
  cancel(stream: Stream): void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
  readonly last: boolean;
  readonly sent: () => void;
  offset: number;
}

/** One call on a connection. */
export class Stream {
  readonly call: OpenStream;
  /** The status, sooner or later; it is never rejected. */
  readonly ended: Promise<StreamEnd>;
  /** Leading metadata: with the first that comes of the server, or the end. */
  readonly leading: Promise<Leading>;

  /** For the connection: 0 until there is one. */
  number = 0;
  /** For the connection. */
  sendWindow = 0;
  /** For the connection. */
  receiveWindow: number = LIMITS.windowBytes;
  /** For the connection: whether it stands in the row of those which send. */
  isReady = false;

  readonly #core: StreamCore;
  #outgoing: Outgoing | undefined;
  #opened = false;
  #wantsOpen = false;
  #wantsEnd = false;
  #sentLast = false;
  #end: StreamEnd | undefined;
  #isCancelled = false;
  #compression = 0;
  #leadingIsKnown = false;
  #resolveEnded!: (end: StreamEnd) => void;
  #resolveLeading!: (leading: Leading) => void;

  readonly #incoming: { message: IncomingMessage; unreturned: number }[] = [];
  #reader: (() => void) | undefined;
  #pieces: Uint8Array[] = [];
  #piecesBytes = 0;
  #piecesCompressed = false;
  #isInMessage = false;
  /** Of the pieces, what has not been given back to the peer. */
  #piecesUnreturned = 0;
  #unreturned = 0;

  constructor(call: OpenStream, core: StreamCore) {
    this.call = call;
    this.#core = core;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.leading = new Promise((resolve) => (this.#resolveLeading = resolve));
  }

  /** Tells the server about the call before there is a message. */
  start(): void {
    if (this.#opened || this.#isOver) return;
    this.#wantsOpen = true;
    this.#core.wants(this);
  }

  /** Sends a message. It is done when the last byte was handed to the link, or nobody wants it any more. One at a time. */
  send(bytes: Uint8Array, options: { compressed?: boolean; last?: boolean } = {}): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    if (this.#outgoing !== undefined) throw new Error("a message is being sent already");
    return new Promise((sent) => {
      this.#outgoing = { bytes, compressed: options.compressed ?? false, last: options.last ?? false, sent, offset: 0 };
      this.#core.wants(this);
    });
  }

  /** No more messages. */
  end(): void {
    if (this.#isOver || this.#sentLast) return;
    this.#wantsEnd = true;
    this.#core.wants(this);
  }

  /** Nobody waits any more. The stream ends at once for us, with this. */
  cancel(code: number, message: string): void {
    if (this.#isOver) return;
    this.#isCancelled = true;
    this.#core.cancel(this);
    this.finish(ended(code, message, false));
  }

  /** The next message, or nothing if there is none any more: then `ended` says why. */
  async receive(): Promise<IncomingMessage | undefined> {
    for (;;) {
      const next = this.#incoming.shift();
      if (next !== undefined) {
        this.#returnWindow(next.unreturned);
        if (this.#incoming.length === 0 && this.#piecesUnreturned > 0) {
          this.#returnWindow(this.#piecesUnreturned);
          this.#piecesUnreturned = 0;
        }
        return next.message;
      }
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => (this.#reader = resolve));
    }
  }

  /** For the connection. */
  get hasOutput(): boolean {
    if (this.#isOver) return false;
    return this.#outgoing !== undefined || (this.#wantsOpen && !this.#opened) || (this.#wantsEnd && !this.#sentLast);
  }

  get isInMessage(): boolean {
    return this.#isInMessage;
  }

  /** Whether the server may know of the call. */
  get wasSent(): boolean {
    return this.#opened;
  }

  /** For the connection: writes one frame and says how many bytes of a message it has; nothing if it has to wait. */
  writeFrame(
    out: ByteWriter,
    connectionWindow: number,
    frameBytesMax: number,
    number: (call: OpenStream) => { reference: Uint8Array; known: boolean },
  ): number | undefined {
    if (!this.hasOutput) return undefined;
    const message = this.#outgoing;
    const left = message === undefined ? 0 : message.bytes.length - message.offset;
    const room = Math.min(this.sendWindow, connectionWindow);
    if (left > 0 && room <= 0) return undefined;

    let head: Uint8Array = new Uint8Array();
    let flags = 0;
    let kind: number = message === undefined ? Kind.End : Kind.Message;
    if (!this.#opened) {
      const method = number(this.call);
      const fields = encodeCallFields(callFields(this.call, method.known));
      const total = fields.length > 0 ? encodeVarint(fields.length) : new Uint8Array();
      const parts = new ByteWriter(method.reference.length + total.length + fields.length);
      parts.bytes(method.reference);
      parts.bytes(total);
      parts.bytes(fields);
      head = parts.take();
      if (fields.length > 0) flags |= Flag.Fields;
      kind = message === undefined ? Kind.Open : Kind.Call;
      this.#opened = true;
    }

    if (message === undefined) {
      if (this.#wantsEnd) {
        this.#sentLast = true;
        if (kind === Kind.Open) flags |= Flag.Last;
      }
      writeFrame(out, kind, flags, this.number, head);
      return 0;
    }

    const bytes = Math.min(left, room, frameBytesMax - head.length);
    if (message.compressed) flags |= Flag.Compressed;
    const isWhole = bytes === left;
    if (!isWhole) flags |= Flag.More;
    const isLast = isWhole && (message.last || this.#wantsEnd);
    if (isLast) {
      flags |= Flag.Last;
      this.#sentLast = true;
    }
    writeFrameHead(out, kind, flags, this.number, head.length + bytes);
    out.bytes(head);
    out.bytes(message.bytes.subarray(message.offset, message.offset + bytes));
    message.offset += bytes;
    this.sendWindow -= bytes;
    if (isWhole) {
      this.#outgoing = undefined;
      message.sent();
    }
    return bytes;
  }

  /** For the connection. */
  handleHeaders(fields: CallFields): void {
    if (this.#isCancelled) return;
    if (this.#leadingIsKnown) throw new PeerMisbehaved("headers after headers or a message");
    this.#learnLeading(fields);
    this.#refuse(this.#faultOf(fields, false), false);
  }

  /** For the connection. */
  handleMessage(flags: number, fields: CallFields | undefined, bytes: Uint8Array): void {
    const more = (flags & Flag.More) !== 0;
    const first = !this.#isInMessage;
    this.#isInMessage = more;
    if (this.#isCancelled) return;
    if (first) {
      this.#learnLeading(fields ?? {});
      this.#piecesCompressed = (flags & Flag.Compressed) !== 0;
      const fault = this.#faultOf(fields ?? {}, this.#piecesCompressed);
      if (fault !== undefined) {
        this.#refuse(fault, (flags & Flag.Last) !== 0);
        return;
      }
    }
    this.#piecesBytes += bytes.length;
    if (this.#piecesBytes > this.call.messageBytesMax) {
      const text = `a message is larger than the ${this.call.messageBytesMax} bytes that are allowed`;
      if ((flags & Flag.Last) !== 0) this.finish(ended(Code.ResourceExhausted, text, false));
      else this.cancel(Code.ResourceExhausted, text);
      return;
    }
    this.#pieces.push(bytes);
    if (more) {
      // A message may be larger than the window, so its pieces make room for those which follow; but only if nothing
      // stands before it that the application has not read.
      if (this.#incoming.length === 0) this.#returnWindow(bytes.length);
      else this.#piecesUnreturned += bytes.length;
      return;
    }
    const message = { bytes: join(this.#pieces, this.#piecesBytes), compressed: this.#piecesCompressed };
    this.#incoming.push({ message, unreturned: this.#piecesUnreturned + bytes.length });
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#piecesUnreturned = 0;
    this.#wake();
    if ((flags & Flag.Last) !== 0) this.#finishWith(fields ?? {}, 0);
  }

  /** For the connection. */
  handleEnd(fields: CallFields): void {
    this.#learnLeading(fields);
    this.#refuse(this.#faultOf(fields, false), true);
    if (this.#isInMessage && (fields.code ?? 0) === 0) {
      this.finish(ended(Code.Internal, "the server ended the call in the middle of a message", false));
      return;
    }
    this.#finishWith(fields, fields.code ?? 0);
  }

  /** Ends the stream here, unless it has ended. */
  finish(end: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#learnLeading({});
    this.#outgoing?.sent();
    this.#outgoing = undefined;
    this.#resolveEnded(end);
    this.#wake();
  }

  get #isOver(): boolean {
    return this.#end !== undefined;
  }

  #finishWith(fields: CallFields, code: number): void {
    this.finish({
      code: code <= CODE_MAX ? code : Code.Unknown,
      message: fields.message ?? "",
      details: fields.details ?? [],
      trailing: forApplications(fields.trailing ?? []),
      unprocessed: fields.unprocessed ?? false,
      fromServer: true,
    });
  }

  #learnLeading(fields: CallFields): void {
    if (this.#leadingIsKnown) return;
    this.#leadingIsKnown = true;
    this.#compression = fields.compression ?? 0;
    this.#resolveLeading({ metadata: forApplications(fields.leading ?? []), compression: this.#compression });
  }

  /** What is wrong with fields and flags of the server's so that this call, and only this, cannot go on. */
  #faultOf(fields: CallFields, isCompressed: boolean): string | undefined {
    const odd = [...(fields.leading ?? []), ...(fields.trailing ?? [])].find((entry) => !mayTravel(entry));
    if (odd !== undefined) return `the server sent metadata that may not travel: "${odd[0]}"`;
    if (this.#compression !== 0 && (this.call.accepted & (1 << this.#compression)) === 0) {
      return `the server compresses with number ${this.#compression}, which was not accepted`;
    }
    if (isCompressed && this.#compression === 0) return "the server sent a compressed message and did not say how";
    return undefined;
  }

  #refuse(fault: string | undefined, isOver: boolean): void {
    if (fault === undefined) return;
    if (isOver) this.finish(ended(Code.Internal, fault, false));
    else this.cancel(Code.Internal, fault);
  }

  #returnWindow(bytes: number): void {
    this.#unreturned += bytes;
    if (this.#isOver || this.#unreturned * 2 < LIMITS.windowBytes) return;
    this.#core.returnWindow(this, this.#unreturned);
    this.#unreturned = 0;
  }

  #wake(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.();
  }
}

/** What a call says beside its method. What the server remembers with the method's number is left out. */
function callFields(call: OpenStream, isKnown: boolean): CallFields {
  const fields: CallFields = {};
  if (call.deadline !== undefined) fields.timeoutMicros = Math.max(1, Math.round((call.deadline - now()) * 1000));
  if (call.leading.length > 0) fields.leading = [...call.leading];
  if (!isKnown) {
    if (call.codec !== 0) fields.codec = call.codec;
    if (call.compression !== 0) fields.compression = call.compression;
    if (call.accepted > 1) fields.accepted = call.accepted;
    if (call.authority !== "") fields.authority = call.authority;
  }
  return fields;
}

/** What stands before the message in a call's first frame, and the least of the message. */
function headBytesAtMost(call: OpenStream): number {
  let bytes = 64 + 3 * (call.path.length + call.authority.length);
  for (const [key, value] of call.leading) bytes += 8 + key.length + value.length;
  return bytes;
}

function ended(code: number, message: string, unprocessed: boolean): StreamEnd {
  return { code, message, details: [], trailing: [], unprocessed, fromServer: false };
}

function mayTravel([key, value]: MetadataEntry): boolean {
  if (!/^[0-9a-z_.-]+$/.test(key)) return false;
  return key.endsWith("-bin") || value.every((byte) => byte >= 0x20 && byte <= 0x7e);
}

/** Keys that gRPC keeps for itself are not the application's, but for these. */
const RESERVED_AND_TOLD = new Set([
  "grpc-previous-rpc-attempts",
  "grpc-retry-pushback-ms",
  "grpc-tags-bin",
  "grpc-trace-bin",
]);

function forApplications(entries: readonly MetadataEntry[]): readonly MetadataEntry[] {
  return entries.filter(([key]) => !key.startsWith("grpc-") || RESERVED_AND_TOLD.has(key));
}

function join(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const joined = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

function now(): number {
  return performance.now();
}
