"""What TLS costs beside a plain channel on loopback, in processor time of both sides."""

from scripts.benchmarks.data import MIB
from scripts.benchmarks.harness import Bench, Contender, Series
from scripts.benchmarks.outcome import Outcome, Verdict, line
from scripts.benchmarks.servers import certificates, vault_server

PLAIN, TLS = "plain", "TLS"
STREAM = 256 * MIB


def _compare(bench: Bench, side: str, size: int | None, **arguments: object) -> list[Series]:
    """The same work over both channels, each with a server of its own."""
    ca, cert, key = certificates(bench.folder)
    if TLS not in bench.servers:
        bench.start(TLS, vault_server("--tls-cert", str(cert), "--tls-key", str(key)))
    contenders = [
        Contender(name=name, side=side, place=place, size=size, arguments={**arguments, **more})
        for name, place, more in ((PLAIN, "vault", {}), (TLS, TLS, {"ca": str(ca)}))
    ]
    return bench.compare(contenders)


def _verdict(what: str, series: list[Series], target: float) -> Verdict:
    plain, tls = (one.cpu("client") + one.cpu("server") for one in series)
    return Verdict(what=f"{what}: processor time of TLS, of plain", value=tls / plain, target=target, at_most=True)


@line("tls-download", "download of 256 MiB into memory, plain and over TLS")
def tls_download(bench: Bench) -> Outcome:
    source, digest = bench.source(STREAM)
    series = _compare(bench, "ours.download_memory", STREAM, source=str(source), digest=digest)
    return Outcome(series=series, per="GB", verdicts=[_verdict("download", series, 1.3)])


@line("tls-upload", "upload of 256 MiB from a file, plain and over TLS")
def tls_upload(bench: Bench) -> Outcome:
    source, _ = bench.source(STREAM)
    series = _compare(bench, "ours.upload_file", STREAM, source=str(source))
    return Outcome(series=series, per="GB", verdicts=[_verdict("upload", series, 1.3)])


@line("tls-small", "load of a 1 KiB object, one after another, no cache, plain and over TLS")
def tls_small(bench: Bench) -> Outcome:
    series = _compare(bench, "ours.load", None, objects=1000, count=bench.scaled(2000))
    return Outcome(series=series, verdicts=[_verdict("load", series, 1.15)])
