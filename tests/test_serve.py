"""The page's API: what it answers, what it refuses, and what it never lets out."""

import asyncio
import io
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from urllib.parse import quote

import av
import httpx2
import jsonschema
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mcn.errors import UserError, VideoError
from mcn.media.frames import frame_at
from mcn.media.probe import probe
from mcn.search.answers import Line, Video
from mcn.search.serve import opened, server
from mcn.search.serve.app import STATIC, create_app
from mcn.search.serve.file_cache import FileCache
from mcn.search.serve.openapi import document
from mcn.search.serve.opened import Opened, stamp_of
from mcn.search.serve.parameters import MAXIMUM_PICTURE_BYTES, MAXIMUM_QUERY
from mcn.search.serve.playback import playback_of
from mcn.search.serve.previews import write_preview
from tests.answers_fake import HOSTILE, HOSTILE_WORDS, LENGTH, FakeAnswers, make_folder
from tests.media_files import make, run_ffmpeg

ROOT = Path(__file__).parent.parent
LOCAL = "http://127.0.0.1:8000"
SOUP, PAN, ROSES = "kitchen/soup.mp4", "kitchen/old/pan.avi", "garden/roses.ts"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return FakeAnswers(make_folder(tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="module")
def client(answers, tmp_path_factory):
    app = create_app(Opened(lambda: answers), tmp_path_factory.mktemp("cache"))
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


def at(video, what):
    return f"/api/videos/{quote(video, safe='')}/{what}"


def error_of(reply):
    """The three sentences of an error."""
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert set(error) == {"got", "wanted", "do_this"}
    assert all(error.values())
    return error


# searching


def test_a_search_gives_moments_best_first_as_the_design_says(client):
    reply = client.get("/api/search", params={"q": "stir the soup", "limit": 3})
    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [r["video_id"] for r in results] == [SOUP, HOSTILE, SOUP]
    first = results[0]
    assert (first["start_seconds"], first["end_seconds"]) == pytest.approx((4 / 3, 8 / 3))
    assert first["sources"] == ["words"]
    assert first["score"] == 1
    assert first["said"] == "stir the soup"
    assert first["name"] == "soup.mp4"
    assert first["folder"] == "kitchen"
    assert [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)


def test_filters_reach_the_answers(client, answers):
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
    assert (answers.asked[-1].max_length, answers.asked[-1].newer_than) == (60, 5)


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
        assert client.get("/api/search", params={"q": text}).json() == {
            "query": text,
            "results": [],
        }


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


def test_ids_of_any_characters_are_found(answers, tmp_path):
    """Ids come from names of files; a program quotes them whole, slashes too."""
    odd = FakeAnswers(answers.videos["talk.m4a"].path.parent)
    path = answers.videos[SOUP].path
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


def test_thumbnails_show_the_moment_and_are_made_once(client, answers):
    reply = client.get(at(SOUP, "thumbnail"), params={"at": "1.9"})
    assert reply.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(reply.content))
    assert shown.size == (240, 180)
    true = Image.fromarray(frame_at(answers.videos[SOUP].path, 1.9, 180)).convert("L")
    other = Image.fromarray(frame_at(answers.videos[SOUP].path, 3.5, 180)).convert("L")

    def distance(a, b):
        return sum(abs(x - y) for x, y in zip(a.tobytes(), b.tobytes(), strict=True))

    assert distance(shown.convert("L"), true) < 0.2 * distance(shown.convert("L"), other)
    again = client.get(at(SOUP, "thumbnail"), params={"at": "1.93"})
    assert again.headers["etag"] == reply.headers["etag"]


def test_a_video_without_a_picture_is_told_so(client):
    assert client.get(at("talk.m4a", "thumbnail")).status_code == 404
    for _ in range(2):
        broken = client.get(at("broken.mp4", "thumbnail"))
        assert broken.status_code == 422
        assert "unreadable" in error_of(broken)["got"]
    assert client.get(at(SOUP, "thumbnail"), params={"at": "soon"}).status_code == 400


# films


