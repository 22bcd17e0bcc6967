"""Videos in buckets of S3, against moto's server on the loopback address that sends well, badly or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcn.errors import VideoError
from mcn.media import remote, s3
from mcn.media.address import Address, address_problem
from mcn.media.decode import decode
from mcn.media.remote import Downloads
from mcn.options.decode import DecodeOptions, FrameOptions
from mcn.options.downloads import DownloadOptions
from mcn.shards import ShardReader
from mcn.sources.doctor import examine
from mcn.sources.manifest import read_manifest
from mcn.sources.partition import shard_videos
from tests.media_files import make
from tests.s3_server import KEY, SECRET, Server

BODY = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(one_server, monkeypatch, tmp_path) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", one_server.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    known_as(monkeypatch, KEY, SECRET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remote, "_said", {})
    one_server.seen.clear()
    one_server.asked.clear()
    one_server.keys = KEY
    yield one_server
    s3._client.cache_clear()


def known_as(monkeypatch, key: str, secret: str) -> None:
    """Credentials that boto3 finds from now on; none where they are empty."""
    for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    s3._client.cache_clear()


def cache(**more: object) -> Downloads:
    quick = {"pause_seconds": 0, "stall_seconds": 0.5, "attempts": 3, "folder": "cache"}
    return Downloads(DownloadOptions.model_validate({**quick, **more}))


def fetched(url: str, **more: object) -> bytes:
    with cache(**more).at_hand(Address(url)) as path:
        return path.read_bytes()


def refused(url: str, **more: object) -> VideoError:
    with pytest.raises(VideoError) as error:
        fetched(url, **more)
    return error.value


@pytest.mark.parametrize("mode", ["good", "cut", "stall", "slow", "busy"])
def test_a_video_of_a_bucket_comes_whole_once(server, mode):
    url = server.put(f"{mode}/film.mp4", BODY)
    assert fetched(url, stall_seconds=1) == BODY
    sent = server.seen[mode]
    assert fetched(url) == BODY
    assert server.seen[mode] == sent, "it was sent again"


def test_a_video_that_is_replaced_while_it_comes_is_of_one_version(server):
    """S3 passes over If-Range, so that the rest of a file might be that of another one."""
    url = server.put("changed/film.mp4", BODY)
    assert fetched(url) == BODY[::-1]
    assert server.seen["changed"] >= 2
    url = server.put("good/film.mp4", BODY)
    assert fetched(url) == BODY
    server.put("good/film.mp4", BODY + b"x")
    assert fetched(url) == BODY + b"x", "another ETag fetches it again"


@pytest.mark.parametrize("key", ["good/My soup #1.mp4", "good/50%25 off?.mp4", "good/süß/+&=.mp4"])
def test_a_key_is_taken_as_it_stands(server, key):
    url = server.put(key, BODY)
    assert fetched(url) == BODY
    assert Address(url).name == key.rpartition("/")[2]
    assert Address(url).folder == Path("/films", key).parent


@pytest.mark.parametrize(
    ("key", "code", "more"),
    [
        ("good/nothing.mp4", "not_found", {}),
        ("500/film.mp4", "http_status", {}),
        ("403/film.mp4", "http_status", {}),
        ("slow/film.mp4", "timeout", {"time_limit_seconds": 0.3}),
        ("good/film.mp4", "too_large", {"size_gb": 1e-6}),
    ],
)
def test_what_does_not_come_from_a_bucket_has_a_stable_code(server, key, code, more):
    if "nothing" not in key:
        server.put(key, BODY)
    assert refused(f"s3://films/{key}", **more).code == code


def test_credentials_that_do_not_serve(server, monkeypatch):
    url = server.put("good/film.mp4", BODY)
    known_as(monkeypatch, "somebody-else", "hidden-too")
    assert "403" in refused(url).message
    assert "InvalidAccessKeyId" in refused(url).message
    known_as(monkeypatch, "", "")
    assert "no credentials were found" in refused(url).message
    server.keys = ""
    server.client.put_object_acl(Bucket="films", Key="good/film.mp4", ACL="public-read")
    assert fetched(url) == BODY, "a public bucket is read by anybody"
    assert "Signature" not in server.asked[-1]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    s3._client.cache_clear()
    assert "nobody" in refused(server.put("good/other.mp4", BODY)).message


def test_a_server_of_buckets_that_is_not_there(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3._client.cache_clear()
    assert refused("s3://films/good/film.mp4").code == "unreachable"


def test_no_credential_and_no_signature_is_said_logged_or_written(server, caplog, capfd):
    """What is secret of a request for an object: the key's name and secret, and the signature of the address."""
    caplog.set_level(logging.DEBUG, logger="mcn")
    film = server.put("good/film.mp4", make("plain.mp4").read_bytes())
    rows = ["video_id,path", f"a,{film}"]
    rows += [f"{mode},{server.put(f'{mode}/film.mp4', BODY)}" for mode in ("403", "500", "cut")]
    Path("m.csv").write_text("\n".join([*rows, "gone,s3://films/good/gone.mp4"]))
    said = repr(examine(read_manifest(Path("m.csv"), check_files=False), DecodeOptions(), cache()))
    for row in ("403", "500", "gone"):
        said += refused(f"s3://films/{'good/gone' if row == 'gone' else f'{row}/film'}.mp4").message
    server.keys = "nobody"
    said += refused("s3://films/good/other.mp4").message
    said += caplog.text + "".join(capfd.readouterr())
    said += "".join(
        path.read_text(errors="replace") for path in Path().rglob("*") if path.is_file()
    )
    assert "s3://films/good" in said
    signatures = [query.partition("X-Amz-Signature=")[2][:64] for query in server.asked]
    assert all(len(one) == 64 for one in signatures)
    assert not [one for one in (KEY, SECRET, "X-Amz", *signatures) if one in said]


def test_decoding_reads_a_video_of_a_bucket(server):
    film = make("plain.mp4")
    url = server.put("cut/film.mp4", film.read_bytes())
    Path("m.csv").write_text(f"video_id,path\na,{url}\nb,s3://films/good/gone.mp4\nc,{film}\n")
    shard = Path("results/own/shards/00000.csv")
    shard_videos(Path("m.csv"), 1, 0, shard)
    stream = FrameOptions(frames_per_second=1, short_side=32)
    decode(shard, [stream], [Path("frames.parquet")], DecodeOptions(), cache())
    there, gone, file = list(ShardReader(Path("frames.parquet")))
    assert {**there, "video_id": "c"} == file, "the same bytes as from the file itself"
    assert gone["error"].startswith("not_found: s3://films/good/gone.mp4")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://films", "is no address"),
        ("s3://films/", "is no address"),
        ("s3://a b/c", "is no address"),
        ("s3://films/a\nb", "is no address"),
        ("s3://me:hidden@films/a.mp4", "credentials are those that boto3 finds"),
        ("s3://films/My soup.mp4", ""),
    ],
)
def test_addresses_of_buckets_are_checked_before_anything_is_asked(url, says):
    problem = address_problem(url)
    assert says in problem if says else not problem
    assert "hidden" not in problem


def test_the_extra_is_named_where_boto3_is_missing(monkeypatch):
    monkeypatch.setattr(s3, "find_spec", lambda name: None)
    assert 'pip install "mcn[cloud]"' in address_problem("s3://films/a.mp4")
