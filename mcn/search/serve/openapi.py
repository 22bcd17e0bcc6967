"""The description of the API in the form of OpenAPI 3.1, for programs that ask it.

Conventions: written by hand, so that it says what things mean; a test compares its addresses with the routes and its
schemas with real replies.
"""

from __future__ import annotations

from typing import Any

from mcn import __version__
from mcn.search.answers import SOURCES
from mcn.search.serve.parameters import MAXIMUM_LIMIT, MAXIMUM_PICTURE_BYTES, MAXIMUM_QUERY

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {
    "type": "number",
    "minimum": 0,
    "description": "seconds from the start of the video",
}
LENGTH: Schema = {"type": ["number", "null"], "description": "seconds; null where unknown"}
STREAMS: Schema = {"type": "array", "items": {"enum": ["video", "audio"]}}


def document() -> Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "mcn serve", "version": __version__, "description": __doc__},
        "paths": {path: {method: operation} for path, method, operation in _operations()},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
        "security": [{}, {"bearer": []}, {"query": []}],
    }


def _object(required: Schema, **optional: Schema) -> Schema:
    properties = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: dict[str, Schema] = {
    "Answer": _object(
        {
            "video_id": TEXT,
            "start_seconds": SECONDS,
            "end_seconds": SECONDS,
            "score": {"type": "number", "description": "of the joined ranking, higher is better"},
            "sources": {**_list({"enum": list(SOURCES)}), "description": "what found the moment"},
        },
        said={"type": "string", "description": "words that are said in the moment"},
        why={**_list(TEXT), "description": "for each source, what its score rests on"},
        weak={"type": "boolean", "description": "nothing near enough to the text found it"},
        name={"type": "string", "description": "of the file"},
        folder={"type": "string", "description": "of the file, below the folder of all videos"},
        length_seconds=LENGTH,
        streams=STREAMS,
    ),
    "Results": _object({"results": _list(_named("Answer"))}, query=TEXT, terms=_list(TEXT)),
    "Video": _object(
        {
            "video_id": TEXT,
            "name": TEXT,
            "folder": TEXT,
            "length_seconds": LENGTH,
            "status": {"type": "string", "description": "the ledger's word: ok, failed, ..."},
            "error": {"type": "string", "description": "code and words, empty where it is ok"},
            "streams": STREAMS,
        }
    ),
    "Videos": _object({"videos": _list(_named("Video")), "total": COUNT, "offset": COUNT}),
    "Transcript": _object(
        {
            "video_id": TEXT,
            "lines": _list(
                _object({"start_seconds": SECONDS, "end_seconds": SECONDS, "text": TEXT})
            ),
        }
    ),
    "Map": _object(
        {
            "videos": _list(_named("Video")),
            "points": {
                **_list({"type": "array", "items": NUMBER, "minItems": 5, "maxItems": 5}),
                "description": "place of the video in `videos`, start and end in seconds, x and y from 0 to 1",
            },
        }
    ),
    "About": _object(
        {
            "version": TEXT,
            "basis": {**_list(TEXT), "description": "what the answers of this folder rest on"},
            "sources": _list({"enum": list(SOURCES)}),
            "videos": COUNT,
            "statuses": {"type": "object", "additionalProperties": COUNT},
            "folders": _list(TEXT),
        }
    ),
    "Preview": _object(
        {
            "state": {"enum": ["direct", "ready", "making"]},
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
        }
    ),
    "Error": _object({"error": _object({"got": TEXT, "wanted": TEXT, "do_this": TEXT})}),
}


def _parameter(name: str, schema: Schema, says: str, required: bool = False) -> Schema:
    place = "path" if name == "video_id" and required else "query"
    found = {"name": name, "in": place, "schema": schema, "description": says}
    return {**found, "required": True} if required else found