def test_a_playable_file_is_sent_as_it_is_in_ranges(client, answers):
    content = answers.videos[SOUP].path.read_bytes()
    whole = client.get(at(SOUP, "media"))
    assert whole.content == content
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(at(SOUP, "media"), headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    rest = client.get(at(SOUP, "media"), headers={"range": f"bytes={len(content) - 5}-"})
    assert rest.content == content[-5:]
    beyond = client.get(at(SOUP, "media"), headers={"range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416


def test_what_browsers_do_not_play_becomes_a_preview_once(client, answers):
    assert client.post(at(SOUP, "preview")).json() == {"state": "direct", "progress": 1.0}
    assert client.post(at(PAN, "preview")).json()["state"] == "making"
    film = client.get(at(PAN, "media"))
    assert film.headers["content-type"] == "video/mp4"
    assert film.content[4:8] == b"ftyp"
    assert client.post(at(PAN, "preview")).json() == {"state": "ready", "progress": 1.0}
    part = client.get(at(PAN, "media"), headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    asked = client.get(at("film.webm", "media"), params={"preview": "1"})
    assert asked.content[4:8] == b"ftyp"
    assert client.get(at("film.webm", "media")).headers["content-type"] == "video/webm"
    assert client.get(at("talk.m4a", "media")).headers["content-type"] == "audio/mp4"
    assert client.get(at("broken.mp4", "media")).status_code == 422


@pytest.mark.parametrize(
    ("name", "direct", "media_type"),
    [
        ("plain.mp4", True, "video/mp4"),
        ("vp9.webm", True, "video/webm"),
        ("cover_art.mp3", True, "audio/mpeg"),
        ("sixteen.wav", True, "audio/wav"),
        ("ten_bit.mkv", False, "video/mp4"),
        ("sixty.mkv", False, "video/mp4"),
        ("mpeg4.avi", False, "video/mp4"),
        ("surround.mkv", False, "audio/mp4"),
    ],
)
def test_how_a_file_is_played_follows_from_what_it_holds(name, direct, media_type):
    found = playback_of(make(name))
    assert (found.direct, found.media_type) == (direct, media_type)


@pytest.mark.parametrize("name", ["mpeg4.avi", "sixty.mkv", "late_video.mkv", "ten_bit.mkv"])
def test_a_preview_shows_the_same_at_the_same_time(name, tmp_path):
    output = tmp_path / "preview.mp4"
    write_preview(make(name), output)
    assert playback_of(output).direct
    for seconds in (0.5, 1.7):
        source, made = (frame_at(path, seconds, 96).astype(int) for path in (make(name), output))
        other = frame_at(output, seconds + 0.2 if seconds < 1 else seconds - 0.2, 96)
        near = abs(source - made).mean()
        assert near < 14
        assert near < abs(source - other).mean() or name == "late_video.mkv"


@pytest.mark.parametrize("name", ["stream.ts", "later_and_larger.ts"])
def test_a_preview_begins_with_the_container(name, tmp_path):
    """MPEG-TS begins at 1.4 s or later; the player counts from 0."""
    write_preview(make(name), tmp_path / "preview.mp4")
    found = probe(tmp_path / "preview.mp4")
    with av.open(str(tmp_path / "preview.mp4")) as container:
        assert container.start_time == 0
    assert found.video.start_seconds == pytest.approx(0.023, abs=0.002)
    assert found.seconds == pytest.approx(4.04, abs=0.05)


def test_a_browser_that_plays_more_gets_more_files_themselves(client, answers, tmp_path):
    film = tmp_path / "phone.mov"
    run_ffmpeg(["-i", str(make("ten_bit.mkv")), "-c", "copy", "-tag:v", "hvc1", str(film)])
    found = playback_of(film)
    assert (found.direct, found.needs, found.media_type) == (False, "hevc", "video/mp4")
    assert playback_of(make("ten_bit.mkv")).needs == ""
    phone = FakeAnswers(answers.videos["talk.m4a"].path.parent)
    phone.videos = {"phone": Video("phone", film, 4.0, "ok", "", ("video",))}
    with TestClient(
        create_app(Opened(lambda: phone), tmp_path / "cache"), base_url=LOCAL
    ) as client:
        plays = {"plays": "hevc"}
        assert client.post(at("phone", "preview"), params=plays).json()["state"] == "direct"
        assert client.get(at("phone", "media"), params=plays).content == film.read_bytes()
        assert client.get(at("phone", "media")).content != film.read_bytes()


def test_a_preview_of_sound_fills_gaps_with_silence(tmp_path):
    write_preview(make("gap.mkv"), tmp_path / "gap.mp4")
    assert playback_of(tmp_path / "gap.mp4").seconds == pytest.approx(4, abs=0.1)


def test_no_preview_is_left_of_a_file_that_cannot_be_decoded(tmp_path):
    with pytest.raises(VideoError):
        write_preview(make("text.mp4"), tmp_path / "preview.mp4")
    assert not list(tmp_path.iterdir())


def test_a_film_that_is_gone_is_not_found(answers, tmp_path):
    folder = tmp_path / "videos"
    shutil.copytree(answers.videos["talk.m4a"].path.parent, folder)
    gone = FakeAnswers(folder)
    (folder / SOUP).unlink()
    with TestClient(create_app(Opened(lambda: gone), tmp_path / "cache"), base_url=LOCAL) as client:
        reply = client.get(at(SOUP, "media"))
        assert reply.status_code == 404
        assert error_of(reply)["got"].startswith("not_found")


def test_the_cache_keeps_its_limit_and_what_was_used_last(tmp_path):
    def add(cache, name):
        path = cache.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        return cache.add(name)

    cache = FileCache(tmp_path, 250)
    for name in ("aa1", "bb2"):
        add(cache, name)
    assert cache.find("aa1")
    add(cache, "cc3")
    assert cache.total_bytes == 200
    assert cache.find("bb2") is None
    assert cache.find("aa1")
    os.utime(cache.path("aa1"), (1, 1))
    again = FileCache(tmp_path, 150)
    assert again.total_bytes == 100
    assert again.find("aa1") is None
    cache.path("cc3").unlink()
    assert again.find("cc3") is None
    assert again.total_bytes == 0


# a folder that changes


def test_a_folder_that_has_changed_is_opened_again(answers, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(opened, "CHECK_SECONDS", 0)
    settings = tmp_path / "results" / "settings.json"
    settings.parent.mkdir()
    settings.write_text("{}")
    (tmp_path / "results" / "set").mkdir()
    later = FakeAnswers(answers.videos["talk.m4a"].path.parent)
    later.videos = {name: later.videos[name] for name in later.videos if name != PAN}
    given = [answers, UserError("a run in its midst", "a whole one", "wait"), later]

    def give():
        found = given.pop(0)
        if isinstance(found, UserError):
            raise found
        return found

    folder = Opened(give, lambda: stamp_of(tmp_path))
    with TestClient(create_app(folder, tmp_path / "cache"), base_url=LOCAL) as client:
        assert client.get("/api/about").json()["videos"] == 7
        assert len(given) == 2
        before = client.get("/api/map").json()
        (tmp_path / "results" / "set" / "videos.parquet").write_text("half")
        assert client.get("/api/about").json()["videos"] == 7
        assert "a run in its midst" in caplog.text
        (tmp_path / "results" / "set" / "videos.parquet").write_text("whole")
        assert client.get("/api/about").json()["videos"] == 6
        assert client.get(at(PAN, "media")).status_code == 404
        assert len(client.get("/api/map").json()["points"]) < len(before["points"])
    assert given == []


# who may ask


@pytest.mark.parametrize(
    "path",
    [
        "/api/videos/..%2F..%2Fetc%2Fpasswd/media",
        "/api/videos/%2Fetc%2Fpasswd/media",
        "/static/..%2Fapp.py",
        "/static/%2e%2e/app.py",
        "/static/../../../pyproject.toml",
        "/etc/passwd",
    ],
)
def test_no_path_leads_out_of_what_is_listed(client, path):
    assert client.get(path).status_code == 404


def test_a_name_that_was_pointed_here_gets_nothing(client):
    for host in (
        "evil.example",
        "evil.example:8000",
        "",
        "127.0.0.1.evil.example",
        "localhost.evil",
    ):
        reply = client.get("/api/about", headers={"host": host})
        assert reply.status_code == 421, host
    for host in ("localhost:9", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
        assert client.get("/api/about", headers={"host": host}).status_code == 200, host
    assert client.get("/api/about", headers={"host": "192.168.1.5"}).status_code == 421


def test_pages_of_other_sites_get_nothing_but_may_link_here(client):
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get(at(SOUP, "media"), headers=foreign).status_code == 403
    assert client.post("/api/picture", headers=foreign, content=b"").status_code == 403
    link = {**foreign, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403


def test_every_reply_carries_the_policy(client):
    for path in ("/", "/api/about", "/nothing", "/static/app.js", at(SOUP, "media")):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_a_token_is_wanted_where_others_can_reach_the_page(answers, tmp_path):
    app = create_app(Opened(lambda: answers), tmp_path, host="0.0.0.0", token="secret-token")
    with TestClient(app, base_url="http://192.168.1.5:8000", follow_redirects=False) as client:
        for path in ("/", "/api/about", "/static/app.js", at(SOUP, "media")):
            assert client.get(path).status_code == 401
            assert client.get(path, params={"token": "secret-tokem"}).status_code == 401
        assert client.get("/api/about?token=s%C3%A9cret").status_code == 401
        assert client.get("/api/about", params={"token": "secret-token"}).status_code == 200
        bearer = {"authorization": "Bearer secret-token"}
        assert client.get("/api/about", headers=bearer).status_code == 200
        opened = client.get("/", params={"token": "secret-token", "x": "1"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/?x=1")
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert client.get("/").status_code == 200
        assert client.get("/api/about", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/api/about", headers={"host": socket.gethostname()}).status_code == 200


def test_unknown_addresses_and_methods_are_told_in_json(client):
    assert error_of(client.get("/api/nothing"))["got"] == "GET /api/nothing"
    reply = client.post("/api/search")
    assert reply.status_code == 405
    assert error_of(reply)


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


# the page's files


def test_the_page_names_no_outside_address_and_needs_nothing_inline():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    for path in STATIC.iterdir():
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/)|\burl\(|@import", text), path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        )


def test_the_files_of_the_page_are_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["mcn"]
    packaged = {path for pattern in patterns for path in (ROOT / "mcn").glob(pattern)}
    assert set(STATIC.iterdir()) <= packaged


# the program


def test_the_cache_lies_in_the_folder_or_where_it_can(tmp_path):
    with server.cache_folder(tmp_path) as folder:
        assert folder == tmp_path / "results" / "serve"
    blocked = tmp_path / "file"
    blocked.write_text("")
    with server.cache_folder(blocked) as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_ports_that_are_taken():
    with server.listening("127.0.0.1", 0) as first:
        taken = first.getsockname()[1]
        assert server.address(first, "127.0.0.1", "") == f"http://127.0.0.1:{taken}/"
        assert server.address(first, "127.0.0.1", "t").endswith("/?token=t")
        with pytest.raises(UserError, match=f"port {taken}"), server.listening("127.0.0.1", taken):
            pass
    with pytest.raises(UserError, match="from 0 to 65535"), server.listening("127.0.0.1", 99_999):
        pass
    with pytest.raises(UserError, match="a name or an address"), server.listening("no.invalid", 0):
        pass


SERVE = """
import sys
from pathlib import Path
from tests.answers_fake import FakeAnswers
from mcn.cli import main
from mcn.search.answers import Answers

if __name__ == "__main__":
    Answers.open = classmethod(lambda cls, directory, dataset: FakeAnswers(directory / "videos"))
    sys.exit(main(["serve", *sys.argv[1:]]))
"""


def test_the_verb_prints_its_address_serves_and_ends_quietly(tmp_path, answers):
    """Ctrl-C comes while a film is being read slowly and a preview is being made."""
    shutil.copytree(answers.videos["talk.m4a"].path.parent, tmp_path / "videos")
    command = [sys.executable, "-c", SERVE, str(tmp_path), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(f"{address}api/search?q=soup") as reply:
            assert json.load(reply)["results"]
        with urllib.request.urlopen(f"{address}{at(SOUP, 'thumbnail')[1:]}") as reply:
            assert reply.headers["content-type"] == "image/jpeg"
        request = urllib.request.Request(f"{address}{at(PAN, 'preview')[1:]}", method="POST")
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 202
        waiting = socket.create_connection(("127.0.0.1", int(address[:-1].rpartition(":")[2])))
        with waiting:
            waiting.sendall(b"GET /api/about HTTP/1.1\r\n")
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == ""
    assert err == ""


def test_the_hostile_names_of_these_tests_are_hostile(client):
    """What the page must show as text reaches it unchanged."""
    found = client.get("/api/search", params={"q": "stir", "video": HOSTILE}).json()["results"]
    assert [(r["video_id"], r["said"]) for r in found] == [(HOSTILE, HOSTILE_WORDS)]
    assert found[0]["end_seconds"] == LENGTH
