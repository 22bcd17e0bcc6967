"""What the page asks about a folder of answers: searches, transcripts, the list of videos, the map.

Conventions: answers are JSON as `mcn search --json` prints them, with the names of the videos added. Searches run in
a few threads, and no more than `_WAITING` of them wait; the map is computed once.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcn import __version__
from mcn.search.answers import Answer, Answers, Filters
from mcn.search.serve import parameters
from mcn.search.serve.library import Library
from mcn.search.serve.making import Busy

T = TypeVar("T")

MAXIMUM_LISTED = 1000  # videos in one reply
_WAITING = 500  # searches at once


class Api:
    """The questions that are answered from `answers`."""

    def __init__(self, answers: Answers, library: Library) -> None:
        self._answers, self._library = answers, library
        threads = min(4, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._asked = 0
        self._map: asyncio.Task[bytes] | None = None

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
        return JSONResponse(
            {
                "version": __version__,
                "basis": self._answers.basis,
                "sources": list(self._answers.sources),
                "videos": len(self._answers.videos),
                "statuses": self._library.statuses(),
                "folders": self._library.folders(),
            }
        )

    async def search(self, request: Request) -> Response:
        """Moments that fit a text."""
        query = request.query_params
        text, limit = parameters.query_text(query), parameters.limit(query)
        sources, filters = parameters.chosen_sources(query), self._filters(request)
        one_per_video = parameters.flag(query, "one_per_video")
        found = await self._ask(self._answers.search, text, limit, sources, filters, one_per_video)
        return self._results(found, query=text)

    async def like(self, request: Request) -> Response:
        """Moments like one of a video."""
        query = request.query_params
        video = self._library.video(query.get("video_id", ""))
        start = parameters.number(query, "start_seconds")
        end = parameters.number(query, "end_seconds")
        limit, filters = parameters.limit(query), self._filters(request)
        found = await self._ask(self._answers.more_like, video.video_id, start, end, limit, filters)
        return self._results(found)

    async def picture(self, request: Request) -> Response:
        """Moments that look like the picture in the body."""
        limit, filters = parameters.limit(request.query_params), self._filters(request)
        content = await parameters.picture(request.headers, request.stream())

        def ask() -> list[Answer]:
            picture = parameters.decoded_picture(content)
            return self._answers.by_picture(picture, limit, filters)

        return self._results(await self._ask(ask))

    async def map(self, request: Request) -> Response:
        """Points of the moments, near where moments are alike."""
        if self._map is None or (self._map.done() and self._map.exception()):
            self._map = asyncio.create_task(self._ask(self._points))
        return Response(await asyncio.shield(self._map), media_type="application/json")

    async def videos(self, request: Request) -> Response:
        """A part of the list of videos."""
        query = request.query_params
        offset = parameters.integer(query, "offset", 0, 0, 10**9)
        limit = parameters.integer(query, "limit", 100, 1, MAXIMUM_LISTED)
        contains, status = query.get("contains", ""), query.get("status", "")
        found = list(self._library.listed(contains, status))
        shown = [self._library.facts(video) for video in found[offset : offset + limit]]
        return JSONResponse({"videos": shown, "total": len(found), "offset": offset})

    async def transcript(self, request: Request) -> Response:
        """What is said in a video."""
        video = self._library.video(request.path_params["video_id"])
        lines = await self._ask(self._answers.transcript, video.video_id)
        return JSONResponse({"video_id": video.video_id, "lines": [asdict(line) for line in lines]})

    def _filters(self, request: Request) -> Filters:
        filters = parameters.filters(request.query_params)
        return replace(filters, folder=self._library.place(filters.folder))

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

    def _results(self, found: Sequence[Answer], **more: Any) -> Response:
        results = []
        for answer in found:
            video = self._library.facts(self._library.video(answer.video_id))
            named = {name: video[name] for name in ("name", "folder", "length_seconds", "streams")}
            results.append({**asdict(answer), **named})
        return JSONResponse({**more, "results": results})

    def _points(self) -> bytes:
        numbers: dict[str, int] = {}
        points = [
            (numbers.setdefault(video, len(numbers)), start, end, round(x, 4), round(y, 4))
            for video, start, end, x, y in self._answers.map()
        ]
        videos = [self._library.facts(self._library.video(video_id)) for video_id in numbers]
        return json.dumps({"videos": videos, "points": points}, allow_nan=False).encode()
