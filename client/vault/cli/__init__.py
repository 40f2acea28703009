"""The command `vault-grpc`. `main` is its entry point."""

from importlib.util import find_spec


def main() -> int:
    """Runs the command line. Returns the exit code; errors are one line on standard error."""
    # Before anything else is imported: a signal that comes meanwhile must not be lost, and no file may get the
    # number of a standard stream that the caller closed.
    from vault.cli import signals, streams  # noqa: PLC0415

    signals.hold()
    streams.complete()
    from vault._runtime.extras import extra  # noqa: PLC0415

    try:
        with extra("cli", "vault-grpc"):
            if find_spec("rich") is None:  # it is imported for a terminal only
                raise ModuleNotFoundError("No module named 'rich'", name="rich")  # noqa: TRY301
            from vault.cli.program import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        streams.say(f"vault-grpc: {error}")
        return 1
    return run()


__all__ = ["main"]
