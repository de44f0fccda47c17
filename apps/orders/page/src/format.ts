// How values are shown.

import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { Money } from "./generated/money/v1/money_pb.js";
import { OrderStatus } from "./generated/orders/v1/orders_pb.js";

export function amount(money: Money | undefined): number {
  return money === undefined ? 0 : Number(money.units) + money.nanos / 1e9;
}

export function price(value: number, currency: string): string {
  return new Intl.NumberFormat("en", { style: "currency", currency: currency || "EUR" }).format(value);
}

export function money(value: Money | undefined): string {
  return price(amount(value), value?.currencyCode ?? "");
}

/** "orders/0192…" as a short sign that people can compare. */
export function shortName(name: string): string {
  return `#${name.slice(-5).toUpperCase()}`;
}

export function clock(time: Timestamp | undefined): string {
  if (time === undefined) return "";
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" }).format(timestampMs(time));
}

export function minutesUntil(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Math.round((timestampMs(time) - Date.now()) / 60_000);
}

export const STATUS: Readonly<Record<OrderStatus, { key: string; label: string }>> = {
  [OrderStatus.ORDER_STATUS_UNSPECIFIED]: { key: "unknown", label: "Unknown" },
  [OrderStatus.CONFIRMED]: { key: "confirmed", label: "Confirmed" },
  [OrderStatus.PREPARING]: { key: "preparing", label: "Preparing" },
  [OrderStatus.READY]: { key: "ready", label: "Ready" },
  [OrderStatus.COMPLETED]: { key: "completed", label: "Handed over" },
  [OrderStatus.CANCELLED]: { key: "cancelled", label: "Cancelled" },
  [OrderStatus.EXPIRED]: { key: "expired", label: "Expired" },
};

export function isOpen(status: OrderStatus): boolean {
  return status === OrderStatus.CONFIRMED || status === OrderStatus.PREPARING || status === OrderStatus.READY;
}
