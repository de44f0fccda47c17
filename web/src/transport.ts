// Connect's `Transport` over the native protocol: calls, messages and errors as `@connectrpc/connect` knows them.

import type {
  BinaryReadOptions,
  BinaryWriteOptions,
  DescMessage,
  DescMethodStreaming,
  DescMethodUnary,
  JsonReadOptions,
  JsonWriteOptions,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { appendHeaders, Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { ContextValues, Interceptor, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import {
  createClientMethodSerializers,
  createMethodUrl,
  getAbortSignalReason,
  runStreamingCall,
  runUnaryCall,
} from "@connectrpc/connect/protocol";
import type { Compression } from "@connectrpc/connect/protocol";

import { COMPRESSION_NUMBERS } from "./compression.js";
import type { IncomingMessage, OpenStream, Stream, StreamEnd } from "./connection.js";
import { headersOf, metadataOf } from "./metadata.js";
import { BACKOFF, Socket } from "./socket.js";
import type { Backoff, ConnectionState, WebSocketConstructor } from "./socket.js";

export interface PolywireTransportOptions {
  /** Where the server is: `ws://…`, `wss://…`, or `http(s)://…`, which means the same. A page may give a path alone. */
  url: string;
  /** Whether messages travel as Protobuf (the default) or as JSON. */
  useBinaryFormat?: boolean;
  /** Code around every call. */
  interceptors?: Interceptor[];
  /** The timeout of calls which name none. */
  defaultTimeoutMs?: number;
  /** The WebSocket to use where the environment has none: `WebSocket` of the package `ws` in Node before 22. */
  webSocket?: WebSocketConstructor;
  /** Pauses between attempts to connect. */
  backoff?: Partial<Backoff>;
  /** How long an attempt to connect may take: 10 s. */
  connectTimeoutMs?: number;
  /** Messages of the server may be this large: 4 MiB. */
  readMaxBytes?: number;
  /** Our own messages may be this large: no bound of ours. */
  writeMaxBytes?: number;
  /** Compressions the server may use. */
  acceptCompression?: Compression[];
  /** The compression of our messages. */
  sendCompression?: Compression;
  /** Messages smaller than this are not worth compressing: 1024. */
  compressMinBytes?: number;
  jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions>;
  binaryOptions?: Partial<BinaryReadOptions & BinaryWriteOptions>;
}

/** A Connect transport, and how its connection stands. */
export interface PolywireTransport extends Transport {
  /** How the connection stands at this moment. */
  readonly state: ConnectionState;
  /** Calls the listener at each change, until the function that it returns is called. */
  onStateChange(listener: (state: ConnectionState) => void): () => void;
  /** Connects now instead of with the first call, or at the end of a pause. */
  connect(): void;
  /** Ends all calls and the connection, for good. */
  close(): void;
}

/**
 * A transport for Connect's clients over one WebSocket. It connects with the first call, and again whenever the
 * connection is lost, until it is closed.
 *
 * ```ts
 * const orders = createClient(Orders, polywireTransport({ url: "ws://127.0.0.1:8080/" }));
 * const order = await orders.get({ name: "orders/1" });
 * ```
 */
export function polywireTransport(options: PolywireTransportOptions): PolywireTransport {
  const url = webSocketUrl(options.url);
  const socket = new Socket({
    url,
    webSocket: options.webSocket ?? globalWebSocket(),
    backoff: { ...BACKOFF, ...options.backoff },
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    random: Math.random,
  });
  return new NativeTransport(socket, url, options);
}

/** An unprocessed call is made again this often: the server may be drained just when the call comes. */
const ATTEMPTS_MAX = 3;

class NativeTransport implements PolywireTransport {
  readonly #socket: Socket;
  readonly #url: string;
  readonly #authority: string;
  readonly #options: PolywireTransportOptions;
  readonly #useBinaryFormat: boolean;
  readonly #readMaxBytes: number;
  readonly #accepted: ReadonlyMap<number, Compression>;
  readonly #sendCompression: number;

  constructor(socket: Socket, url: string, options: PolywireTransportOptions) {
    this.#socket = socket;
    this.#url = url;
    this.#authority = new URL(url).host;
    this.#options = options;
    this.#useBinaryFormat = options.useBinaryFormat ?? true;
    this.#readMaxBytes = options.readMaxBytes ?? 4 * 1024 * 1024;
    this.#accepted = new Map((options.acceptCompression ?? []).map((known) => [compressionNumber(known), known]));
    this.#sendCompression = options.sendCompression === undefined ? 0 : compressionNumber(options.sendCompression);
  }

  get state(): ConnectionState {
    return this.#socket.state;
  }

  onStateChange(listener: (state: ConnectionState) => void): () => void {
    return this.#socket.onStateChange(listener);
  }

  connect(): void {
    this.#socket.connect();
  }

  close(): void {
    this.#socket.close();
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const timeout = this.#timeout(timeoutMs);
    const deadline = deadlineOf(timeout);
    const { serialize, parse } = this.#serializers(method);
    return await runUnaryCall<I, O>({
      ...this.#running(signal, timeout),
      req: {
        stream: false,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: createMethodUrl(this.#url, method),
        header: new Headers(header),
        contextValues: contextValues ?? createContextValues(),
        message: input,
      },
      next: async (request) => {
        const bytes = serialize(request.message);
        const call = await this.#openAndSend(this.#call(method, request.header, deadline), bytes, request.signal);
        const message = await call.only(parse);
        return {
          stream: false,
          service: method.parent,
          method,
          header: call.header,
          message,
          trailer: call.trailer,
        } satisfies UnaryResponse<I, O>;
      },
    });
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const timeout = this.#timeout(timeoutMs);
    const deadline = deadlineOf(timeout);
    const { serialize, parse } = this.#serializers(method);
    return runStreamingCall<I, O>({
      ...this.#running(signal, timeout),
      req: {
        stream: true,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: createMethodUrl(this.#url, method),
        header: new Headers(header),
        contextValues: contextValues ?? createContextValues(),
        message: input,
      },
      next: async (request) => {
        const open = this.#call(method, request.header, deadline);
        let call: RunningCall;
        if (method.methodKind === "server_streaming") {
          call = await this.#openAndSend(open, serialize(await onlyInput(request.message)), request.signal);
        } else {
          const stream = (await this.#socket.connection(request.signal)).open(open);
          call = new RunningCall(stream, this.#accepted, request.signal);
          void this.#sendAll(stream, request.message, serialize);
          await call.begun();
        }
        return {
          stream: true,
          service: method.parent,
          method,
          header: call.header,
          trailer: call.trailer,
          message: call.messages(parse),
        } satisfies StreamResponse<I, O>;
      },
    });
  }

  /** A call with one message, which is made again if a server says that it has not begun with it. */
  async #openAndSend(open: OpenStream, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<RunningCall> {
    const message = await this.#pack(bytes);
    for (let attempt = 1; ; attempt++) {
      const stream = (await this.#socket.connection(signal)).open(open);
      const call = new RunningCall(stream, this.#accepted, signal);
      void stream.send(message.bytes, { compressed: message.compressed, last: true });
      const end = await call.begun();
      if (end?.unprocessed !== true || attempt === ATTEMPTS_MAX) return call;
    }
  }

  /** Sends what the application gives, one message after the other, as fast as the server takes them. */
  async #sendAll<T>(stream: Stream, input: AsyncIterable<T>, serialize: (message: T) => Uint8Array<ArrayBuffer>): Promise<void> {
    const messages = input[Symbol.asyncIterator]();
    let isOver = false;
    void stream.ended.then(() => {
      isOver = true;
      // Nobody wants the rest. The application may be waiting in its midst, so neither do we wait.
      messages.return?.().catch(() => {});
    });
    // Its first message opens the call, if it is there already; otherwise the server hears of the call without one.
    const start = setTimeout(() => stream.start());
    try {
      for (;;) {
        const next = await messages.next();
        if (isOver) break;
        if (next.done === true) {
          stream.end();
          break;
        }
        const message = await this.#pack(serialize(next.value));
        await stream.send(message.bytes, { compressed: message.compressed });
      }
    } catch (error) {
      const cause = ConnectError.from(error, Code.Canceled);
      stream.cancel(cause.code, cause.rawMessage);
    } finally {
      clearTimeout(start);
    }
  }

  async #pack(bytes: Uint8Array<ArrayBuffer>): Promise<{ bytes: Uint8Array<ArrayBuffer>; compressed: boolean }> {
    const { sendCompression, compressMinBytes = 1024, writeMaxBytes = Infinity } = this.#options;
    if (bytes.length > writeMaxBytes) {
      throw new ConnectError(
        `a message of ${bytes.length} bytes is larger than the ${writeMaxBytes} that are allowed`,
        Code.ResourceExhausted,
      );
    }
    if (sendCompression === undefined || bytes.length < compressMinBytes) return { bytes, compressed: false };
    return { bytes: await sendCompression.compress(bytes), compressed: true };
  }

  #call(method: DescMethodUnary | DescMethodStreaming, header: Headers, deadline: number | undefined): OpenStream {
    let accepted = 1;
    for (const number of this.#accepted.keys()) accepted |= 1 << number;
    return {
      path: `${method.parent.typeName}/${method.name}`,
      authority: this.#authority,
      leading: metadataOf(header),
      codec: this.#useBinaryFormat ? 0 : 1,
      compression: this.#sendCompression,
      accepted,
      deadline,
      messageBytesMax: this.#readMaxBytes,
    };
  }

  #serializers<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O> | DescMethodStreaming<I, O>) {
    return createClientMethodSerializers(
      method,
      this.#useBinaryFormat,
      this.#options.jsonOptions,
      this.#options.binaryOptions,
    );
  }

  #timeout(timeoutMs: number | undefined): number | undefined {
    if (timeoutMs === undefined) return this.#options.defaultTimeoutMs;
    // As in Connect's own transports: zero takes the default timeout away.
    return timeoutMs <= 0 ? undefined : timeoutMs;
  }

  #running(signal: AbortSignal | undefined, timeoutMs: number | undefined) {
    return {
      interceptors: this.#options.interceptors ?? [],
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    };
  }
}

/** A stream as Connect sees it: headers, parsed messages, and errors thrown. */
class RunningCall {
  header = new Headers();
  /** Filled when the stream has ended; the object stays the same because interceptors may hold it. */
  readonly trailer = new Headers();
  readonly #stream: Stream;
  readonly #accepted: ReadonlyMap<number, Compression>;
  readonly #signal: AbortSignal;
  readonly #unsubscribe: () => void;
  #compression = 0;

  constructor(stream: Stream, accepted: ReadonlyMap<number, Compression>, signal: AbortSignal) {
    this.#stream = stream;
    this.#accepted = accepted;
    this.#signal = signal;
    const abort = () => {
      const reason = ConnectError.from(getAbortSignalReason(signal), Code.Canceled);
      stream.cancel(reason.code, reason.rawMessage);
    };
    this.#unsubscribe = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
    void stream.ended.then(this.#unsubscribe);
  }

  /** Waits for the first that the server says. The end, if that was already it and no message came before. */
  async begun(): Promise<StreamEnd | undefined> {
    let end: StreamEnd | undefined;
    const ended = this.#stream.ended.then((it) => (end = it));
    const leading = await this.#stream.leading;
    this.header = headersOf(leading.metadata);
    this.#compression = leading.compression;
    // Lets `end` be set if the stream is over.
    await Promise.race([ended, Promise.resolve()]);
    return end;
  }

  /** The one message of a call that has one. */
  async only<T>(parse: (bytes: Uint8Array) => T): Promise<T> {
    const first = await this.#stream.receive();
    if (first === undefined) {
      await this.#conclude();
      throw new ConnectError("the server ended the call without an answer", Code.Unimplemented, this.trailer);
    }
    if ((await this.#stream.receive()) !== undefined) {
      this.#stream.cancel(Code.Unimplemented, "too many messages");
      throw new ConnectError("the server answered a call for one message with several", Code.Unimplemented);
    }
    await this.#conclude();
    return parse(await this.#unpack(first));
  }

  async *messages<T>(parse: (bytes: Uint8Array) => T): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        const message = await this.#stream.receive();
        if (message === undefined) break;
        yield parse(await this.#unpack(message));
      }
      await this.#conclude();
    } finally {
      // Has no effect on a stream that has ended: this is for those who stop reading, and for what cannot be parsed.
      this.#stream.cancel(Code.Canceled, "nobody reads the answer any more");
    }
  }

  /** The stream has ended: trailers, and an error if that is how it ended. */
  async #conclude(): Promise<void> {
    const end = await this.#stream.ended;
    headersOf(end.trailing).forEach((value, key) => this.trailer.append(key, value));
    if (end.code === 0) return;
    if (!end.fromServer && this.#signal.aborted) throw ConnectError.from(getAbortSignalReason(this.#signal), Code.Canceled);
    const error = new ConnectError(
      end.message,
      end.code as Code,
      appendHeaders(this.header, this.trailer),
    );
    error.details = end.details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
    throw error;
  }

  async #unpack(message: IncomingMessage): Promise<Uint8Array> {
    if (!message.compressed) return message.bytes;
    const compression = this.#accepted.get(this.#compression);
    if (compression === undefined) {
      throw new ConnectError(`a message is compressed with number ${this.#compression}, which was not accepted`, Code.Internal);
    }
    return await compression.decompress(message.bytes, this.#stream.call.messageBytesMax);
  }
}

async function onlyInput<I extends DescMessage>(messages: AsyncIterable<MessageShape<I>>): Promise<MessageShape<I>> {
  let only: MessageShape<I> | undefined;
  for await (const message of messages) {
    if (only !== undefined) throw new ConnectError("this method takes one message, and was given several", Code.Unimplemented);
    only = message;
  }
  if (only === undefined) throw new ConnectError("this method takes one message, and was given none", Code.Unimplemented);
  return only;
}

function deadlineOf(timeoutMs: number | undefined): number | undefined {
  return timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
}

function compressionNumber(compression: Compression): number {
  const number = COMPRESSION_NUMBERS[compression.name];
  if (number === undefined) {
    const known = Object.keys(COMPRESSION_NUMBERS).join(", ");
    throw new TypeError(`polywireTransport: there is no compression "${compression.name}"; there are ${known}`);
  }
  return number;
}

/** Throws `TypeError` where it is not an address. */
export function webSocketUrl(url: string): string {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  let parsed: URL;
  try {
    parsed = new URL(url, base);
  } catch {
    throw new TypeError(`polywireTransport: "${url}" is not an address; give one like "ws://127.0.0.1:8080/"`);
  }
  if (parsed.protocol === "http:") parsed.protocol = "ws:";
  if (parsed.protocol === "https:") parsed.protocol = "wss:";
  if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
    throw new TypeError(`polywireTransport: "${url}" has to begin with ws:, wss:, http: or https:`);
  }
  parsed.hash = "";
  return parsed.href;
}

function globalWebSocket(): WebSocketConstructor {
  const found = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (found === undefined) {
    throw new TypeError(
      'polywireTransport: this environment has no WebSocket (Node has one from 22 on); pass one: `import { WebSocket } from "ws"`, then `webSocket: WebSocket`',
    );
  }
  return found;
}
