// The page's one connection, and the clients that speak over it.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { polywireTransport } from "polywire-web";

import { Orders } from "./generated/orders/v1/orders_pb.js";
import { Stock } from "./generated/stock/v1/stock_pb.js";

// Under `npm run dev` the page comes from elsewhere than the server.
const url = import.meta.env.DEV ? "ws://127.0.0.1:8080/" : new URL("/", location.href).href;

export const transport = polywireTransport({ url });
export const orders = createClient(Orders, transport);
export const stock = createClient(Stock, transport);

/** How long a person waits before he wants to know. */
export const TIMEOUT_MS = 8_000;

/** What went wrong, for a person. */
export function words(error: unknown): string {
  const { code, rawMessage } = ConnectError.from(error);
  if (code === Code.DeadlineExceeded) return "The café did not answer in time. Try again.";
  if (code === Code.Unavailable) return `The café cannot be reached: ${rawMessage}.`;
  const sentence = rawMessage === "" ? Code[code] : rawMessage;
  const end = /[.!?]$/.test(sentence) ? "" : ".";
  return sentence.charAt(0).toUpperCase() + sentence.slice(1) + end;
}
