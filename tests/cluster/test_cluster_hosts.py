"""Two hosts with networks, host names and disks of their own: namespaces of Linux, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chunk_material import LOSSLESS, assert_same
from clips import make_clip

import paragon_stream

pytest.importorskip("ray", reason="needs the extra [cluster]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip") and shutil.which("unshare")),
        reason="makes network namespaces: needs root, ip and unshare",
    ),
]

BRIDGE = "psbridge"
PORT = 6390


@dataclass
class Hosts:
    """Hosts 10.77.0.1 and 10.77.0.2 on one bridge. `disk` is a folder that is empty on the second one."""

    disk: Path
    token: str
    temp: str
    """Ray's sockets are there: their names must be short."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, number: int, *words: str) -> list[str]:
        """`words` on host `number`."""
        hide = f"mount -t tmpfs tmpfs {self.disk} && " if number > 1 else ""
        script = f'hostname host{number} && {hide}exec "$@"'
        return [
            *("ip", "netns", "exec", f"pshost{number}", "unshare", "--mount", "--uts"),
            *("sh", "-c", script, "host", *words),
        ]

    def environment(self, token: str | None = None) -> dict[str, str]:
        return {
            **os.environ,
            "RAY_worker_niceness": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token if token is None else token,
        }

    def start_ray(self, number: int, *words: str) -> None:
        """A node of Ray on host `number`."""
        code = "from ray.scripts.scripts import main; main()"
        command = self.command(number, sys.executable, "-c", code, "start", *words, "--block")
        command += [
            f"--node-ip-address=10.77.0.{number}",
            "--num-cpus=1",
            "--object-store-memory=83886080",
            f"--temp-dir={self.temp}/{number}",
        ]
        self.started.append(
            subprocess.Popen(
                command,
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = Hosts(disk=disk, token=secrets.token_hex(32), temp=tempfile.mkdtemp())
    try:
        if subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"]).returncode:
            pytest.skip("may not make a bridge")
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        for number in (1, 2):
            name, link = f"pshost{number}", f"pslink{number}"
            for words in (
                f"ip netns add {name}",
                f"ip link add {link} type veth peer name eth0 netns {name}",
                f"ip link set {link} master {BRIDGE} up",
                f"ip -n {name} addr add 10.77.0.{number}/24 dev eth0",
                f"ip -n {name} link set eth0 up",
                f"ip -n {name} link set lo up",
            ):
                subprocess.run(words.split(), check=True)
        yield made
    finally:
        for number in (1, 2):
            found = subprocess.run(["ip", "netns", "pids", f"pshost{number}"], capture_output=True, text=True)
            for pid in found.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in made.started:
            process.wait(30)
        shutil.rmtree(made.temp, ignore_errors=True)
        for number in (1, 2):
            subprocess.run(["ip", "netns", "del", f"pshost{number}"], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)


def test_hosts_that_share_nothing_but_a_network(tmp_path: Path, hosts: Hosts) -> None:
    """The source travels to the second host, its chunks come back; without the token nothing does."""
    source, out, report = hosts.disk / "in.mkv", hosts.disk / "out.mkv", hosts.disk / "report.json"
    # Long enough for a render by one host to outlast the start of the other's worker, some ten seconds.
    make_clip(source, width=640, height=360, frames=160, audio="aac", options={"g": "20", "preset": "fast"})
    paragon_stream.upscale(source, tmp_path / "one.mkv", **LOSSLESS)
    hosts.start_ray(1, "--head", f"--port={PORT}", "--include-dashboard=false")
    hosts.start_ray(2, f"--address=10.77.0.1:{PORT}")
    options = [
        *("--codec", "ffv1", "--precision", "fp32", "--threads", "1", "--chunk-seconds", "0.8"),
        *("--cluster", f"10.77.0.1:{PORT}", "--quiet", "--report", str(report)),
    ]
    words = (sys.executable, "-m", "paragon_stream", str(source), str(out), *options)
    begin = hosts.command(1, *words)
    for _ in range(20):  # until both are there
        ended = subprocess.run(
            begin, env=hosts.environment(), capture_output=True, text=True, cwd=Path.cwd(), timeout=300
        )
        if ended.returncode == 0 and len({c["node"] for c in json.loads(report.read_text())["chunks"]}) == 2:
            break
        shutil.rmtree(out.with_name("out.mkv.paragon"), ignore_errors=True)
        out.unlink(missing_ok=True)
    assert ended.returncode == 0, ended.stderr
    assert {chunk["node"] for chunk in json.loads(report.read_text())["chunks"]} == {"host1", "host2"}
    assert_same(out, tmp_path / "one.mkv")
    stranger = subprocess.run(
        hosts.command(1, *words, "--overwrite"),
        env=hosts.environment(token="0" * 64),
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
        timeout=300,
    )
    assert stranger.returncode == 1 and "no Ray cluster can be used" in stranger.stderr, stranger.stderr
    assert_same(out, tmp_path / "one.mkv")
