"""What the page asks about a folder of answers: searches, transcripts, the list of videos, the map.

Conventions: answers are JSON as `mcn search --json` prints them, with the names of the videos added. Searches run in
a few threads of their own, and no more than `_WAITING` of them wait; the map is computed once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcn import __version__
from mcn.search.answers import Answer, Answers
from mcn.search.printing import values_of
from mcn.search.serve import parameters
from mcn.search.serve.library import Library
from mcn.search.serve.making import Busy
from mcn.search.serve.opened import Opened
from mcn.search.terms import parse

T = TypeVar("T")

MAXIMUM_LISTED = 1000  # videos in one reply
_WAITING = 500  # searches at once


class Api:
    """The questions that a folder answers."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        threads = min(4, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._asked = 0
        self._map: tuple[Answers, asyncio.Task[bytes]] | None = None

    async def warm(self) -> None:
        """Ask something, so that encoders are loaded before somebody waits for them."""
        with contextlib.suppress(Exception):  # whoever asks next is told
            await self._ask(self._opened.answers.search, "warm", 1)

    def close(self) -> None:
        """Begin no other search."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[Route]:
        """Addresses of this part; `{video_id:path}`, because ids may hold slashes."""
        return [
            Route("/api/about", self.about),
            Route("/api/search", self.search),
            Route("/api/like", self.like),
            Route("/api/picture", self.picture, methods=["POST"]),
            Route("/api/map", self.map),
            Route("/api/videos", self.videos),
            Route("/api/videos/{video_id:path}/transcript", self.transcript),
        ]

    async def about(self, request: Request) -> Response:
        """What this folder is, and what its answers rest on."""
        answers, library = await self._current()

        def tell() -> Response:
            return JSONResponse(
                {
                    "version": __version__,
                    "basis": answers.basis,
                    "sources": list(answers.sources),
                    "videos": len(answers.videos),
                    "statuses": library.statuses,
                    "folders": library.folders,
                }
            )

        return await asyncio.to_thread(tell)

    async def search(self, request: Request) -> Response:
        """Moments that fit a text."""
        answers, library = await self._current()
        query = request.query_params
        text, limit = parameters.query_text(query), parameters.limit(query)
        sources, filters = parameters.chosen_sources(query), parameters.filters(query, library)
        one_per_video = parameters.flag(query, "one_per_video")
        weak = parameters.flag(query, "weak")
        found = await self._ask(answers.search, text, limit, sources, filters, one_per_video, weak)
        terms = [term.text for term in parse(text)]
        return _results(library, found, query=text, terms=terms)

    async def like(self, request: Request) -> Response:
        """Moments like one of a video."""
        answers, library = await self._current()
        query = request.query_params
        video = library.video(query.get("video_id", ""))
        start = parameters.number(query, "start_seconds")
        end = parameters.number(query, "end_seconds")
        limit, filters = parameters.limit(query), parameters.filters(query, library)
        found = await self._ask(answers.more_like, video.video_id, start, end, limit, filters)
        return _results(library, found)

    async def picture(self, request: Request) -> Response:
        """Moments that look like the picture in the body."""
        answers, library = await self._current()
        query = request.query_params
        limit, filters = parameters.limit(query), parameters.filters(query, library)
        content = await parameters.picture(request.headers, request.stream())

        def ask() -> list[Answer]:
            return answers.by_picture(parameters.decoded_picture(content), limit, filters)

        return _results(library, await self._ask(ask))

    async def map(self, request: Request) -> Response:
        """Points of the moments, near where moments are alike."""
        answers, library = await self._current()
        known = self._map
        if known is None or known[0] is not answers or (known[1].done() and known[1].exception()):
            drawn = asyncio.create_task(asyncio.to_thread(_points, answers, library))
            known = self._map = answers, drawn
        return Response(await asyncio.shield(known[1]), media_type="application/json")

    async def videos(self, request: Request) -> Response:
        """A part of the list of videos."""
        _, library = await self._current()
        query = request.query_params
        offset = parameters.integer(query, "offset", 0, 0, 10**9)
        limit = parameters.integer(query, "limit", 100, 1, MAXIMUM_LISTED)
        contains, status = query.get("contains", ""), query.get("status", "")
        found = await asyncio.to_thread(lambda: list(library.listed(contains, status)))
        shown = [library.facts(video) for video in found[offset : offset + limit]]
        return JSONResponse({"videos": shown, "total": len(found), "offset": offset})

    async def transcript(self, request: Request) -> Response:
        """What is said in a video."""
        answers, library = await self._current()
        video = library.video(request.path_params["video_id"])
        lines = await asyncio.to_thread(answers.transcript, video.video_id)
        return JSONResponse({"video_id": video.video_id, "lines": [asdict(line) for line in lines]})

    async def _current(self) -> tuple[Answers, Library]:
        await self._opened.refresh()
        return self._opened.answers, self._opened.library

    async def _ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a question in one of the threads. Errors: `Busy`, and those of the question."""
        if self._asked >= _WAITING:
            raise Busy
        self._asked += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._asked -= 1


def _results(library: Library, found: Sequence[Answer], **more: Any) -> Response:
    results = []
    for answer in found:
        video = library.facts(library.video(answer.video_id))
        named = {name: video[name] for name in ("name", "folder", "length_seconds", "streams")}
        results.append({**values_of(answer), **named})
    return JSONResponse({**more, "results": results})


def _points(answers: Answers, library: Library) -> bytes:
    numbers: dict[str, int] = {}
    points = [
        (numbers.setdefault(video, len(numbers)), start, end, round(x, 4), round(y, 4))
        for video, start, end, x, y in answers.map()
    ]
    videos = [library.facts(library.video(video_id)) for video_id in numbers]
    return json.dumps({"videos": videos, "points": points}, allow_nan=False).encode()
