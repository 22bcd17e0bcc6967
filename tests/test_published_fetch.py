"""`mcn fetch` against a real server on the loopback address that cuts, stalls, refuses and lies."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile

import pytest

from mcn.cli import main
from mcn.errors import UserError
from mcn.media.download import Patience
from mcn.media.server import Wanted
from mcn.published.addresses import read_entries
from mcn.published.download import download
from mcn.published.fetch import fetch
from mcn.published.unpack import unpack
from tests.http_server import BODY, OTHER, Server

SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = {"patience": Patience(pause=0.0, stall=0.5)}


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as one:
        yield one
        one.shutdown()


def wanted(server, mode, **known):
    return Wanted(server.url(mode), "https://example.org/page", **known)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("mode", ["good", "cut", "stall", "flaky", "busy", "chunked", "redirect"])
def test_the_file_comes_whole(mode, server, tmp_path):
    found = download(wanted(server, mode, digests={"sha256": SHA256}), tmp_path / "f", **QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert (found.sha256, found.size, found.known, found.new) == (SHA256, len(BODY), True, True)
    assert left(tmp_path) == ["f"]


def test_a_cut_file_goes_on_where_it_stopped_also_in_a_later_call(server, tmp_path):
    target = tmp_path / "f"
    (tmp_path / ".f.part").write_bytes(BODY[:77_000])
    address = server.url("good")
    state = {"address": address, "etag": '"one"', "date": ""}
    (tmp_path / ".f.part.json").write_text(json.dumps(state))
    download(Wanted(address), target, **QUICK)
    assert server.asked == [("good", "bytes=77000-")]
    assert target.read_bytes() == BODY


def test_a_file_that_was_whole_but_not_renamed_is_not_fetched_again(server, tmp_path):
    (tmp_path / ".f.part").write_bytes(BODY)
    download(wanted(server, "good", digests={"sha256": SHA256}), tmp_path / "f", **QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.seen["good"] == 1


def test_a_file_that_changed_meanwhile_is_not_mixed(server, tmp_path):
    download(wanted(server, "changed"), tmp_path / "f", **QUICK)
    assert (tmp_path / "f").read_bytes() == OTHER


def test_the_rest_of_an_unknown_file_is_not_trusted(server, tmp_path):
    (tmp_path / ".f.part").write_bytes(b"what somebody else began")
    download(wanted(server, "good"), tmp_path / "f", **QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked == [("good", "")]


def test_a_server_that_never_gets_further_ends(server, tmp_path):
    with pytest.raises(UserError, match=r"ended after 51,200 of 102,400 bytes \(5 tries\); 51,200"):
        download(wanted(server, "cut_from_start"), tmp_path / "f", **QUICK)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("mode", "known", "words"),
    [
        ("good", {"size": 99}, r"102,400 bytes\nwanted: 99 bytes, as published"),
        ("chunked", {"size": 99}, "102,400 bytes, wanted 99"),
        ("good", {"digests": {"sha256": "0" * 64}}, f"sha256 {SHA256}, wanted 0000"),
        ("good", {"digests": {"md5": "0" * 32}}, "md5 .*, wanted 0000"),
        ("404", {}, "there is no such file"),
        ("403", {}, "the server refuses"),
        ("410", {}, "the file is gone"),
        ("500", {}, r"the server answers 500 Internal Server Error \(5 tries\)"),
        ("loop", {}, "redirects"),
        ("page", {}, "a page for people"),
    ],
)
def test_what_is_not_the_file_is_an_error_and_leaves_none(mode, known, words, server, tmp_path):
    with pytest.raises(UserError, match=words) as error:
        download(wanted(server, mode, **known), tmp_path / "f", **QUICK)
    assert "example.org/page" in error.value.do
    assert left(tmp_path) == []


def test_without_a_server_the_error_says_so(server, tmp_path):
    address = server.url("good")
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"Connection refused\) \(2 tries\)|refused") as error:
        download(Wanted(address), tmp_path / "f", **QUICK)
    assert "HTTPS_PROXY" in error.value.do


def test_a_proxy_is_asked(server, tmp_path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url("good").removesuffix("/good/file.bin"))
    download(Wanted("http://example.invalid/f"), tmp_path / "f", **QUICK)
    assert (tmp_path / "f").read_bytes() == BODY


def test_the_digest_that_is_seen_first_is_required_from_then_on(server, tmp_path):
    target = tmp_path / "f"
    first = download(wanted(server, "good"), target, **QUICK)
    assert (first.known, first.new) == (False, True)
    assert (tmp_path / "f.sha256").read_text() == f"{SHA256}  f\n"
    again = download(wanted(server, "good"), target, **QUICK)
    assert (again.known, again.new, server.seen["good"]) == (True, False, 1)
    target.write_bytes(b"damaged")
    with pytest.raises(UserError, match="which is there with sha256"):
        download(wanted(server, "good"), target, **QUICK)
    target.unlink()
    server.seen["changed"] = 1
    with pytest.raises(UserError, match="first seen"):
        download(wanted(server, "changed"), target, **QUICK)


def test_two_at_once_end_in_one_good_file(server, tmp_path):
    one = wanted(server, "cut", digests={"sha256": SHA256})
    threads = [
        threading.Thread(target=download, args=(one, tmp_path / "f"), kwargs=QUICK)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_bytes() == BODY
    assert left(tmp_path) == ["f"]


def registry(folder, **files):
    path = folder / "registry.yaml"
    path.write_text(json.dumps({"own": files}))
    return path


def test_the_verb_fetches_what_it_can_and_names_the_rest(server, tmp_path, capsys):
    known = registry(
        tmp_path,
        good={"address": server.url("good"), "sha256": SHA256, "size": len(BODY)},
        gone={"address": server.url("404")},
        hand={"page": "https://example.org/drive"},
    )
    where = ["--to", str(tmp_path / "to"), "--registry", str(known)]
    assert main(["fetch", "own", *where]) == 1
    said = capsys.readouterr()
    assert SHA256 in said.out
    assert "there is no such file" in said.err
    assert "hand, which has no address for programs" in said.err
    assert left(tmp_path / "to") == ["good"]
    assert main(["fetch", "own/good", *where]) == 0
    assert "there already" in capsys.readouterr().out
    assert main(["fetch", "own/god", *where]) == 1
    assert "did you mean 'good'?" in capsys.readouterr().err


def test_an_unknown_name_is_told_its_nearest(capsys):
    assert main(["fetch", "resnext110"]) == 1
    assert "did you mean 'resnext101'?" in capsys.readouterr().err


def test_the_hub_offline_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hf:someone/model") as error:
        fetch(["hf:someone/model@abc"])
    assert "HF_HUB_OFFLINE" in error.value.do
    with pytest.raises(UserError, match="hf:OWNER/NAME@REVISION"):
        fetch(["hf:model"])


def test_every_registered_name_says_where_it_goes_and_is_described(capsys):
    for entry in read_entries().values():
        assert entry.title, entry.name
        for source in entry.files.values():
            assert source.origin
    assert main(["fetch"]) == 0
    assert "GoogleNews-vectors-negative300.bin.gz -> weights: 1,743,563,840" in (
        capsys.readouterr().out
    )


def test_an_archive_of_a_data_set_gives_its_official_files(tmp_path):
    archive = tmp_path / "release.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("release/deeper/annotations/a.csv", "1")
        file.writestr("release/tasks.txt", "2")
        file.writestr("release/readme.txt", "3")
    assert unpack(archive, ("tasks.txt", "annotations")) == [
        tmp_path / "tasks.txt",
        tmp_path / "annotations",
    ]
    assert (tmp_path / "annotations/a.csv").read_text() == "1"
    assert left(tmp_path) == ["annotations", "release.zip", "tasks.txt"]
    assert unpack(archive, ("tasks.txt", "annotations")) == []
    with pytest.raises(UserError, match="lies none of other"):
        unpack(archive, ("other",))


def test_any_other_archive_becomes_a_folder(tmp_path):
    archive = tmp_path / "models.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        info = tarfile.TarInfo("inner/model.pth")
        info.size = 3
        file.addfile(info, io.BytesIO(b"abc"))
    assert unpack(archive) == [tmp_path / "models"]
    assert (tmp_path / "models/model.pth").read_bytes() == b"abc"


def test_a_hostile_or_damaged_archive_is_refused(tmp_path):
    hostile, damaged = tmp_path / "hostile.zip", tmp_path / "damaged.tar.gz"
    with zipfile.ZipFile(hostile, "w") as file:
        file.writestr("../outside.txt", "x")
    with pytest.raises(UserError, match="outside"):
        unpack(hostile)
    with tarfile.open(tmp_path / "links.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        file.addfile(info)
    with pytest.raises(UserError, match="link"):
        unpack(tmp_path / "links.tar")
    damaged.write_bytes(b"no archive")
    with pytest.raises(UserError, match="intact archive"):
        unpack(damaged)
