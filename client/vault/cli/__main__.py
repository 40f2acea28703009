"""`python -m vault.cli` is `vault-grpc`."""

import sys

from vault.cli import main

sys.exit(main())
