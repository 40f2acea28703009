"""The command `vault-grpc`. `main` is its entry point."""

from vault.cli.program import main

__all__ = ["main"]
