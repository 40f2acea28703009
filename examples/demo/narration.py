"""How the demo tells what happened, and what each step shows."""

import textwrap

from rich.console import Console
from rich.markup import escape
from vault._display import size_text

from .processes import Run

_INDENT = " " * len("✓ coherent ")
_NARROW = 40  # columns, below which there is no room for the indent


def step(console: Console, title: str, happened: str, shows: str) -> None:
    """One step: what happened, and what that shows."""
    narrow = console.width < _NARROW
    head = f"✓ {title}" if narrow else f"✓ {title:<8} "
    indent = "  " if narrow else _INDENT
    first, *more = _wrapped(console, happened, indent)
    # The title stands where the first line's indent is, or on a line of its own.
    console.print(f"[bold green]✓[/][bold]{head[1:]}[/]" + (f"\n{first}" if narrow else first[len(indent) :]))
    for line in more:
        console.print(line)
    for line in _wrapped(console, shows, indent):
        console.print(f"[dim]{line}[/]")


def remark(console: Console, text: str) -> None:
    """What is going on, beside the steps."""
    for line in _wrapped(console, text, ""):
        console.print(f"[dim]{line}[/]")


def _wrapped(console: Console, text: str, indent: str) -> list[str]:
    """Lines as wide as the console, broken between words alone: a path that is longer stays whole, to be copied."""
    lines = textwrap.wrap(
        text,
        max(console.width - 1, 1),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [escape(line) for line in lines]


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
