"""The load generator: wrk, which keeps so many connections busy with the same request."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MISSING = (
    "wrk sends the requests of this benchmark, and is not installed. "
    "Debian and Ubuntu: apt-get install wrk. Fedora: dnf install wrk. macOS: brew install wrk."
)
# wrk prints rounded figures; its script is given the exact ones. Latencies are in microseconds.
SCRIPT = """
wrk.method = "POST"
wrk.body = [==[%s]==]
%s
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %%d, "duration": %%d, "p50": %%d, "p99": %%d, "max": %%d, ' ..
    '"connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
TIMEOUT_SECONDS = 30
FAULTS = ("connect", "read", "write", "status", "timeout")


class Wrong(Exception):
    """A server gave another answer than the right one; the run is worth nothing."""


class Silent(Exception):
    """A server answered nothing at all in a measurement, which is no wrong answer either."""


@dataclass(frozen=True)
class Sample:
    """What wrk saw in one measurement; latencies in seconds."""

    rate: float
    p50: float
    p99: float
    longest: float


def wrk() -> str | None:
    """The program, if there is one."""
    return shutil.which("wrk")


def script(body: str, headers: Mapping[str, str]) -> str:
    """The Lua script that sends ``body`` and prints one line of JSON in the end."""
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return SCRIPT % (body, "\n".join(lines))


def parse(output: str) -> Sample:
    """The figures in wrk's output.

    Raises:
        Wrong: a request failed, or its answer had a status of 400 or more.
        Silent: none was answered.
    """
    line = next((line for line in output.splitlines() if line.startswith('{"requests"')), None)
    if line is None:
        raise Wrong(f"wrk printed no figures: {output.strip()}")
    seen = json.loads(line)
    faults = {name: seen[name] for name in FAULTS if seen[name]}
    if faults:
        said = ", ".join(f"{count} of kind '{name}'" for name, count in faults.items())
        raise Wrong(f"{seen['requests']} requests, errors: {said}")
    if not seen["requests"]:
        raise Silent(f"no request was answered in {seen['duration'] / 1e6:.1f} s of load")
    rate = seen["requests"] / (seen["duration"] / 1e6)
    return Sample(rate, seen["p50"] / 1e6, seen["p99"] / 1e6, seen["max"] / 1e6)


def apply(
    url: str,
    body: str,
    headers: Mapping[str, str],
    connections: int,
    seconds: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> Sample:
    """Load for whole ``seconds``; ``meanwhile`` is called when half of them are over.

    Raises:
        Wrong, Silent: see `parse`.
    """
    return parse(_output(url, body, headers, connections, seconds, meanwhile))


def warm(url: str, body: str, headers: Mapping[str, str], connections: int, seconds: float) -> None:
    """Load whose figures nobody reads."""
    _output(url, body, headers, connections, seconds, lambda: None)


def _output(
    url: str,
    body: str,
    headers: Mapping[str, str],
    connections: int,
    seconds: float,
    meanwhile: Callable[[], None],
) -> str:
    program = wrk()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="mooring-wrk-") as folder:
        path = Path(folder) / "request.lua"
        path.write_text(script(body, headers), encoding="utf-8")
        command = [program, "--threads", "1", "--connections", str(connections)]
        command += [
            "--duration",
            f"{seconds:.0f}s",
            "--timeout",
            f"{TIMEOUT_SECONDS}s",
            "--script",
            str(path),
            url,
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                try:
                    output, _ = process.communicate(timeout=seconds / 2)
                except subprocess.TimeoutExpired:
                    meanwhile()
                    output, _ = process.communicate(timeout=seconds + 2 * TIMEOUT_SECONDS)
            except BaseException:
                process.kill()
                raise
    return output
