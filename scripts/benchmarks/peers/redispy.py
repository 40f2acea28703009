"""Redis with redis-py and its hiredis parser: https://redis.readthedocs.io/en/stable/examples/pipeline_examples.html."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from scripts.benchmarks.data import same, small
from scripts.benchmarks.work import Work, one_after_another


@contextmanager
def _connect(address: str) -> Iterator[redis.Redis]:
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        yield client


@contextmanager
def load(address: str, *, objects: int, count: int) -> Iterator[Work]:
    with _connect(address) as client:
        client.mset({str(i): small(i) for i in range(objects)})
        yield one_after_another(
            lambda number: client.get(str(number % objects)),
            count,
            after=lambda data: same(data, small((count - 1) % objects)),
        )


@contextmanager
def load_many(address: str, *, objects: int) -> Iterator[Work]:
    with _connect(address) as client:
        keys = [str(i) for i in range(objects)]
        client.mset({key: small(i) for i, key in enumerate(keys)})
        yield Work(
            run=lambda: client.mget(keys),
            count=objects,
            after=lambda found: same(found, [small(i) for i in range(objects)]),
        )


@contextmanager
def upload_many(address: str, *, objects: int) -> Iterator[Work]:
    with _connect(address) as client:

        def run() -> list[object]:
            with client.pipeline(transaction=False) as pipeline:
                for i in range(objects):
                    pipeline.set(f"new-{i}", small(i))
                answers: list[object] = pipeline.execute()
            return answers

        yield Work(run=run, count=objects, after=lambda answers: same(answers, [True] * objects))
