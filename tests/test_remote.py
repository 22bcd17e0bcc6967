"""Videos that a manifest names by address, against a real server that sends well, badly or not at all."""

import csv
import hashlib
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mcn.cli import main
from mcn.errors import VideoError
from mcn.media import remote
from mcn.media.address import Address, address_problem, place_of, shown, written
from mcn.media.decode import decode
from mcn.media.remote import Downloads
from mcn.media.server import without_secrets
from mcn.options.decode import DecodeOptions, FrameOptions, SoundOptions
from mcn.options.downloads import DownloadOptions
from mcn.search.answers import Video
from mcn.search.serve import fetching
from mcn.search.serve.app import create_app
from mcn.search.serve.opened import Opened
from mcn.shards import ShardReader
from mcn.sources import outside
from mcn.sources.doctor import examine
from mcn.sources.manifest import read_manifest
from mcn.sources.partition import shard_videos
from mcn.upkeep.estimate import probe_sample
from tests.answers_fake import FakeAnswers, make_folder
from tests.http_server import BODY, Server
from tests.media_files import make

SHA256 = hashlib.sha256(BODY).hexdigest()
SECRETS = ("hidden", "sesame")


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remote, "_said", {})
    with Server() as one:
        one.files["film.mp4"] = make("plain.mp4").read_bytes()
        yield one
        one.shutdown()


def options(**more):
    quick = {"pause_seconds": 0, "stall_seconds": 0.5, "attempts": 3, "folder": "cache"}
    return DownloadOptions.model_validate({**quick, **more})


def fetched(server, mode, name="file.bin", sha256="", **more):
    """The bytes of what is at hand for an address."""
    with Downloads(options(**more)).at_hand(Address(server.url(mode, name)), sha256) as path:
        return path.read_bytes()


def code_of(server, mode, **more):
    with pytest.raises(VideoError) as error:
        fetched(server, mode, **more)
    return error.value.code


def kept(folder="cache"):
    """The videos of a cache and their parts."""
    notes = ("lock", "known.json")
    return sorted(one.name for one in Path(folder).glob("*/*") if one.name not in notes)


@pytest.mark.parametrize("mode", ["good", "cut", "stall", "whole", "slow", "plain", "redirect"])
def test_a_video_comes_whole_once(server, mode):
    assert fetched(server, mode, stall_seconds=1) == BODY
    asked = len(server.asked)
    assert fetched(server, mode, stall_seconds=1) == BODY
    assert len(server.asked) - asked <= (2 if mode == "redirect" else 0), "it was sent again"
    assert kept() == ["file.bin"]


@pytest.mark.parametrize(
    ("mode", "code", "more"),
    [
        ("404", "not_found", {}),
        ("410", "not_found", {}),
        ("403", "http_status", {}),
        ("500", "http_status", {}),
        ("loop", "http_status", {}),
        ("page", "unreadable", {}),
        ("short", "truncated", {}),
        ("slow", "timeout", {"time_limit_seconds": 0.3}),
        ("good", "checksum", {"sha256": "0" * 64}),
        ("good", "too_large", {"size_gb": 1e-6}),
        ("chunked", "too_large", {"size_gb": 1e-6}),
    ],
)
def test_what_does_not_come_has_a_stable_code(server, mode, code, more):
    assert code_of(server, mode, **more) == code
    assert "file.bin" not in kept()


def test_a_server_that_is_not_there_or_silent(server):
    server.shutdown()
    assert code_of(server, "good") == "timeout", "the socket listens, nobody answers"
    server.server_close()
    assert code_of(server, "good") == "unreachable"


def test_a_cut_video_goes_on_in_a_later_call(server):
    assert code_of(server, "slow", time_limit_seconds=0.3) == "timeout"
    (part,) = Path("cache").glob("*/.file.bin.part")
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    assert fetched(server, "slow") == BODY
    assert server.asked[-1] == ("slow", f"bytes={have}-")


def test_the_sha256_of_the_manifest_needs_no_server_the_second_time(server):
    assert fetched(server, "good", sha256=SHA256) == BODY
    server.shutdown()
    server.server_close()
    assert fetched(server, "good", sha256=SHA256.upper()) == BODY


def test_a_video_that_is_there_is_used_while_its_server_is_away_but_not_when_it_has_gone(
    server, caplog
):
    fetched(server, "good")
    server.modes = {"good": "500"}
    assert fetched(server, "good") == BODY
    assert "is used" in caplog.text
    server.modes = {"good": "404"}
    assert code_of(server, "good") == "not_found"


def test_a_changed_video_is_fetched_again(server):
    server.files["a.mp4"] = b"one" * 50
    assert fetched(server, "good", "a.mp4") == b"one" * 50
    server.files["a.mp4"] = b"two" * 50
    assert fetched(server, "good", "a.mp4") == b"two" * 50
    assert kept() == ["a.mp4"]


