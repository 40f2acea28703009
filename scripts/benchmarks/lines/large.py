"""One large object: out into a file and into memory, in from a file; one client, and four at once."""

from dataclasses import replace
from typing import Any

from scripts.benchmarks.harness import Bench, Contender, Series
from scripts.benchmarks.outcome import Outcome, line, ratios

VAULT, FLIGHT, GRPC = "Vault", "Arrow Flight", "raw grpcio"
TUNED = "Vault, tune_allocator()"
"""As a program that opted for it; it is not held against a target."""

BOTO3, OBSTORE, FASTAPI, TCP = "boto3, SeaweedFS", "obstore, SeaweedFS", "FastAPI + httpx", "loopback TCP"


def _contender(name: str, side: str, place: str, size: int, **arguments: Any) -> Contender:
    return Contender(name=name, side=side, place=place, size=size, arguments=arguments)


def _tuned(ours: Contender) -> Contender:
    return replace(ours, name=TUNED, arguments={**ours.arguments, "tuned": True})


def _download_file(bench: Bench, *, durable: bool) -> Outcome:
    source, digest = bench.source(bench.large)
    arguments = {"source": str(source), "digest": digest, "durable": durable}
    sides = [
        (VAULT, "ours.download_file", "vault"),
        (FLIGHT, "flight.download_file", "flight"),
        (GRPC, "identity.download_file", "identity"),
        (BOTO3, "s3.download_file", "seaweed"),
        (OBSTORE, "s3.obstore_download_file", "seaweed"),
        (FASTAPI, "web.download_file", "web"),
        (TCP, "tcp.download_file", "tcp"),
    ]
    contenders = [
        _contender(name, side, place, bench.large, target=str(bench.folder / f"out-{number}"), **arguments)
        for number, (name, side, place) in enumerate(sides)
    ]
    series = bench.compare([*contenders, _tuned(contenders[0])], settle=True)
    targets = {FLIGHT: 1.0, GRPC: 0.9, BOTO3: None, OBSTORE: None, FASTAPI: None, TCP: None}
    return Outcome(series=series, per="GB", verdicts=ratios(series, targets))


@line("download-file", "download of one large object into an open file, checksums verified")
def download_file(bench: Bench) -> Outcome:
    return _download_file(bench, durable=False)


@line("download-file-durable", "the same into a path: it appears whole, fsynced, by a rename")
def download_file_durable(bench: Bench) -> Outcome:
    return _download_file(bench, durable=True)


@line("download-memory", "download of one large object into memory, checksums verified")
def download_memory(bench: Bench) -> Outcome:
    source, digest = bench.source(bench.large)
    sides = [
        (VAULT, "ours.download_memory", "vault"),
        (FLIGHT, "flight.download_memory", "flight"),
        (GRPC, "identity.download_memory", "identity"),
        (OBSTORE, "s3.obstore_download_memory", "seaweed"),
        (FASTAPI, "web.download_memory", "web"),
        (TCP, "tcp.download_memory", "tcp"),
    ]
    contenders = [_contender(*side, bench.large, source=str(source), digest=digest) for side in sides]
    series = bench.compare([*contenders, _tuned(contenders[0])])
    targets = {FLIGHT: 1.0, GRPC: 0.9, OBSTORE: None, FASTAPI: None, TCP: None}
    return Outcome(series=series, per="GB", verdicts=ratios(series, targets))


@line("upload-file", "upload of one large object from a file, on disk when it returns (Flight, grpcio, TCP discard)")
def upload_file(bench: Bench) -> Outcome:
    source, _ = bench.source(bench.large)
    sides = [
        (VAULT, "ours.upload_file", "vault"),
        (FLIGHT, "flight.upload_file", "flight"),
        (GRPC, "identity.upload_file", "identity"),
        (BOTO3, "s3.upload_file", "seaweed"),
        (OBSTORE, "s3.obstore_upload_file", "seaweed"),
        (FASTAPI, "web.upload_file", "web"),
        (TCP, "tcp.upload_file", "tcp"),
    ]
    contenders = [_contender(*side, bench.large, source=str(source)) for side in sides]
    series = bench.compare([*contenders, _tuned(contenders[0])], settle=True)
    targets = {FLIGHT: 0.9, GRPC: None, BOTO3: 3.0, OBSTORE: None, FASTAPI: 3.0, TCP: None}
    return Outcome(series=series, per="GB", verdicts=ratios(series, targets))


def _at_once(bench: Bench, ours: str, peer: str, **arguments: Any) -> Outcome:
    """One client with the whole size, four with a quarter each; the same of Arrow Flight."""
    series: list[Series] = bench.compare(
        [
            Contender(
                name=f"{name}, {clients} client{'s' if clients > 1 else ''}",
                side=side,
                place=place,
                clients=clients,
                size=bench.large // clients,
                arguments={"source": str(bench.source(bench.large // clients)[0]), **arguments}
                | ({"digest": bench.source(bench.large // clients)[1]} if "target" in arguments else {}),
            )
            for name, side, place in ((VAULT, ours, "vault"), (FLIGHT, peer, "flight"))
            for clients in (1, 4)
        ],
        settle=True,
    )
    one, four = f"{VAULT}, 1 client", f"{VAULT}, 4 clients"
    verdicts = ratios(series, {one: 1.0, f"{FLIGHT}, 4 clients": None}, ours=four)
    return Outcome(series=series, per="GB", verdicts=verdicts)


@line("download-4", "download into an open file by four clients at once: the sum")
def download_4(bench: Bench) -> Outcome:
    target = str(bench.folder / "out-{client}")
    return _at_once(bench, "ours.download_file", "flight.download_file", target=target, durable=False)


@line("upload-4", "upload by four clients at once: the sum")
def upload_4(bench: Bench) -> Outcome:
    return _at_once(bench, "ours.upload_file", "flight.upload_file")
