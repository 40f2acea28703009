"""The lines of the table: each a short function that says who does what, and what is held against which target."""

from scripts.benchmarks.lines import batches, embedded, large, memory, scale, small, startup, tls
from scripts.benchmarks.outcome import REGISTERED

_MODULES = (large, small, batches, embedded, memory, scale, startup, tls)

LINES = {
    line.name: line for module in _MODULES for line in REGISTERED if line.measure.__module__ == module.__name__
}  # fmt: skip
"""Every line, by name, in the order in which they run."""
