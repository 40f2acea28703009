"""The command `vault-grpc`. `main` is its entry point."""


def main() -> int:
    """Runs the command line. Returns the exit code; errors are one line on standard error."""
    # Before anything else is imported: a signal that comes meanwhile must not be lost, and no file may get the
    # number of a standard stream that the caller closed.
    from vault.cli import signals, streams  # noqa: PLC0415

    signals.hold()
    streams.complete()
    from vault.cli.program import run  # noqa: PLC0415

    return run()


__all__ = ["main"]
