"""A client process of its own: `python -m scripts.benchmarks.client PEER OPERATION JSON`.

PEER is MODULE.CLASS in scripts/benchmarks/peers, or - for none; OPERATION a function of `work`, or MODULE.FUNCTION in
scripts/benchmarks. Each line on the standard input is a step: `before`, `run`, `after`; each is answered with a line of
JSON. It ends with its input.
"""

import json
import resource
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from scripts.benchmarks import work
from scripts.benchmarks.data import Source


def cpu_seconds() -> float:
    """User and system time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def measure(what: work.Work) -> tuple[Any, dict[str, float]]:
    cpu, began = cpu_seconds(), time.perf_counter()
    found = what.run()
    answer = {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - cpu, "count": what.count}
    if what.timed:
        answer |= {"p50": percentile(found, 0.5), "p99": percentile(found, 0.99)}
    if what.alone:
        answer["seconds"] = answer["p50"] * what.count
    return found, answer


def attribute(package: str, name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"{package}.{module}"), attribute)


def main() -> None:
    peer_name, name, text = sys.argv[1:]
    asked = json.loads(text)
    arguments = {key: Source(*given) if key == "source" else given for key, given in asked["arguments"].items()}
    operation = attribute("scripts.benchmarks", name if "." in name else f"work.{name}")
    with ExitStack() as stack:
        if peer_name != "-":
            peer = attribute("scripts.benchmarks.peers", peer_name)(asked["place"], **asked["settings"])
            arguments["peer"] = stack.enter_context(peer)
        what = operation(**arguments)
        stack.callback(what.end)
        print("{}", flush=True)
        found: Any = None
        for step in sys.stdin:
            answer: dict[str, float] = {}
            match step.strip():
                case "before":
                    what.before()
                case "run":
                    found, answer = measure(what)
                case "after":
                    answer = what.after(found) or {}
                    found = None
            print(json.dumps(answer if isinstance(answer, dict) else {}), flush=True)


if __name__ == "__main__":
    main()
