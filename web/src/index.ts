export { gzip } from "./compression.js";
export { polywireTransport } from "./transport.js";
export type { PolywireTransport, PolywireTransportOptions } from "./transport.js";
export type { Backoff, ConnectionState, WebSocketConstructor, WebSocketLike } from "./socket.js";
