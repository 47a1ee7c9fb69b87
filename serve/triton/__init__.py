"""What serving with Triton needs: its configuration, the model it runs, protocol and processes."""

import os

# gRPC's newer event engine reads sockets in threads of its own; without it the caller's thread
# does, which saves a hand-over in each call: a fifth of a client's CPU time, and 1 to 7 % of a
# line's p50 (grpcio 1.85, two cores). gRPC takes this from the environment only, and when it is
# imported, so it has to be said before; a value that is there already stands.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")
