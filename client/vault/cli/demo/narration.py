"""How the demo tells what happened, and what each step shows."""

from rich.console import Console

from vault.cli.demo.processes import Run
from vault.cli.wording import size_text


def step(console: Console, title: str, happened: str, shows: str) -> None:
    """One step: what happened, and what that shows."""
    console.print(f"[bold green]✓[/] [bold]{title:<8}[/] {happened}")
    console.print(f"           [dim]{shows}[/]")


def rate_text(size: int, run: Run) -> str:
    """How long a client took for `size` bytes, and how fast that is."""
    return f"{run.seconds:.2f} s, {size_text(int(size / run.seconds))}/s, the start of Python included"


def memory_text(run: Run, idle: int) -> str:
    """What a client's run did to memory; `idle` is what the server held before, bytes."""
    grown = max(0, run.server_peak - idle)
    return (
        f"streamed: the client held at most {size_text(run.client_peak)}, its libraries included, "
        f"and the server grew by {size_text(grown)}"
    )


def time_text(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
