// The interoperability test server on grpc-js: `server.js --port=P [--use_tls=true --tls_cert_file=F --tls_key_file=F]`.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { TestService, flags } from './protos.js';

const ECHO_INITIAL = 'x-grpc-test-echo-initial';
const ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin';

const zeros = (size) => ({ body: Buffer.alloc(size) });

function echo(call) {
  const initial = call.metadata.get(ECHO_INITIAL);
  if (initial.length > 0) {
    const metadata = new grpc.Metadata();
    initial.forEach((value) => metadata.add(ECHO_INITIAL, value));
    call.sendMetadata(metadata);
  }
  const trailing = new grpc.Metadata();
  call.metadata.get(ECHO_TRAILING).forEach((value) => trailing.add(ECHO_TRAILING, value));
  return trailing;
}

const asked = (request) => request.response_status && request.response_status.code !== 0;
const statusOf = (request, metadata) => ({
  code: request.response_status.code,
  details: request.response_status.message,
  metadata,
});

async function answer(call, request) {
  for (const parameters of request.response_parameters) {
    if (parameters.interval_us > 0) await sleep(parameters.interval_us / 1000);
    call.write({
      payload: zeros(parameters.size),
      peer_socket_address: parameters.fill_peer_socket_address ? call.getPeer() : '',
    });
  }
}

async function streamingOutput(call) {
  const trailing = echo(call);
  await answer(call, call.request);
  if (asked(call.request)) call.emit('error', statusOf(call.request, trailing));
  else call.end(trailing);
}

// `together`: all requests are answered after the last one has arrived. Requests wait for the answers before them.
function duplex(call, together) {
  const trailing = echo(call);
  const last = new Promise((resolve) => call.on('end', resolve));
  let answered = together ? last : Promise.resolve();
  let ended = false;
  call.on('data', (request) => {
    answered = answered.then(async () => {
      if (ended) return;
      if (asked(request)) {
        ended = true;
        call.emit('error', statusOf(request, trailing));
      } else {
        await answer(call, request);
      }
    });
  });
  call.on('end', () => answered.then(() => ended || call.end(trailing)));
}

function unary(call, callback) {
  const { request } = call;
  const trailing = echo(call);
  if (asked(request)) return callback(statusOf(request, trailing));
  callback(null, { payload: zeros(request.response_size), server_id: request.fill_server_id ? 'node' : '' }, trailing);
}

const handlers = {
  EmptyCall: (call, callback) => callback(null, {}, echo(call)),
  UnaryCall: unary,
  CacheableUnaryCall: unary,
  StreamingOutputCall: streamingOutput,
  StreamingInputCall(call, callback) {
    const trailing = echo(call);
    let sum = 0;
    call.on('data', (request) => (sum += request.payload.body.length));
    call.on('end', () => callback(null, { aggregated_payload_size: sum }, trailing));
  },
  FullDuplexCall: (call) => duplex(call, false),
  HalfDuplexCall: (call) => duplex(call, true),
};

const options = flags();
const server = new grpc.Server({
  'grpc.max_receive_message_length': 64 << 20,
  ...(options.max_concurrent_streams && { 'grpc.max_concurrent_streams': Number(options.max_concurrent_streams) }),
});
server.addService(TestService.service, handlers);
const credentials =
  options.use_tls === 'true'
    ? grpc.ServerCredentials.createSsl(null, [
        { private_key: readFileSync(options.tls_key_file), cert_chain: readFileSync(options.tls_cert_file) },
      ])
    : grpc.ServerCredentials.createInsecure();
server.bindAsync(`127.0.0.1:${options.port}`, credentials, (error) => {
  if (error) {
    console.error(error.message);
    process.exit(1);
  }
});
