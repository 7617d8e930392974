"""A real sshd on loopback with keys of its own. Needs root, and Debian's openssh-server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.slurm import free_ports, running
from tests.support.waiting import wait_until

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/person.pub
StrictModes no
UsePAM no
PasswordAuthentication no
"""


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, object]]:
    """How asyncssh connects to it."""
    for name in ("host", "person"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    (port,) = free_ports(1)
    (folder / "sshd_config").write_text(CONFIGURATION.format(port=port, folder=folder))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True)  # which sshd asks for
    log = folder / "sshd.log"
    command = ("/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))
    with running(command, log, {"PATH": "/usr/bin:/bin"}):
        assert wait_until(lambda: "Server listening" in log.read_text()), log.read_text()
        yield {
            "port": port,
            "username": "root",
            "client_keys": [str(folder / "person")],
            "known_hosts": str(folder / "known_hosts"),
        }
