"""A line without an end that the supervisor read before its request was over."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from mooring_runtime.supervisor.records import Records
from mooring_runtime.testing import PATIENCE_SECONDS
from mooring_runtime.worker import records as worker


def read(stream: Any, data: bytes) -> None:
    stream.about_to_read()
    stream.feed(data, drained=True)


@pytest.mark.parametrize("rest", [b"", b" at all\n"])
def test_it_is_a_record_when_the_request_is_over(rest: bytes) -> None:
    async def scene() -> None:
        written: list[dict[str, Any]] = []
        came = asyncio.Event()

        def write(lines: list[bytes]) -> None:
            written.extend(map(json.loads, lines))
            came.set()

        records = Records(write, "w1", "r1")
        says = worker.Records(os.dup(records.current.fd))
        stream = records.streams[0]
        says.begin("a")
        read(stream, b"no end")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(came.wait(), 0.5)  # it may go on
        if rest:
            read(stream, rest)
        says.end()
        says.begin("b")
        await asyncio.wait_for(came.wait(), PATIENCE_SECONDS)
        assert [(one["request_id"], one["message"]) for one in written] == [
            ("a", "no end" + rest.decode().rstrip())
        ]
        records.current.close()

    asyncio.run(scene())
