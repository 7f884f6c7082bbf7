"""Routes: base images.

What makes one takes long: its answer is a stream of JSON lines, ``{"log": "..."}`` while it goes on, at the end
``{"base": {...}}`` or ``{"error": {...}}`` (docs/protocols.md, section 1).
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from mooring_server.controllers.images import internal_error
from mooring_server.domain.errors import MooringError
from mooring_server.edges.native.access import OWNER, READER, guarded_router, needs
from mooring_server.edges.native.common import ROOT
from mooring_server.edges.native.schemas import BaseBuild, BasePull
from mooring_server.images.registry_settings import Credentials
from mooring_server.services.bases import Bases
from mooring_server.services.views import BaseImageView, Page

Log = Callable[[str], None]
Work = Callable[[Log], BaseImageView]

# After so long without a line the caller hears that the work goes on.
_QUIET_SECONDS = 15.0
_LINES = "application/x-ndjson"
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {_LINES: {}}}}


def routes(bases: Bases) -> APIRouter:
    """The routes over the use cases."""
    router = guarded_router("bases")
    _add_sources(router, bases)

    @router.get(ROOT + "/bases")
    @needs(READER)
    def list_() -> Page[BaseImageView]:
        """All base images, by name."""
        return {"value": bases.list(), "nextLink": None}

    @router.get(ROOT + "/bases/{name}")
    @needs(READER)
    def get(name: str) -> BaseImageView:
        """One base image."""
        return bases.get(name)

    @router.put(ROOT + "/bases/{name}/default")
    @needs(OWNER, everywhere=True)
    def set_default(name: str) -> BaseImageView:
        """Build images upon it that do not name another."""
        return bases.set_default(name)

    @router.delete(ROOT + "/bases/{name}", status_code=204)
    @needs(OWNER, everywhere=True)
    def delete(name: str) -> None:
        """Forget it; images built upon it stay."""
        bases.delete(name)

    return router


def _add_sources(router: APIRouter, bases: Bases) -> None:
    """The routes that make one."""

    @router.post(ROOT + "/bases", response_class=StreamingResponse, responses=_ANSWER)
    @needs(OWNER, everywhere=True)
    def build(body: BaseBuild) -> StreamingResponse:
        """Build the default base from Debian's packages."""
        return _followed(lambda log: bases.build(log, body.name, body.mirror))

    @router.post(ROOT + "/bases/pull", response_class=StreamingResponse, responses=_ANSWER)
    @needs(OWNER, everywhere=True)
    def pull(body: BasePull) -> StreamingResponse:
        """Take an image of a registry."""
        given = Credentials(body.username, body.password or "") if body.username else None
        return _followed(lambda log: bases.pull(body.reference, log, body.name, given))

    @router.put(ROOT + "/bases/{name}", response_class=StreamingResponse, responses=_ANSWER)
    @needs(OWNER, everywhere=True)
    async def import_(name: str, request: Request) -> StreamingResponse:
        """Take the image in the archive that the body is."""
        upload = bases.upload()
        folder = await run_in_threadpool(upload.__enter__)
        path = folder / "archive"
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    await run_in_threadpool(file.write, chunk)
        except BaseException:
            await run_in_threadpool(upload.__exit__, None, None, None)
            raise

        def work(log: Log) -> BaseImageView:
            try:
                return bases.import_(name, path, log)
            finally:
                upload.__exit__(None, None, None)

        return _followed(work)


def _followed(work: Work) -> StreamingResponse:
    """The answer for work that goes on to its end even if its caller goes away."""
    lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            lines.put({"base": work(lambda line: lines.put({"log": line}))})
        except MooringError as error:
            lines.put({"error": error.to_json()})
        except Exception as error:
            logging.getLogger(__name__).exception("making a base image")
            lines.put({"error": internal_error("Build", error).to_json()})
        lines.put(None)

    def answer() -> Iterator[str]:
        while True:
            try:
                line = lines.get(timeout=_QUIET_SECONDS)
            except queue.Empty:
                yield "\n"
                continue
            if line is None:
                return
            yield json.dumps(line) + "\n"

    threading.Thread(target=run, name="base image", daemon=True).start()
    return StreamingResponse(answer(), media_type=_LINES)
