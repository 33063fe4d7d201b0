"""Downloads, against a real server that cuts, lies and goes away."""
from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import threading

import pytest

from minicnn.data.download import fetch
from minicnn.data.locate import DatasetNotFound
from minicnn.data.sources import SOURCES, File, Source
from tests.data import server as web
from tests.data.errors import says

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
WRONG_SHA256 = hashlib.sha256(bytes(255 - b for b in BODY)).hexdigest()


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("MINICNN_MIRROR", raising=False)


@pytest.fixture
def server():
    with web.serve({"/a.gz": BODY, "/mirror/a.gz": BODY}) as running:
        yield running


def source(*mirrors):
    return Source("things", ("0", "1"), (File("a.gz", len(BODY), SHA256),), mirrors, folders=("things", ""))


def fetch_and_check(server, folder, *mirrors):
    paths = fetch(source(*(mirrors or (server.url,))), folder)
    assert paths == {"a.gz": folder / "a.gz"}
    assert (folder / "a.gz").read_bytes() == BODY
    assert [path.name for path in folder.iterdir()] == ["a.gz"]      # no .part is left
    return [range_ for _, range_ in server.requests]


def test_plain_download_reports_progress(server, tmp_path):
    seen = []
    fetch(source(server.url), tmp_path, progress=lambda *args: seen.append(args))
    assert (tmp_path / "a.gz").read_bytes() == BODY
    assert seen[-1] == ("a.gz", len(BODY), len(BODY))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


def test_present_file_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "a.gz").write_bytes(BODY)
    assert fetch_and_check(server, tmp_path) == []


def test_cut_connections_are_resumed(server, tmp_path):
    server.script = [web.cut_after(1000), web.cut_after(500)]
    assert fetch_and_check(server, tmp_path) == [None, "bytes=1000-", "bytes=1500-"]


def test_what_an_earlier_run_left_is_resumed(server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(BODY[:77])
    assert fetch_and_check(server, tmp_path) == ["bytes=77-"]


def test_a_complete_part_needs_no_server(tmp_path, server):
    (tmp_path / "a.gz.part").write_bytes(BODY)
    assert fetch_and_check(server, tmp_path) == []


def test_a_server_that_ignores_range_starts_again(server, tmp_path):
    server.script = [web.cut_after(1000), web.no_range]
    assert fetch_and_check(server, tmp_path) == [None, "bytes=1000-"]


def test_the_next_mirror_goes_on_where_the_first_was_cut(server, tmp_path):
    server.script = [web.cut_after(1000), web.cut_after(0), web.whole]
    assert fetch_and_check(server, tmp_path, server.url, server.url + "mirror/") == [None, "bytes=1000-", "bytes=1000-"]
    assert server.requests[-1][0] == "/mirror/a.gz"


@pytest.mark.parametrize("answer", [web.wrong_bytes, web.other_length, web.endless, web.cut_after(0),
                                    *map(web.status, (404, 416, 503))])
def test_the_next_mirror_is_asked_after(answer, server, tmp_path):
    server.script = [answer]
    fetch_and_check(server, tmp_path, server.url, server.url + "mirror/")
    assert [path for path, _ in server.requests] == ["/a.gz", "/mirror/a.gz"]


@pytest.mark.parametrize("left", [b"rubbish", b"rubbish" * len(BODY)], ids=["short", "long"])
def test_a_wrong_part_is_thrown_away(left, server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(left)
    assert fetch_and_check(server, tmp_path)[-1] is None


def test_416_throws_the_part_away(server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(BODY[:77])
    server.script = [web.status(416)]
    assert fetch_and_check(server, tmp_path) == ["bytes=77-", None]


@pytest.mark.parametrize(("answer", "reason"), [
    (web.wrong_bytes, f"SHA-256 is {WRONG_SHA256}, expected {SHA256}"),
    (web.other_length, "it has a file of 13 bytes, expected 256000"),
    (web.endless, "it sends more than the 256000 bytes expected"),
    (web.cut_after(0), "the connection was cut after 0 of 256000 bytes"),
    (web.status(503), "HTTP 503 Service Unavailable"),
])
def test_reason(answer, reason, server, tmp_path):
    server.script = [answer]
    with says(DatasetNotFound, f"dataset things: files are missing and no mirror gave them ({server.url}: {reason}): put a.gz "
                               f"(256,000 bytes) in {tmp_path}, or name the folder that has them with --data"):
        fetch(source(server.url), tmp_path)
    assert not (tmp_path / "a.gz").exists()


def test_never_more_than_the_file_on_disk(server, tmp_path):
    """The transfer stops at the first byte too many, however many the server has."""
    server.script, seen = [web.endless], []
    with pytest.raises(DatasetNotFound, match="it sends more than the 256000 bytes expected"):
        fetch(source(server.url), tmp_path, progress=lambda _name, done, _total: seen.append(done))
    assert max(seen) <= len(BODY)
    assert list(tmp_path.iterdir()) == []


def test_wrong_content_range(server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(BODY[:77])
    server.script = [web.wrong_range]
    reason = re.escape("asked for bytes 77- of 256000, it answered Content-Range 'bytes 0-255999/256000'")
    with pytest.raises(DatasetNotFound, match=reason):
        fetch(source(server.url), tmp_path)
    assert (tmp_path / "a.gz.part").read_bytes() == BODY[:77]


def test_no_server_at_all(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    refused = os.strerror(errno.ECONNREFUSED)
    with says(DatasetNotFound, f"dataset things: files are missing and no mirror gave them ({url} and {url}b/: {refused})"
                               f": put a.gz (256,000 bytes) in {tmp_path}/new/things, or name the folder that has them with --data"):
        fetch(source(url, url + "b/"), tmp_path / "new" / "things")
    assert list(tmp_path.iterdir()) == [], "folders that were made for nothing"


def test_a_full_disk_is_named(server, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with says(OSError, f"cannot write dataset things into {tmp_path}/things: {os.strerror(errno.ENOSPC)}"):
        fetch(source(server.url), tmp_path / "things")
    assert [path.name for path in (tmp_path / "things").iterdir()] == ["a.gz.part"], "what came is kept for the next attempt"


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with says(OSError, f"cannot write dataset things into {tmp_path}/file/things: {os.strerror(errno.ENOTDIR)}"):
        fetch(source(server.url), tmp_path / "file" / "things")


def test_own_mirror(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_MIRROR", server.url + "company")
    server.files["/company/things/a.gz"] = BODY
    fetch_and_check(server, tmp_path, "http://127.0.0.1:1/")
    assert server.requests == [("/company/things/a.gz", None)]


def test_own_mirror_must_be_http(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_MIRROR", "file:///etc")
    with says(ValueError, "MINICNN_MIRROR is 'file:///etc', expected an address that starts with http:// or https://"):
        fetch(source("http://127.0.0.1:1/"), tmp_path)


def test_two_at_once_download_once(server, tmp_path):
    pytest.importorskip("fcntl", reason="Windows has no flock, and refuses to rename an open file instead")
    results = []
    threads = [threading.Thread(target=lambda: results.append(fetch(source(server.url), tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"a.gz": tmp_path / "a.gz"}] * 4
    assert server.requests == [("/a.gz", None)]


def test_the_table_is_complete():
    for known in SOURCES.values():
        assert len(known.mirrors) >= 2
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in known.mirrors)
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 0 for file in known.files)
        assert len(set(known.classes)) == 10
