"""The page's API: what it answers, and what it says to requests that make no sense."""

import asyncio
import io
import json
import logging
import re
from urllib.parse import quote

import httpx2
import jsonschema
import pytest
from PIL import Image

from mcn.search.answers import Line, Video
from mcn.search.printing import as_json
from mcn.search.serve.app import create_app
from mcn.search.serve.openapi import document
from mcn.search.serve.opened import Opened
from mcn.search.serve.parameters import MAXIMUM_PICTURE_BYTES, MAXIMUM_QUERY
from tests.answers_fake import HOSTILE, HOSTILE_WORDS, LENGTH, FakeAnswers
from tests.served import LOCAL, PAN, ROSES, SOUP, at, error_of

# searching


def test_a_search_gives_moments_best_first_as_mcn_search_does(client, served):
    reply = client.get("/api/search", params={"q": "stir the soup", "limit": 3})
    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [r["video_id"] for r in results] == [SOUP, HOSTILE, SOUP]
    first = results[0]
    assert (first["start_seconds"], first["end_seconds"]) == (1.333, 2.667)
    assert first["sources"] == ["words"]
    assert first["score"] == 1
    assert first["said"] == "stir the soup"
    assert first["name"] == "soup.mp4"
    assert first["folder"] == "kitchen"
    printed = json.loads(as_json(served, served.search("stir the soup", 3)))["results"]
    assert next(iter([one.pop("path") for one in printed])).endswith("/kitchen/soup.mp4")
    assert [one | more for one, more in zip(results, printed, strict=True)] == results
    assert [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)


def test_filters_reach_the_answers(client, served):
    def ids(**parameters):
        reply = client.get("/api/search", params={"q": "the", **parameters})
        return {r["video_id"] for r in reply.json()["results"]}

    assert ids(video=PAN) == {PAN}
    assert ids(video=[PAN, ROSES]) == {PAN, ROSES}
    assert ids(folder="kitchen") == {SOUP, PAN}
    assert ids(folder="kitchen/old") == {PAN}
    assert ids(min_length=5) == set()
    assert ids(sources="seen") == set()
    whole = client.get("/api/search", params={"q": "the", "limit": 100}).json()["results"]
    single = client.get(
        "/api/search", params={"q": "the", "limit": 100, "one_per_video": "1"}
    ).json()["results"]
    assert len(whole) > len(single) == len({r["video_id"] for r in whole})
    client.get("/api/search", params={"q": "the", "max_length": "60", "newer_than": "5"})
    assert (served.asked[-1].max_length, served.asked[-1].newer_than) == (60, 5)


def test_weak_answers_are_shown_where_they_are_asked_for_alone(client):
    assert client.get("/api/search", params={"q": "zebra"}).json()["results"] == []
    weak = client.get("/api/search", params={"q": "zebra", "weak": "1"}).json()["results"]
    assert weak
    assert all(one["weak"] for one in weak)