def test_the_cache_keeps_its_bound_and_what_is_in_use(server):
    names = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    server.files |= {name: name.encode() * 200 for name in names}  # 1,000 bytes each
    cache = Downloads(options(size_gb=2.5e-6))
    one, two, three, four = (Address(server.url("good", name)) for name in names)
    with cache.at_hand(one) as first:
        for address in (two, three):
            with cache.at_hand(address):
                pass
        assert kept() == ["a.mp4", "c.mp4"], "the one in use is not the oldest that goes"
        assert first.read_bytes() == b"a.mp4" * 200
    os.utime(first, (1, 1))
    with cache.at_hand(four):
        assert kept() == ["c.mp4", "d.mp4"]


def test_what_was_used_longest_ago_goes_first(server):
    server.files |= {name: bytes(1000) for name in ("a.mp4", "b.mp4", "c.mp4")}
    for name in ("a.mp4", "b.mp4", "a.mp4", "c.mp4"):
        fetched(server, "good", name, size_gb=2.5e-6)
        time.sleep(0.02)  # longer than a step of the file system's clock
    assert kept() == ["a.mp4", "c.mp4"]


def test_who_finds_no_room_waits_for_it(server):
    server.files |= {name: bytes(1000) for name in ("a.mp4", "b.mp4")}
    cache = Downloads(options(size_gb=1.5e-6))
    addresses = [Address(server.url("good", name)) for name in ("a.mp4", "b.mp4")]
    done = []

    def bring():
        with cache.at_hand(addresses[1]):
            done.append(kept())

    waiting = threading.Thread(target=bring)
    with cache.at_hand(addresses[0]):
        waiting.start()
        time.sleep(0.4)
        assert done == []
        assert "b.mp4" not in kept()
    waiting.join()
    assert done == [["b.mp4"]]
    with cache.at_hand(addresses[1]), pytest.raises(VideoError, match="too_large: no room"):
        fetched(server, "good", "a.mp4", size_gb=1.5e-6, time_limit_seconds=0.1)


def test_several_at_once_fetch_a_video_once(server):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetched(server, "slow"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 3
    assert server.seen["slow"] == 1


def test_what_is_shown_of_an_address_holds_no_secret():
    url = "https://me:hidden@example.org:8000/films/My%20soup.mp4?key=sesame#t"
    address = Address(url)
    assert str(address) == f"{address!r}" == "https://example.org:8000/films/My%20soup.mp4?..."
    assert written(place_of(url, Path("folder"))) == url
    assert address.name == "My soup.mp4"
    assert address.folder == Path("/example.org/films")
    assert not any(secret in shown("http://[hidden/x?sesame") for secret in SECRETS)
    assert place_of("a://b", Path("x")) == Address("a://b")
    assert place_of("http:b", Path("x")) == Path("x/http:b")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gs://bucket/a.mp4", "gs:// is not read"),
        ("https:///a.mp4", "is no address"),
        ("http://host:99999999/a.mp4", "is no address"),
        ("http://a b/c", "is no address"),
        ("http://host/a.mp4", ""),
    ],
)
def test_addresses_that_cannot_be_asked_for_are_named_with_their_line(tmp_path, url, says):
    assert says in address_problem(url)
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"video_id,path,narration\na,{url},\n")
    if says:
        with pytest.raises(Exception, match=f"line 2: .*{says.split(':')[0]}"):
            read_manifest(manifest)
    else:
        assert read_manifest(manifest)[0].path == Address(url)
    manifest.write_text("video_id,path,narration\na,http://h/a.mp4,http://h/a.srt\n")
    with pytest.raises(Exception, match="narration is read from files"):
        read_manifest(manifest)


def test_what_libraries_say_of_an_address_loses_its_secrets():
    url = "http://me:hidden@example.org/a.mp4?key=sesame"
    said = f"Max retries exceeded with url: /a.mp4?key=sesame (as me:hidden); {url}"
    words = without_secrets(url, said)
    assert words.startswith("Max retries exceeded with url: /a.mp4?")
    assert not any(secret in words for secret in SECRETS)


def test_no_secret_is_said_or_logged(server, caplog, capfd):
    caplog.set_level(logging.DEBUG, logger="mcn")
    for mode in ("404", "500", "short", "loop", "good"):
        url = server.url(mode).replace("http://", "http://me:hidden@") + "?key=sesame"
        row = read_manifest(listed(("a", url)), check_files=False)[0]
        report = examine([row], DecodeOptions(), Downloads(options()))
        assert report.any_failed
        said = repr(report) + caplog.text + "".join(capfd.readouterr())
        assert not any(secret in said for secret in SECRETS), said
        assert "127.0.0.1" in said
    server.shutdown()
    server.server_close()
    report = examine([row], DecodeOptions(), Downloads(options(folder="other")))
    assert not any(secret in repr(report) + caplog.text for secret in SECRETS)


def listed(*rows):
    path = Path("m.csv")
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(
            [("video_id", "path", "sha256"), *((*row, "")[:3] for row in rows)]
        )
    return path


