// The interoperability test client on grpc-js:
// `client.js --server_host=H --server_port=P --test_case=A[,B…] [--use_tls=true --ca_file=F --server_host_override=N]`
// runs the cases one after another and says for each `case A ok` or `case A FAIL why`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import grpc from '@grpc/grpc-js';
import { TestService, UnimplementedService, flags } from './protos.js';

const LARGE_REQUEST = 271828;
const LARGE_RESPONSE = 314159;
const REQUEST_SIZES = [27182, 8, 1828, 45904];
const RESPONSE_SIZES = [31415, 9, 2653, 58979];
const PATIENCE_MS = 20_000; // a call that takes longer counts as hanging

const options = flags();
const target = `${options.server_host ?? '127.0.0.1'}:${options.server_port}`;
const channelOptions = { 'grpc.max_receive_message_length': 64 << 20, 'grpc.use_local_subchannel_pool': 1 };
if (options.server_host_override) {
  channelOptions['grpc.ssl_target_name_override'] = options.server_host_override;
  channelOptions['grpc.default_authority'] = options.server_host_override;
}

function open(Client) {
  const credentials =
    options.use_tls === 'true'
      ? grpc.credentials.createSsl(readFileSync(options.ca_file))
      : grpc.credentials.createInsecure();
  return new Client(target, credentials, channelOptions);
}

const deadline = () => ({ deadline: Date.now() + PATIENCE_MS });
const zeros = (size) => ({ body: Buffer.alloc(size) });
const largeRequest = () => ({ response_size: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST) });
const duplexRequest = (up, down) => ({ payload: zeros(up), response_parameters: [{ size: down }] });

// The response of a unary call with its metadata; rejects with the status.
function unary(client, method, request, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const seen = {};
    const call = client[method](request, metadata, deadline(), (error, response) => {
      if (error) reject(error);
      else resolve(Object.assign(seen, { response }));
    });
    call.on('metadata', (initial) => (seen.initial = initial));
    call.on('status', (status) => (seen.trailing = status.metadata));
  });
}

async function codeOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('the call succeeded');
}

// Reads a stream's messages one by one, and its status.
function reader(call) {
  const iterator = call[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await iterator.next();
    return done ? null : value;
  };
}

async function sizesOf(call) {
  const sizes = [];
  for await (const response of call) sizes.push(response.payload.body.length);
  return sizes;
}

const status = grpc.status;

async function statusEcho(client, message, streaming) {
  const request = { response_status: { code: status.UNKNOWN, message } };
  const errors = [await codeOf(unary(client, 'UnaryCall', request))];
  if (streaming) {
    const call = client.FullDuplexCall(deadline());
    call.write(request);
    call.end();
    errors.push(await codeOf(sizesOf(call)));
  }
  for (const error of errors) {
    assert.equal(error.code, status.UNKNOWN);
    assert.equal(error.details, message);
  }
}

const cases = {
  async empty_unary(client) {
    assert.deepEqual((await unary(client, 'EmptyCall', {})).response, {});
  },

  async large_unary(client) {
    const { response } = await unary(client, 'UnaryCall', largeRequest());
    assert.equal(response.payload.body.length, LARGE_RESPONSE);
  },

  async client_streaming(client) {
    const sum = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall(deadline(), (error, response) =>
        error ? reject(error) : resolve(response.aggregated_payload_size),
      );
      REQUEST_SIZES.forEach((size) => call.write({ payload: zeros(size) }));
      call.end();
    });
    assert.equal(sum, 74922);
  },

  async server_streaming(client) {
    const request = { response_parameters: RESPONSE_SIZES.map((size) => ({ size })) };
    assert.deepEqual(await sizesOf(client.StreamingOutputCall(request, deadline())), RESPONSE_SIZES);
  },

  async ping_pong(client) {
    const call = client.FullDuplexCall(deadline());
    const next = reader(call);
    for (const [i, size] of RESPONSE_SIZES.entries()) {
      call.write(duplexRequest(REQUEST_SIZES[i], size));
      assert.equal((await next()).payload.body.length, size);
    }
    call.end();
    assert.equal(await next(), null);
  },

  async empty_stream(client) {
    const call = client.FullDuplexCall(deadline());
    call.end();
    assert.deepEqual(await sizesOf(call), []);
  },

  async cancel_after_begin(client) {
    const error = await new Promise((resolve) => {
      client.StreamingInputCall(deadline(), resolve).cancel();
    });
    assert.equal(error?.code, status.CANCELLED);
  },

  async cancel_after_first_response(client) {
    const call = client.FullDuplexCall(deadline());
    call.write(duplexRequest(REQUEST_SIZES[0], RESPONSE_SIZES[0]));
    await once(call, 'data');
    call.cancel();
    const [error] = await once(call, 'error');
    assert.equal(error.code, status.CANCELLED);
  },

  async timeout_on_sleeping_server(client) {
    const call = client.FullDuplexCall({ deadline: Date.now() + 1 });
    call.write({ payload: zeros(REQUEST_SIZES[0]) });
    assert.equal((await codeOf(sizesOf(call))).code, status.DEADLINE_EXCEEDED);
  },

  async custom_metadata(client) {
    const metadata = new grpc.Metadata();
    const value = Buffer.from([0xab, 0xab, 0xab]);
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
    metadata.set('x-grpc-test-echo-trailing-bin', value);
    const check = ({ initial, trailing }) => {
      assert.deepEqual(initial.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value']);
      assert.deepEqual(trailing.get('x-grpc-test-echo-trailing-bin'), [value]);
    };
    check(await unary(client, 'UnaryCall', largeRequest(), metadata));
    const call = client.FullDuplexCall(metadata, deadline());
    const initial = once(call, 'metadata');
    const final = once(call, 'status');
    call.write(duplexRequest(LARGE_REQUEST, LARGE_RESPONSE));
    call.end();
    assert.deepEqual(await sizesOf(call), [LARGE_RESPONSE]);
    check({ initial: (await initial)[0], trailing: (await final)[0].metadata });
  },

  status_code_and_message: (client) => statusEcho(client, 'test status message', true),

  special_status_message: (client) =>
    statusEcho(client, '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n', false),

  async unimplemented_method(client) {
    assert.equal((await codeOf(unary(client, 'UnimplementedCall', {}))).code, status.UNIMPLEMENTED);
  },

  async unimplemented_service() {
    const client = open(UnimplementedService);
    assert.equal((await codeOf(unary(client, 'UnimplementedCall', {}))).code, status.UNIMPLEMENTED);
    client.close();
  },

  async very_large_request(client) {
    const request = { response_size: 10, payload: zeros(10 << 20) };
    assert.equal((await unary(client, 'UnaryCall', request)).response.payload.body.length, 10);
  },

  async rpc_soak(client) {
    for (let i = 0; i < soakIterations; i++) await cases.large_unary(client);
  },

  async channel_soak() {
    for (let i = 0; i < soakIterations; i++) {
      const client = open(TestService);
      await cases.large_unary(client);
      client.close();
    }
  },
};

const soakIterations = Number(options.soak_iterations ?? 10);
const client = open(TestService);
let failed = 0;
for (const name of (options.test_case ?? 'empty_unary').split(',')) {
  const started = performance.now();
  try {
    await cases[name](client);
    console.log(`case ${name} ok ${((performance.now() - started) / 1000).toFixed(3)}`);
  } catch (error) {
    failed += 1;
    console.log(`case ${name} FAIL ${String(error.message ?? error).replace(/\s+/g, ' ').slice(0, 300)}`);
  }
}
client.close();
process.exit(failed > 0 ? 1 : 0);
