"""The commands `vault-grpc serve`, `vault-grpc check` and `vault-grpc cert`.

serve           flags, environment and file; `process` one server process, `workers` several
check           a directory audited and mended
cert            an authority, and the certificates that it signs
logging_config  log lines on standard error
"""

import os

# Before gRPC is imported: it writes a line of its own for each failed handshake, as many as anybody wants.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