def test_decoding_fetches_and_codes_what_does_not_come(server):
    manifest = listed(
        ("a", server.url("good", "film.mp4")),
        ("b", server.url("404", "film.mp4")),
        ("c", make("plain.mp4")),
    )
    shard_videos(manifest, 1, 0, Path("results/own/shards/00000.csv"))
    shard = Path("results/own/shards/00000.csv")
    cache, stream = Downloads(options()), FrameOptions(frames_per_second=1, short_side=32)
    decode(shard, [stream], [Path("frames.parquet")], DecodeOptions(), cache)
    decode(shard, [SoundOptions(sample_rate=8000)], [Path("sound.parquet")], DecodeOptions(), cache)
    for name in ("frames.parquet", "sound.parquet"):
        there, gone, file = list(ShardReader(Path(name)))
        assert (there["status"], gone["status"]) == ("ok", "failed")
        assert gone["error"].startswith("not_found: http://127.0.0.1")
        assert {**there, "video_id": "c"} == file, "the same bytes as from the file itself"
    assert server.seen["good"] == 1
    outside.note_contents(shard, cache)
    assert (
        outside.noted_contents(shard)["a"] == hashlib.sha256(server.files["film.mp4"]).hexdigest()
    )
    assert outside.changed_contents(shard, cache) == []
    server.files["film.mp4"] += b"more"
    ((place, why),) = outside.changed_contents(shard, cache)
    assert (str(place), why) == (server.url("good", "film.mp4"), "not the version that was decoded")


def test_what_a_server_says_when_the_workflow_starts_identifies_its_videos(server, monkeypatch):
    manifest = str(listed(("a", server.url("good", "film.mp4")), ("b", server.url("404", "x"))))

    def started():
        monkeypatch.setattr(remote, "_said", {})
        outside._rows.cache_clear()
        remote.ask_all(outside.addresses(manifest), options())
        remote.keep_answers()
        return outside.videos_digest(manifest, 1, 0)

    first = started()
    assert first == started()
    monkeypatch.setattr(remote, "_said", {})
    assert outside.videos_digest(manifest, 1, 0) == first, "a job reads what the start wrote"
    server.modes = {"good": "500"}
    assert started() == first, "a server that is away changes nothing"
    server.modes = {}
    server.files["film.mp4"] += b"x"
    assert started() != first
    server.files["film.mp4"] = server.files["film.mp4"][:-1]
    assert started() == first
    server.modes = {"good": "404"}
    assert started() != first, "a video that has gone fails"


def test_doctor_and_estimate_look_into_videos_at_addresses(server, capsys):
    manifest = listed(("a", server.url("good", "film.mp4")), ("b", server.url("403", "x.mp4")))
    where = ["--downloads", '{"folder": "cache", "pause_seconds": 0}']
    assert main(["doctor", str(manifest), *where]) == 1
    said = capsys.readouterr().out
    assert "2 videos: 1 ok, 0 warning, 1 failed" in said
    assert "http_status: http://127.0.0.1" in said
    sample = probe_sample(read_manifest(manifest), 2, downloads=Downloads(options()))
    assert (sample.unusable, sample.probed) == (0.5, 2)
    assert server.seen["good"] == 1


def test_the_page_plays_a_video_at_an_address_and_tells_nothing_of_it(server, tmp_path):
    url = server.url("good", "film.mp4").replace("http://", "http://me:hidden@") + "?key=sesame"
    gone = Address(server.url("404", "gone.mp4"))
    answers = FakeAnswers(make_folder(tmp_path))
    answers.videos = {
        "far": Video("far", Address(url), 4.0, "ok", "", ("video", "audio")),
        "gone": Video("gone", gone, 4.0, "ok", "", ("video",)),
        "near": Video("near", answers.videos["kitchen/soup.mp4"].path, 4.0, "ok", "", ("video",)),
    }
    app = create_app(Opened(lambda: answers), tmp_path / "made", downloads=Downloads(options()))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        assert client.post("/api/videos/far/preview").json()["state"] == "direct"
        part = client.get("/api/videos/far/media", headers={"range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, server.files["film.mp4"][100:200])
        assert client.get("/api/videos/far/thumbnail").headers["content-type"] == "image/jpeg"
        refused = client.get("/api/videos/gone/media")
        assert refused.status_code == 404
        assert "not_found" in refused.text
        listed = client.get("/api/videos").text
        assert "film.mp4" in listed
        assert "127.0.0.1/good" in listed
        assert not any(secret in listed + refused.text for secret in SECRETS)
    assert server.seen["good"] == 1


def test_the_page_says_how_far_a_slow_video_is(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.0)
    answers = FakeAnswers(make_folder(tmp_path))
    place = Address(server.url("slow", "film.mp4"))
    answers.videos = {"far": Video("far", place, 4.0, "ok", "", ("video", "audio"))}
    app = create_app(Opened(lambda: answers), tmp_path / "made", downloads=Downloads(options()))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        reply = client.post("/api/videos/far/preview")
        assert (reply.status_code, reply.json()["state"]) == (202, "fetching")
        early = client.get("/api/videos/far/media")
        assert early.status_code == 503
        assert early.headers["retry-after"] == "5"
        monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 60.0)
        assert client.get("/api/videos/far/media").content == server.files["film.mp4"]
