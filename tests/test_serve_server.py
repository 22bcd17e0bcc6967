"""Who may ask the page's server, what it lets out, how it starts, follows its folder and ends."""

import json
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

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from mcn.errors import UserError
from mcn.search.serve import opened, server
from mcn.search.serve.app import STATIC, create_app
from mcn.search.serve.opened import Opened, stamp_of
from tests.answers_fake import FakeAnswers
from tests.served import LOCAL, PAN, SOUP, at, error_of

ROOT = Path(__file__).parent.parent

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


def test_a_token_is_wanted_where_others_can_reach_the_page(served, tmp_path):
    app = create_app(Opened(lambda: served), tmp_path, host="0.0.0.0", token="secret-token")
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


# a folder that changes


def test_a_folder_that_has_changed_is_opened_again(served, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(opened, "CHECK_SECONDS", 0)
    settings = tmp_path / "results" / "settings.json"
    settings.parent.mkdir()
    settings.write_text("{}")
    (tmp_path / "results" / "set").mkdir()
    later = FakeAnswers(served.videos["talk.m4a"].path.parent)
    later.videos = {name: later.videos[name] for name in later.videos if name != PAN}
    given = [served, UserError("a run in its midst", "a whole one", "wait"), later]

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


def test_the_verb_prints_its_address_serves_and_ends_quietly(tmp_path, served):
    """Ctrl-C comes while a film is being read slowly and a preview is being made."""
    shutil.copytree(served.videos["talk.m4a"].path.parent, tmp_path / "videos")
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


def started(folder: Path) -> tuple[subprocess.Popen, str]:
    """`mcn serve` over a copy of `make_folder`, and its address."""
    command = [sys.executable, "-c", SERVE, str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    return process, process.stdout.readline().strip()


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_makes_a_preview_makes_it_whole_the_next_time(
    tmp_path, served
):
    shutil.copytree(served.videos["talk.m4a"].path.parent, tmp_path / "videos")
    frames = np.random.default_rng(0).integers(0, 255, (8, 480, 640, 3), np.uint8)
    with av.open(str(tmp_path / "videos" / PAN), "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(400):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frames[number % 8])))
        film.mux(stream.encode())
    process, address = started(tmp_path)
    request = urllib.request.Request(f"{address}{at(PAN, 'preview')[1:]}", method="POST")
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 202
    end = time.monotonic() + 60
    while not list(tmp_path.rglob("*.part")) and time.monotonic() < end:
        time.sleep(0.05)
    assert list(tmp_path.rglob("*.part")), "it was made before it could be killed"
    process.kill()
    process.communicate()
    process, address = started(tmp_path)
    try:
        with urllib.request.urlopen(f"{address}{at(PAN, 'media')[1:]}", timeout=120) as reply:
            (tmp_path / "film.mp4").write_bytes(reply.read())
    finally:
        process.terminate()
        process.communicate()
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 400
    assert list(tmp_path.rglob("*.part")) == []
