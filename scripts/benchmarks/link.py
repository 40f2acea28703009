"""A way between client and server that takes time: both directions are delayed, and nothing else is done to them.

    python -m scripts.benchmarks.link proxy SECONDS HOST:PORT    a proxy on loopback; says where it listens
    unshare --net python -m scripts.benchmarks.link tunnel SECONDS

The tunnel joins two network namespaces by two TUN devices, between which packets are carried: TCP itself is delayed,
with its windows. It says the process ids of the two, whose addresses are NEAR and FAR. The namespaces have no names,
and go with their processes, which end with this one's standard input.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

NEAR, FAR = "10.99.0.1", "10.99.0.2"
PIECES, PIECE = 128, 128 << 10  # 16 MiB are on their way at most, in one direction of one connection

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def carry(take: Callable[[memoryview], int], give: Callable[[memoryview], object], delay: float) -> threading.Thread:
    """Gives what it takes `delay` seconds later, until there is nothing to take, or nobody to give it to."""
    free: SimpleQueue[memoryview] = SimpleQueue()
    for _ in range(PIECES):
        free.put(memoryview(bytearray(PIECE)))
    waiting: SimpleQueue[tuple[float, memoryview, int]] = SimpleQueue()

    def taking() -> None:
        taken = 1
        while taken:
            piece = free.get()
            try:
                taken = take(piece)
            except OSError:
                taken = 0
            waiting.put((time.monotonic() + delay, piece, taken))

    def giving() -> None:
        while True:
            due, piece, size = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                give(piece[:size])
            except OSError:
                return
            if not size:
                return
            free.put(piece)

    threading.Thread(target=taking, daemon=True).start()
    thread = threading.Thread(target=giving, daemon=True)
    thread.start()
    return thread


def into(connection: socket.socket) -> Callable[[memoryview], object]:
    return lambda piece: connection.sendall(piece) if piece else connection.shutdown(socket.SHUT_WR)


def proxy(delay: float, target: str) -> None:
    host, port = target.split(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"127.0.0.1:{listening.getsockname()[1]}", flush=True)
        while True:
            near = listening.accept()[0]
            far = socket.create_connection((host, int(port)))
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            carry(near.recv_into, into(far), delay)
            carry(far.recv_into, into(near), delay)


def device(name: str) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH14s", name.encode(), _IFF_TUN | _IFF_NO_PI, b""))
    return tun


def tunnel(delay: float) -> None:
    ends, devices = [], []
    for name, address in (("near", NEAR), ("far", FAR)):
        devices.append(device(name))
        end = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert end.stdout is not None
        end.stdout.readline()  # it is in its namespace now
        subprocess.run(["ip", "link", "set", name, "netns", str(end.pid)], check=True)
        inside = ["nsenter", "--target", str(end.pid), "--net", "ip"]
        for command in (
            f"addr add {address}/24 dev {name}",
            f"link set {name} mtu 65000 txqueuelen 10000 up",
            "link set lo up",
        ):
            subprocess.run([*inside, *command.split()], check=True)
        ends.append(end)
    near, far = devices
    for source, sink in ((near, far), (far, near)):
        carry(
            lambda piece, source=source: os.readv(source, [piece]),
            lambda piece, sink=sink: os.write(sink, piece),
            delay,
        )
    print(*(end.pid for end in ends), flush=True)
    sys.stdin.read()
    for end in ends:
        end.terminate()
        end.wait()


if __name__ == "__main__":
    {"proxy": proxy, "tunnel": tunnel}[sys.argv[1]](float(sys.argv[2]), *sys.argv[3:])
