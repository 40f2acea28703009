"""Redis with redis-py and its hiredis parser: https://redis.readthedocs.io/en/stable/examples/pipeline_examples.html."""

from typing import Any

import redis

from scripts.benchmarks.data import same, small
from scripts.benchmarks.work import Peer


class Redis(Peer):
    def __init__(self, place: str) -> None:
        host, port = place.split(":")
        client: Any = redis.Redis(host=host, port=int(port))
        self._client = client
        self.get = client.get
        self.get_many = client.mget

    def close(self) -> None:
        self._client.close()

    def keys(self, objects: int) -> list[str]:
        self._client.mset({str(number): small(number) for number in range(objects)})
        return [str(number) for number in range(objects)]

    def set_many(self, items: list[bytes]) -> list[object]:
        with self._client.pipeline(transaction=False) as pipeline:
            for number, item in enumerate(items):
                pipeline.set(f"new-{number}", item)
            answers: list[object] = pipeline.execute()
        return answers

    def delete_many(self, answers: list[object]) -> None:
        same(answers, [True] * len(answers))
