// Between Connect's `Headers` and the protocol's metadata.

import { Code, ConnectError, decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";

import { text, utf8 } from "./bytes.js";
import type { MetadataEntry } from "./frames.js";

/** Throws `ConnectError` where a value cannot travel. */
export function metadataOf(headers: Headers): MetadataEntry[] {
  const entries: MetadataEntry[] = [];
  headers.forEach((value, key) => {
    if (!/^[0-9a-z_.-]+$/.test(key)) {
      throw new ConnectError(`metadata key "${key}": only letters, digits and _ - . are allowed`, Code.Internal);
    }
    if (key.endsWith("-bin")) {
      // Several values under one key are joined by commas, which base64 does not use.
      for (const encoded of value.split(",")) entries.push([key, decoded(key, encoded.trim())]);
      return;
    }
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new ConnectError(
        `metadata "${key}": only printable ASCII is allowed; other text goes under a key that ends in -bin`,
        Code.Internal,
      );
    }
    entries.push([key, utf8(value)]);
  });
  return entries;
}

export function headersOf(entries: readonly MetadataEntry[]): Headers {
  const headers = new Headers();
  for (const [key, value] of entries) {
    try {
      headers.append(key, key.endsWith("-bin") ? encodeBinaryHeader(value) : text(value));
    } catch {
      // What may travel is more than what `Headers` takes in some browser's opinion. The call is worth more than an entry.
    }
  }
  return headers;
}

function decoded(key: string, value: string): Uint8Array {
  try {
    return decodeBinaryHeader(value);
  } catch (error) {
    throw new ConnectError(`metadata "${key}" is not base64`, Code.Internal, undefined, undefined, error);
  }
}
