// The interoperability test client on @connectrpc/connect-node and connect-web:
// `client.js --server_host=H --server_port=P --test_case=A[,B…] --descriptors=F [--use_tls=true --ca_file=F --server_host_override=N]`
// plays each case over every protocol and HTTP version that can carry it, and says `case A ok` or `case A FAIL why`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader } from '@connectrpc/connect';
import * as node from '@connectrpc/connect-node';
import * as web from '@connectrpc/connect-web';

const LARGE_REQUEST = 271828;
const LARGE_RESPONSE = 314159;
const REQUEST_SIZES = [27182, 8, 1828, 45904];
const RESPONSE_SIZES = [31415, 9, 2653, 58979];
const PATIENCE_MS = 20_000; // a call that takes longer counts as hanging

const options = Object.fromEntries(
  process.argv.slice(2).map((word) => {
    const [, name, value] = /^--(\w+)=(.*)$/s.exec(word) ?? [];
    return [name, value];
  }),
);
const tls = options.use_tls === 'true';
const baseUrl = `${tls ? 'https' : 'http'}://${options.server_host ?? '127.0.0.1'}:${options.server_port}`;
const nodeOptions = tls ? { ca: readFileSync(options.ca_file), servername: options.server_host_override } : {};
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(options.descriptors)));

// What a way can carry: `duplex` answers while it still asks, `client` streams requests.
const NODE_2 = { httpVersion: '2', duplex: true, client: true };
const NODE_1 = { httpVersion: '1.1', duplex: false, client: true };
const FETCH = { duplex: false, client: false };
const ways = {
  'connect over 1.1': { ...NODE_1, open: node.createConnectTransport },
  'connect over 1.1, JSON': { ...NODE_1, open: node.createConnectTransport, useBinaryFormat: false },
  'connect over 2': { ...NODE_2, open: node.createConnectTransport, useBinaryFormat: true },
  'connect over 2, GET': { ...NODE_2, open: node.createConnectTransport, useHttpGet: true },
  'grpc-web over 1.1': { ...NODE_1, open: node.createGrpcWebTransport },
  'grpc-web over 2': { ...NODE_2, open: node.createGrpcWebTransport },
  'grpc over 2': { ...NODE_2, open: node.createGrpcTransport },
};
// fetch believes no authority but the system's.
if (!tls) {
  ways['connect by fetch'] = { ...FETCH, open: web.createConnectTransport };
  ways['connect by fetch, Protobuf'] = { ...FETCH, open: web.createConnectTransport, useBinaryFormat: true };
  ways['grpc-web by fetch'] = { ...FETCH, open: web.createGrpcWebTransport };
}

function open(way, service = 'grpc.testing.TestService') {
  const { open: create, duplex, client, ...settings } = way;
  const binary = create === web.createConnectTransport ? {} : { useBinaryFormat: true };
  return createClient(registry.getService(service), create({ baseUrl, nodeOptions, ...binary, ...settings }));
}

const patience = (more) => ({ timeoutMs: PATIENCE_MS, ...more });
const zeros = (size) => ({ body: new Uint8Array(size) });
const largeRequest = () => ({ responseSize: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST) });
const duplexRequest = (up, down) => ({ payload: zeros(up), responseParameters: [{ size: down }] });

async function* stream(messages) {
  yield* messages;
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ConnectError, `not a status: ${error}`);
    return error;
  }
  throw new Error('the call succeeded');
}

async function sizesOf(responses) {
  const sizes = [];
  for await (const response of responses) sizes.push(response.payload.body.length);
  return sizes;
}

async function statusEcho(client, way, message, streaming) {
  const request = { responseStatus: { code: Code.Unknown, message } };
  const errors = [await errorOf(client.unaryCall(request, patience()))];
  if (streaming && way.client) errors.push(await errorOf(sizesOf(client.fullDuplexCall(stream([request]), patience()))));
  for (const error of errors) {
    assert.equal(error.code, Code.Unknown);
    assert.equal(error.rawMessage, message);
  }
}

