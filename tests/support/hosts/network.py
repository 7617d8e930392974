"""A network of its own: a bridge in a namespace, and a cable to each host's namespace.

The machine's own network is not touched. All names begin with `sightline-`, so that what a crash
left is found and removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "sightline-"
SWITCH = f"{PREFIX}switch"
SUBNET = "10.71.0"
LOCK = Path("/run/lock/sightline-hosts")
DATABASE_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "faketime": "faketime"}


def what_is_missing() -> str | None:
    """Why hosts cannot be built here, in one line; None where they can."""
    if os.geteuid() != 0:
        return "hosts that are apart need root: sudo make test-cluster"
    packages = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if not DATABASE_PROGRAMS.is_dir():
        packages.add("postgresql-15")
    if packages:
        return f"hosts that are apart need Debian's {', '.join(sorted(packages))}: apt-get install"
    try:
        ip("netns", "add", f"{PREFIX}trial")
        ip("netns", "delete", f"{PREFIX}trial")
    except subprocess.CalledProcessError as error:
        return f"this kernel makes no network namespaces: {error.stderr.strip()}"
    return None


def run(*words: str) -> str:
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return done.stdout


def ip(*words: str) -> str:
    return run("ip", *words)


@contextmanager
def switch() -> Iterator[None]:
    """A bridge to which hosts are connected; it and all hosts are gone after the block.

    There is one at a time on a machine.
    """
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _bridge():
            yield


@contextmanager
def _bridge() -> Iterator[None]:
    remove_namespaces()
    try:
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "bridge", "up")
        yield
    finally:
        remove_namespaces()


def connect(host: str, address: str) -> None:
    """A namespace for a host, with an address of its own and a cable to the switch."""
    name = f"{PREFIX}{host}"
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")
    ip("-n", SWITCH, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("-n", SWITCH, "link", "set", host, "master", "bridge", "up")
    ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
    ip("-n", name, "link", "set", "eth0", "up")


def set_cable(host: str, *, plugged: bool) -> None:
    """As if somebody pulled it at the switch."""
    ip("-n", SWITCH, "link", "set", host, "up" if plugged else "down")


def slow_down(host: str, rate: str) -> None:
    """What the switch sends to the host comes at this rate (`4mbit`); more than a queue is lost."""
    shape = ("rate", rate, "burst", "32kb", "latency", "200ms")
    run("tc", "-n", SWITCH, "qdisc", "replace", "dev", host, "root", "tbf", *shape)


def lose_packets(host: str, percent: int) -> None:
    """The host loses this share of the packets that reach it.

    nftables drops them, since many kernels have no `netem`.
    """
    inside = ("ip", "netns", "exec", f"{PREFIX}{host}", "nft")
    run(*inside, "add table inet lossy")
    run(*inside, "add chain inet lossy arriving { type filter hook input priority 0; }")
    lost = f"iifname eth0 numgen random mod 100 < {percent} drop"
    run(*inside, f"add rule inet lossy arriving {lost}")


def repair(host: str) -> None:
    """The cable as it was."""
    set_cable(host, plugged=True)
    with suppress(subprocess.CalledProcessError):  # it was not slow
        run("tc", "-n", SWITCH, "qdisc", "delete", "dev", host, "root")
    run("ip", "netns", "exec", f"{PREFIX}{host}", "nft", "flush ruleset")


def remove_namespaces() -> None:
    """With every process in them; also of a test that was killed."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        if name.startswith(PREFIX):
            for pid in ip("netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            ip("netns", "delete", name)
