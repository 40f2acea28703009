"""S3, by boto3 and by obstore, from SeaweedFS, which is told to fsync (see `servers.seaweed`).

boto3's managed transfers with their own settings (8 MiB parts, 10 threads) and its own checksums:
https://docs.aws.amazon.com/boto3/latest/guide/s3.html#file-transfer-configuration. obstore:
https://developmentseed.org/obstore/latest/.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import obstore
from botocore.exceptions import ClientError
from obstore.store import S3Store

from scripts.benchmarks.data import Source
from scripts.benchmarks.work import Peer

BUCKET = "bench"


class Boto3(Peer):
    """It writes from several threads, so that nothing can be added up on the way: its own checksums must do."""

    verifies = True

    def __init__(self, place: str) -> None:
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        self._client: Any = boto3.client("s3", endpoint_url=f"http://{place}", **keys)

    def hold(self, source: Source) -> str:
        try:
            self._client.head_object(Bucket=BUCKET, Key=source.name)
        except ClientError:
            self._client.upload_file(source.path, BUCKET, source.name)
        return source.name

    def fetch(self, name: str, file: BinaryIO) -> None:
        self._client.download_fileobj(BUCKET, name, file)

    def send(self, path: str) -> None:
        self._client.upload_file(path, BUCKET, "boto3-upload")

    def forget(self, _sent: None) -> None:
        self._client.delete_object(Bucket=BUCKET, Key="boto3-upload")


class Obstore(Peer):
    def __init__(self, place: str) -> None:
        keys = {"access_key_id": "any", "secret_access_key": "any", "region": "us-east-1"}
        self._store = S3Store(BUCKET, endpoint=f"http://{place}", client_options={"allow_http": True}, **keys)

    def hold(self, source: Source) -> str:
        try:
            obstore.head(self._store, source.name)
        except FileNotFoundError:
            obstore.put(self._store, source.name, Path(source.path))
        return source.name

    def pieces(self, name: str) -> Iterator[Any]:
        return iter(obstore.get(self._store, name).stream())

    def whole(self, name: str) -> obstore.Bytes:
        return obstore.get(self._store, name).bytes()

    def send(self, path: str) -> None:
        obstore.put(self._store, "obstore-upload", Path(path))

    def forget(self, _sent: None) -> None:
        obstore.delete(self._store, "obstore-upload")

    def ranges(self, name: str, ranges: list[tuple[int, int]]) -> list[Any]:
        starts, lengths = zip(*ranges, strict=True)
        return list(obstore.get_ranges(self._store, name, starts=starts, lengths=lengths))
