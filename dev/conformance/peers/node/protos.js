// The test services, loaded from the folder of .proto files that INTEROP_PROTOS names, and the flags of the programs.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const definition = loader.loadSync(['grpc/testing/test.proto'], {
  includeDirs: [process.env.INTEROP_PROTOS],
  keepCase: true,
  defaults: true,
});

export const { TestService, UnimplementedService } = grpc.loadPackageDefinition(definition).grpc.testing;

// Flags are spelled `--name=value`.
export function flags() {
  return Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--?/, '').split(/=(.*)/s, 2)));
}
