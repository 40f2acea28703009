"""A client process of its own: `python -m scripts.benchmarks.client MODULE.FUNCTION ARGUMENTS`.

The function, in scripts/benchmarks/peers, yields a `Work`. Each line on the standard input is a step: `before`,
`run`, `after`; each is answered with a line of JSON. It ends with its input.
"""

import json
import resource
import sys
import time
from importlib import import_module
from typing import Any

from scripts.benchmarks.work import Work


def cpu_seconds() -> float:
    """User and system time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def measure(work: Work) -> tuple[Any, dict[str, float]]:
    cpu, began = cpu_seconds(), time.perf_counter()
    found = work.run()
    answer = {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - cpu, "count": work.count}
    if work.timed:
        answer |= {"p50": percentile(found, 0.5), "p99": percentile(found, 0.99)}
    return found, answer


def main() -> None:
    module, function = sys.argv[1].split(".")
    side = getattr(import_module(f"scripts.benchmarks.peers.{module}"), function)
    with side(**json.loads(sys.argv[2])) as work:
        print("{}", flush=True)
        found: Any = None
        for step in sys.stdin:
            answer: dict[str, float] = {}
            match step.strip():
                case "before":
                    work.before()
                case "run":
                    found, answer = measure(work)
                case "after":
                    work.after(found)
                    found = None
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
