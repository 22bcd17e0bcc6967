"""Films and pictures of the page: ranges, previews of what browsers do not play, thumbnails, their caches."""

import io
import os
import shutil

import av
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mcn.errors import VideoError
from mcn.media.frames import frame_at
from mcn.media.probe import probe
from mcn.search.answers import Video
from mcn.search.serve.app import create_app
from mcn.search.serve.file_cache import FileCache
from mcn.search.serve.opened import Opened
from mcn.search.serve.playback import playback_of
from mcn.search.serve.previews import write_preview
from tests.answers_fake import FakeAnswers
from tests.media_files import make, run_ffmpeg
from tests.served import LOCAL, PAN, SOUP, at, error_of


def test_thumbnails_show_the_moment_and_are_made_once(client, served):
    reply = client.get(at(SOUP, "thumbnail"), params={"at": "1.9"})
    assert reply.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(reply.content))
    assert shown.size == (240, 180)
    true = Image.fromarray(frame_at(served.videos[SOUP].path, 1.9, 180)).convert("L")
    other = Image.fromarray(frame_at(served.videos[SOUP].path, 3.5, 180)).convert("L")

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


def test_a_playable_file_is_sent_as_it_is_in_ranges(client, served):
    content = served.videos[SOUP].path.read_bytes()
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
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    assert error_of(beyond)["got"] == f"Range: bytes={len(content)}-"
    for nonsense in ("soup", "bytes=x", "lines=1-2", "bytes=9-3"):
        refused = client.get(at(SOUP, "media"), headers={"range": nonsense})
        assert refused.status_code == 400
        assert error_of(refused)["got"] == f"Range: {nonsense}"


def test_what_browsers_do_not_play_becomes_a_preview_once(client, served):
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


def test_a_browser_that_plays_more_gets_more_files_themselves(client, served, tmp_path):
    film = tmp_path / "phone.mov"
    run_ffmpeg(["-i", str(make("ten_bit.mkv")), "-c", "copy", "-tag:v", "hvc1", str(film)])
    found = playback_of(film)
    assert (found.direct, found.needs, found.media_type) == (False, "hevc", "video/mp4")
    assert playback_of(make("ten_bit.mkv")).needs == ""
    phone = FakeAnswers(served.videos["talk.m4a"].path.parent)
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


def test_a_film_that_is_gone_is_not_found(served, tmp_path):
    folder = tmp_path / "videos"
    shutil.copytree(served.videos["talk.m4a"].path.parent, folder)
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