@pytest.mark.parametrize(
    ("parameters", "got"),
    [
        ({}, "no text in q"),
        ({"q": "  "}, "no text in q"),
        ({"q": "x" * (MAXIMUM_QUERY + 1)}, f"{MAXIMUM_QUERY + 1} characters"),
        ({"q": "x" * 50_000}, "bytes behind the question mark"),
        ({"q": "x", "limit": "0"}, "limit='0'"),
        ({"q": "x", "limit": "1e3"}, "limit='1e3'"),
        ({"q": "x", "limit": "100000"}, "limit='100000'"),
        ({"q": "x", "min_length": "nan"}, "min_length='nan'"),
        ({"q": "x", "max_length": "-1"}, "max_length='-1'"),
        ({"q": "x", "sources": "words,smell"}, "'smell'"),
        ({"q": "x", "one_per_video": "maybe"}, "one_per_video='maybe'"),
        ({"q": "x", "weak": "yes"}, "weak='yes'"),
        ({"q": "x", "folder": "../.."}, "the folder '../..'"),
        ({"q": "x", "folder": "/etc"}, "the folder '/etc'"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_what_is_wrong(client, parameters, got):
    reply = client.get("/api/search", params=parameters)
    assert reply.status_code == 400
    assert got in error_of(reply)["got"]


def test_queries_in_any_script_are_answered(client):
    for text in ("汤", "суп", "🍲", "'\"; drop table", "zebra NEAR (", "x" * MAXIMUM_QUERY):
        reply = client.get("/api/search", params={"q": text}).json()
        assert (reply["query"], reply["results"]) == (text, [])


def test_the_words_that_count_are_told_so_that_a_page_can_mark_them(client):
    reply = client.get("/api/search", params={"q": 'Stir the "tomato soup"'}).json()
    assert reply["terms"] == ["stir", "tomato soup"]


def test_a_fault_of_the_program_is_logged_and_tells_nothing(client, caplog):
    with caplog.at_level(logging.ERROR):
        reply = client.get("/api/search", params={"q": "fault"})
    assert reply.status_code == 500
    assert "ZeroDivisionError" not in json.dumps(error_of(reply))
    assert "ZeroDivisionError" in caplog.text


def test_more_like_a_moment(client):
    moment = {"video_id": SOUP, "start_seconds": 1, "end_seconds": 2}
    found = client.get("/api/like", params=moment).json()["results"]
    assert found
    assert SOUP not in {r["video_id"] for r in found}
    assert "video_id" not in client.get("/api/like", params=moment).json()
    assert client.get("/api/like", params={**moment, "video_id": "none"}).status_code == 404
    reply = client.get("/api/like", params={"video_id": SOUP})
    assert error_of(reply)["got"] == "no start_seconds"


def test_a_picture_is_looked_for(client):
    body = io.BytesIO()
    Image.new("RGBA", (3000, 200), "red").save(body, "PNG")
    found = client.post("/api/picture", params={"limit": 2}, content=body.getvalue())
    assert [r["sources"] for r in found.json()["results"]] == [["seen"], ["seen"]]


@pytest.mark.parametrize(
    ("content", "status", "got"),
    [
        (b"no picture at all", 400, "17 bytes that are no picture"),
        (b"", 400, "0 bytes"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400, "no picture"),
        (bytes(MAXIMUM_PICTURE_BYTES + 1), 413, "a picture of"),
    ],
)
def test_what_is_no_picture_is_refused(client, content, status, got):
    reply = client.post("/api/picture", content=content)
    assert reply.status_code == status
    assert got in error_of(reply)["got"]


def test_a_picture_that_unpacks_to_too_much_is_refused(client):
    body = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(body, "PNG")
    assert len(body.getvalue()) < MAXIMUM_PICTURE_BYTES
    reply = client.post("/api/picture", content=body.getvalue())
    assert reply.status_code == 413
    assert "pixels" in error_of(reply)["got"]


# videos


def test_the_list_of_videos_has_the_words_of_the_ledger(client):
    reply = client.get("/api/videos").json()
    videos = {video["video_id"]: video for video in reply["videos"]}
    assert len(videos) == reply["total"] == 7
    assert videos["broken.mp4"]["status"] == "failed"
    assert videos["broken.mp4"]["error"] == "unreadable: no index"
    assert videos[PAN] | {"status": "ok", "folder": "kitchen/old"} == videos[PAN]
    page = client.get("/api/videos", params={"offset": 2, "limit": 2}).json()
    assert page["videos"] == reply["videos"][2:4]
    found = client.get("/api/videos", params={"contains": "KITCHEN/"}).json()
    assert [v["name"] for v in found["videos"]] == ["soup.mp4", "pan.avi"]
    failed = client.get("/api/videos", params={"status": "failed"}).json()
    assert failed["total"] == 1


def test_ids_of_any_characters_are_found(served, tmp_path):
    """Ids come from names of files; a program quotes them whole, slashes too."""
    odd = FakeAnswers(served.videos["talk.m4a"].path.parent)
    path = served.videos[SOUP].path
    ids = ("100% #1?/x&y=z+.mp4", "a/transcript", "%2F..%2F", "ü 汤/\\'\".mp4", "a//b")
    odd.videos = {one: Video(one, path, 4.0, "ok", "", ("video",)) for one in ids}
    odd.transcript = lambda video_id: [Line(0, 1, video_id)]
    app = create_app(Opened(lambda: odd), tmp_path)

    async def ask(one):
        # starlette's own client decodes addresses twice
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return (await client.get(f"/api/videos/{quote(one, safe='')}/transcript")).json()

    for one in ids:
        assert asyncio.run(ask(one))["lines"][0]["text"] == one


def test_what_the_folder_rests_on_is_said(client):
    about = client.get("/api/about").json()
    assert about["basis"] == ["words that were said: narration beside the videos"]
    assert about["statuses"] == {"ok": 6, "failed": 1}
    assert about["folders"] == ["garden", "kitchen", "kitchen/old"]


def test_transcripts(client):
    lines = client.get(at(SOUP, "transcript")).json()["lines"]
    assert [line["text"] for line in lines] == [
        "chop the onion",
        "stir the soup",
        "serve the soup hot",
    ]
    assert client.get(at("film.webm", "transcript")).json()["lines"] == []
    assert client.get(at("nothing", "transcript")).status_code == 404


def test_the_map_holds_every_moment_by_the_number_of_its_video(client):
    found = client.get("/api/map").json()
    assert len(found["points"]) == 24
    number, start, end, x, y = found["points"][0]
    assert found["videos"][number]["video_id"] == SOUP
    assert (start, end) == (0, 1)
    assert 0 <= x <= 1
    assert 0 <= y <= 1


# the description


def test_the_description_names_every_route_and_what_it_replies(client):
    described = client.get("/api/openapi.json").json()
    assert described == json.loads(json.dumps(document()))
    served = {
        (re.sub(r":path", "", route.path), method.lower())
        for route in client.app.routes
        if getattr(route, "methods", None) and route.path.startswith("/api")
        for method in route.methods - {"HEAD"}
    }
    assert served == {(p, m) for p, methods in described["paths"].items() for m in methods}
    examples = {
        "/api/about": "About",
        "/api/search?q=soup": "Results",
        "/api/map": "Map",
        "/api/videos": "Videos",
        at(SOUP, "transcript"): "Transcript",
        "/api/search": "Error",
    }
    for path, schema in examples.items():
        wanted = {"$ref": f"#/components/schemas/{schema}", "components": described["components"]}
        jsonschema.validate(client.get(path).json(), wanted)


def test_the_hostile_names_of_these_tests_are_hostile(client):
    """What the page must show as text reaches it unchanged."""
    found = client.get("/api/search", params={"q": "stir", "video": HOSTILE}).json()["results"]
    assert [(r["video_id"], r["said"]) for r in found] == [(HOSTILE, HOSTILE_WORDS)]
    assert found[0]["end_seconds"] == LENGTH