const cases = {
  empty_unary: {
    play: async (client) => assert.equal((await client.emptyCall({}, patience())).$typeName, 'grpc.testing.Empty'),
  },

  large_unary: {
    async play(client) {
      const response = await client.unaryCall(largeRequest(), patience());
      assert.equal(response.payload.body.length, LARGE_RESPONSE);
    },
  },

  client_streaming: {
    needs: 'client',
    async play(client) {
      const requests = REQUEST_SIZES.map((size) => ({ payload: zeros(size) }));
      const { aggregatedPayloadSize } = await client.streamingInputCall(stream(requests), patience());
      assert.equal(aggregatedPayloadSize, 74922);
    },
  },

  server_streaming: {
    async play(client) {
      const request = { responseParameters: RESPONSE_SIZES.map((size) => ({ size })) };
      assert.deepEqual(await sizesOf(client.streamingOutputCall(request, patience())), RESPONSE_SIZES);
    },
  },

  ping_pong: {
    needs: 'duplex',
    async play(client) {
      let answered;
      async function* requests() {
        for (const [i, size] of RESPONSE_SIZES.entries()) {
          const answer = new Promise((resolve) => (answered = resolve));
          yield duplexRequest(REQUEST_SIZES[i], size);
          await answer;
        }
      }
      const sizes = [];
      for await (const response of client.fullDuplexCall(requests(), patience())) {
        sizes.push(response.payload.body.length);
        answered();
      }
      assert.deepEqual(sizes, RESPONSE_SIZES);
    },
  },

  empty_stream: {
    needs: 'client',
    play: async (client) => assert.deepEqual(await sizesOf(client.fullDuplexCall(stream([]), patience())), []),
  },

  custom_metadata: {
    async play(client, way) {
      const value = new Uint8Array([0xab, 0xab, 0xab]);
      const headers = {
        'x-grpc-test-echo-initial': 'test_initial_metadata_value',
        'x-grpc-test-echo-trailing-bin': encodeBinaryHeader(value),
      };
      const seen = {};
      const call = () =>
        patience({
          headers,
          onHeader: (initial) => (seen.initial = initial),
          onTrailer: (trailing) => (seen.trailing = trailing),
        });
      const check = () => {
        assert.equal(seen.initial.get('x-grpc-test-echo-initial'), 'test_initial_metadata_value');
        assert.deepEqual(decodeBinaryHeader(seen.trailing.get('x-grpc-test-echo-trailing-bin') ?? ''), value);
      };
      await client.unaryCall(largeRequest(), call());
      check();
      if (!way.client) return;
      const responses = client.fullDuplexCall(stream([duplexRequest(LARGE_REQUEST, LARGE_RESPONSE)]), call());
      assert.deepEqual(await sizesOf(responses), [LARGE_RESPONSE]);
      check();
    },
  },

  status_code_and_message: { play: (client, way) => statusEcho(client, way, 'test status message', true) },

  special_status_message: {
    play: (client, way) =>
      statusEcho(client, way, '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n', false),
  },

  unimplemented_method: {
    async play(client) {
      assert.equal((await errorOf(client.unimplementedCall({}, patience()))).code, Code.Unimplemented);
    },
  },

  unimplemented_service: {
    async play(_, way) {
      const client = open(way, 'grpc.testing.UnimplementedService');
      assert.equal((await errorOf(client.unimplementedCall({}, patience()))).code, Code.Unimplemented);
    },
  },

  cancel_after_begin: {
    needs: 'client',
    async play(client) {
      const giveUp = new AbortController();
      async function* requests() {
        giveUp.abort();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const call = client.streamingInputCall(requests(), patience({ signal: giveUp.signal }));
      assert.equal((await errorOf(call)).code, Code.Canceled);
      await client.emptyCall({}, patience());
    },
  },

  cancel_after_first_response: {
    needs: 'duplex',
    async play(client) {
      const giveUp = new AbortController();
      async function* requests() {
        yield duplexRequest(REQUEST_SIZES[0], RESPONSE_SIZES[0]);
        await new Promise((resolve) => giveUp.signal.addEventListener('abort', resolve));
      }
      const read = async () => {
        for await (const _ of client.fullDuplexCall(requests(), patience({ signal: giveUp.signal }))) giveUp.abort();
      };
      assert.equal((await errorOf(read())).code, Code.Canceled);
      await client.emptyCall({}, patience());
    },
  },

  timeout_on_sleeping_server: {
    needs: 'client',
    async play(client) {
      async function* requests() {
        yield { payload: zeros(REQUEST_SIZES[0]) };
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const error = await errorOf(sizesOf(client.fullDuplexCall(requests(), { timeoutMs: 1 })));
      assert.equal(error.code, Code.DeadlineExceeded);
    },
  },

  very_large_request: {
    async play(client) {
      const request = { responseSize: 10, payload: zeros(10 << 20) };
      assert.equal((await client.unaryCall(request, patience())).payload.body.length, 10);
    },
  },

  rpc_soak: {
    async play(client) {
      for (let i = 0; i < soakIterations; i++) await cases.large_unary.play(client);
    },
  },

  channel_soak: {
    async play(_, way) {
      for (let i = 0; i < soakIterations; i++) await cases.large_unary.play(open(way));
    },
  },
};

const soakIterations = Number(options.soak_iterations ?? 10);
const clients = Object.entries(ways).map(([name, way]) => ({ name, way, client: open(way) }));
let failed = false;
for (const name of (options.test_case ?? 'empty_unary').split(',')) {
  const { needs, play } = cases[name];
  const wrong = [];
  for (const { name: wayName, way, client } of clients) {
    if (needs && !way[needs]) continue;
    try {
      await play(client, way);
    } catch (error) {
      wrong.push(`${wayName}: ${String(error.message ?? error).replace(/\s+/g, ' ').slice(0, 200)}`);
    }
  }
  failed ||= wrong.length > 0;
  console.log(wrong.length > 0 ? `case ${name} FAIL ${wrong.join('; ')}` : `case ${name} ok`);
}
process.exit(failed ? 1 : 0);