_ONE_OR_NONE = {"enum": ["0", "1", "true", "false"]}
_LIMIT = _parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": 10},
    "how many answers at most",
)
_FILTERS = [
    _LIMIT,
    _parameter("video", _list(TEXT), "ids of the videos that may answer, one a parameter"),
    _parameter("folder", TEXT, "videos in or below this folder alone"),
    _parameter("min_length", SECONDS, "videos of this length or longer"),
    _parameter("max_length", SECONDS, "videos of this length or shorter"),
    _parameter("newer_than", NUMBER, "files changed after this time, seconds since 1970"),
    _parameter("older_than", NUMBER, "files changed before this time, seconds since 1970"),
]
_VIDEO = _parameter("video_id", TEXT, "id of a video, its slashes as %2F", required=True)


def _operations() -> list[tuple[str, str, Schema]]:
    search = [
        {
            **_parameter("q", {**TEXT, "maxLength": MAXIMUM_QUERY}, "what to look for"),
            "required": True,
        },
        _parameter("sources", TEXT, f"out of {', '.join(SOURCES)}, with commas; default: all"),
        _parameter("one_per_video", _ONE_OR_NONE, "1: the best moment of each video alone"),
        _parameter("weak", _ONE_OR_NONE, "1: also moments that are too far from the text to fit"),
    ]
    like = [
        {**_parameter("video_id", TEXT, "id of the video"), "required": True},
        {**_parameter("start_seconds", SECONDS, "start of the moment"), "required": True},
        {**_parameter("end_seconds", SECONDS, "end of the moment"), "required": True},
    ]
    listed = [
        _parameter("offset", COUNT, "videos to pass over"),
        _parameter("limit", COUNT, "videos at most"),
        _parameter("contains", TEXT, "text of the id, the folder or the name"),
        _parameter("status", TEXT, "the ledger's word"),
    ]
    at = _parameter("at", SECONDS, "which moment")
    preview = _parameter(
        "preview", _ONE_OR_NONE, "1: the preview, even where browsers play the file"
    )
    plays = _parameter("plays", TEXT, "codecs that the browser plays beside the usual ones: hevc")
    picture = {
        "required": True,
        "description": f"the file of a picture, at most {MAXIMUM_PICTURE_BYTES} bytes",
        "content": {"image/*": {}},
    }
    video = "/api/videos/{video_id}"
    film: Schema = {"video/*": {}, "audio/*": {}}
    image: Schema = {"image/jpeg": {}}
    return [
        ("/api/about", "get", _operation("What this folder is", "About")),
        ("/api/search", "get", _operation("Moments that fit a text", "Results", search + _FILTERS)),
        ("/api/like", "get", _operation("Moments like one", "Results", like + _FILTERS)),
        (
            "/api/picture",
            "post",
            {**_operation("Moments like a picture", "Results", _FILTERS), "requestBody": picture},
        ),
        ("/api/map", "get", _operation("Moments as points, alike ones near each other", "Map")),
        ("/api/videos", "get", _operation("The list of videos", "Videos", listed)),
        (f"{video}/transcript", "get", _operation("What is said", "Transcript", [_VIDEO])),
        (f"{video}/thumbnail", "get", _operation("A small picture", image, [_VIDEO, at])),
        (
            f"{video}/media",
            "get",
            _operation("The film, in ranges", film, [_VIDEO, preview, plays]),
        ),
        (
            f"{video}/preview",
            "post",
            _operation(
                "How it is played, and how far its preview is", "Preview", [_VIDEO, preview, plays]
            ),
        ),
        ("/api/openapi.json", "get", _operation("This description", {"application/json": {}})),
    ]


def _operation(summary: str, reply: str | Schema, parameters: list[Schema] | None = None) -> Schema:
    """reply: name of a schema, or types of what is sent."""
    content = {"application/json": {"schema": _named(reply)}} if isinstance(reply, str) else reply
    error = {"application/json": {"schema": _named("Error")}}
    return {
        "summary": summary,
        "parameters": parameters or [],
        "responses": {
            "200": {"description": summary, "content": content},
            "default": {"description": "got, wanted, do this", "content": error},
        },
    }
