"""What tests share: Hypothesis profiles, an embedded store that is audited when it is done with, servers."""

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from vault_server import EmbeddedStore, Server, StoreOptions

# Before anything imports them; what is rewritten is also asserted where PYTHONOPTIMIZE drops plain assertions.
shared = [f"tests.{path.stem}" for path in Path(__file__).parent.iterdir()]
pytest.register_assert_rewrite("vault.testing", "torture", *shared)

# Tests make channels of gRPC's own, too, which would look for loopback's servers behind a proxy.
for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[variable]

# The programs that tests start assert, too, and nothing rewrites those.
os.environ.pop("PYTHONOPTIMIZE", None)

settings.register_profile(
    "ci",
    deadline=None,  # the machine is shared: how long something takes says nothing
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("ci"), max_examples=1000)
settings.load_profile(os.environ.get("VAULT_HYPOTHESIS", "ci"))


# Of a suite that a shell runs in the background SIGINT is ignored, and would be by the programs that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: a collection of garbage need not look at them each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedStore]:
    """An embedded store in a directory of its own, audited when the test is over. Its parameter: options."""
    directory = tmp_path / "store"
    with EmbeddedStore(directory, getattr(request, "param", StoreOptions())) as opened:
        yield opened
    with EmbeddedStore(directory) as opened:
        report = opened.check(deep=True)
    assert report.ok, report.problems


@pytest.fixture
def server(store: EmbeddedStore) -> Iterator[Server]:
    """A server on loopback in front of `store`."""
    with Server(store, listen="127.0.0.1:0") as started:
        yield started


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Asserts that every thread that the test began has ended."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left over: {left}"
