"""`python -m vault.cli` is `vault-grpc`."""

import sys

from vault.cli.program import main

sys.exit(main())
