"""S3, by boto3 and by obstore, from SeaweedFS, which is told to fsync (see `servers.seaweed`).

boto3's managed transfers with their own settings (8 MiB parts, 10 threads) and its own checksums:
https://docs.aws.amazon.com/boto3/latest/guide/s3.html#file-transfer-configuration. obstore:
https://developmentseed.org/obstore/latest/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import obstore
import xxhash
from botocore.exceptions import ClientError
from obstore.store import S3Store

from scripts.benchmarks.data import new_file, same
from scripts.benchmarks.work import Work

BUCKET = "bench"


def _client(address: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
    )


def _large(client: Any, source: str) -> str:
    """Sees to it that the large object is there, and returns its key."""
    key = Path(source).name
    try:
        client.head_object(Bucket=BUCKET, Key=key)
    except ClientError:
        client.upload_file(source, BUCKET, key)
    return key


def _store(address: str) -> S3Store:
    return S3Store(
        BUCKET,
        endpoint=f"http://{address}",
        access_key_id="any",
        secret_access_key="any",
        region="us-east-1",
        client_options={"allow_http": True},
    )


@contextmanager
def download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    """boto3 writes from several threads, so that nothing can be added up on the way: its own checksums must do."""
    del digest
    client = _client(address)
    key = _large(client, source)

    def run() -> None:
        with new_file(Path(target), durable=durable) as file:
            client.download_fileobj(BUCKET, key, file)

    yield Work(run=run)


@contextmanager
def upload_file(address: str, *, source: str, client: int = 0) -> Iterator[Work]:
    s3 = _client(address)
    key = f"upload-{client}"
    yield Work(
        run=lambda: s3.upload_file(source, BUCKET, key),
        after=lambda _: s3.delete_object(Bucket=BUCKET, Key=key),
    )


@contextmanager
def obstore_download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    store, key = _store(address), _large(_client(address), source)

    def run() -> None:
        found = xxhash.xxh3_64()
        with new_file(Path(target), durable=durable) as file:
            for piece in obstore.get(store, key).stream():
                found.update(piece)
                file.write(piece)
        same(found.intdigest(), digest)

    yield Work(run=run)


@contextmanager
def obstore_download_memory(address: str, *, source: str, digest: int) -> Iterator[Work]:
    store, key = _store(address), _large(_client(address), source)

    def run() -> obstore.Bytes:
        data = obstore.get(store, key).bytes()
        same(xxhash.xxh3_64_intdigest(data), digest)
        return data

    yield Work(run=run)


@contextmanager
def obstore_upload_file(address: str, *, source: str) -> Iterator[Work]:
    store = _store(address)
    yield Work(
        run=lambda: obstore.put(store, "obstore-upload", Path(source)),
        after=lambda _: obstore.delete(store, "obstore-upload"),
    )
