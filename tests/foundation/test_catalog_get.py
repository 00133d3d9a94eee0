"""Getting a card's files, against a local server that is slow, cuts, stalls and lies, and archives that want to be elsewhere."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from degla.catalog import Card, CardFile, Download, download, fetch, load_card
from degla.catalog import __main__ as command
from degla.errors import ConfigError, DataError, MissingInputError, PassingFault

CONTENT = bytes(range(256)) * 4000  # about 1 MB
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves contents by path; `behave` is asked for each request what to do with it."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {"/file.bin": CONTENT}
        self.requests: list[dict[str, str]] = []
        self.behave: Callable[[int], dict[str, Any]] = lambda number: {}
        self.let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()  # seconds until it sees its end

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        how = self.behave(len(self.requests))
        self.requests.append(dict(handler.headers))
        body = how.get("body", self.contents.get(handler.path))
        status, start = how.get("status", 200 if body is not None else 404), 0
        mark = how.get("mark", '"one"')
        asked = handler.headers.get("Range")
        if asked and status == 200 and not how.get("no_ranges") and handler.headers.get("If-Range") == mark:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status = 206 if start < len(body) else 416
        part = (body or b"")[start:]
        handler.send_response(status)
        if mark:
            handler.send_header("ETag", mark)
        if status == 206:
            first = start + how.get("shifted", 0)
            handler.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(how.get("length", len(part))))
        handler.end_headers()
        sent = part[: how.get("cut", len(part))]
        handler.wfile.write(sent)
        handler.wfile.flush()
        if how.get("stall"):
            self.let_go.wait(20)
        if len(sent) < len(part) or how.get("stall") or "length" in how:
            handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    yield served
    served.let_go.set()
    served.http.shutdown()
    served.http.server_close()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "_WAIT_SECONDS", 0.01)
    return tmp_path / "data"


def take(server: Server, folder: Path, size: int | None = len(CONTENT), sha256: str | None = SHA, stall: float = 5) -> list[str]:
    said: list[str] = []
    download.download(f"{server.url}/file.bin", folder / "file.bin", size, sha256, said.append, stall)
    return said


def only_file(folder: Path) -> None:
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["file.bin"]


def test_a_file_comes_whole_and_leaves_nothing_beside_it(server: Server, tmp_path: Path) -> None:
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")
    assert len(server.requests) == 1


def test_a_cut_connection_is_gone_on_from_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000} if number < 3 else {}
    said = take(server, tmp_path / "a")
    only_file(tmp_path / "a")
    assert [request.get("Range") for request in server.requests] == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert any("resuming" in line for line in said)


def test_a_killed_download_goes_on_in_the_next_process(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000 if number == 0 else 0} if number < 5 else {}
    with pytest.raises(PassingFault, match=r"5 times in a row; 300,000 bytes are kept"):
        take(server, tmp_path / "a")
    assert (tmp_path / "a" / "file.bin.part").stat().st_size == 300_000
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")
    assert server.requests[-1]["Range"] == "bytes=300000-"


def test_a_server_that_stalls_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 400_000, "stall": True} if number == 0 else {}
    said = take(server, tmp_path / "a", stall=0.5)
    only_file(tmp_path / "a")
    assert said[0].startswith("the connection timed out at 400,000 bytes")


def test_a_server_that_only_stalls_is_given_up(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 0, "stall": True}
    with pytest.raises(PassingFault, match="the connection timed out, 5 times in a row"):
        take(server, tmp_path / "a", stall=0.2)
    assert not (tmp_path / "a" / "file.bin").exists()


def test_a_server_without_ranges_is_asked_from_the_start(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000} if number == 0 else {"no_ranges": True}
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")


def test_a_version_that_changed_meanwhile_is_not_glued_to_the_old_one(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000, "mark": '"old"', "body": b"x" * 500_000} if number == 0 else {}
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")


def test_without_a_mark_of_the_version_nothing_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000, "mark": ""} if number == 0 else {"mark": ""}
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")
    assert "Range" not in server.requests[1]


def test_another_part_than_was_asked_for_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: [{"cut": 300_000}, {"shifted": 7}, {}][min(number, 2)]
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")
    assert "Range" not in server.requests[2]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"body": b"<html>not found</html>"}, "received 22 bytes, expected 1,024,000"),
        ({"body": CONTENT + b"more"}, "bytes or more, expected 1,024,000"),
        ({"body": b"y" + CONTENT[1:]}, f"its checksum is .*expected {SHA[:16]}"),
        ({"status": 404}, "the server answers 404"),
        ({"status": 403}, "the server answers 403"),
    ],
)
def test_what_is_not_the_cards_file_is_refused_and_not_kept(
    how: dict[str, Any], message: str, server: Server, tmp_path: Path
) -> None:
    server.behave = lambda number: how
    with pytest.raises(DataError, match=message):
        take(server, tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_length_that_is_too_short_is_found_by_the_size(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"length": 1000}
    with pytest.raises(DataError, match="received 1,000 bytes, expected 1,024,000"):
        take(server, tmp_path / "a")


def test_a_length_that_is_too_long_is_a_cut_and_the_file_is_asked_for_anew(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"length": len(CONTENT) + 5} if number == 0 else {}
    take(server, tmp_path / "a", size=None)
    only_file(tmp_path / "a")
    assert [request.get("Range") for request in server.requests] == [None, "bytes=1024000-", None]  # nothing is behind: 416


def test_a_part_of_another_file_is_fetched_again_from_the_start(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"cut": 300_000} if number < 1 else {"cut": 0} if number < 5 else {}
    with pytest.raises(PassingFault):
        take(server, tmp_path / "a")
    (tmp_path / "a" / "file.bin.part").write_bytes(b"z" * 300_000)
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")


def test_a_server_that_fails_for_now_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.behave = lambda number: {"status": 503, "body": b"busy"} if number < 2 else {}
    take(server, tmp_path / "a")
    only_file(tmp_path / "a")


# Cards


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, content)
    return stream.getvalue()


def tarred(entries: list[tuple[str, bytes | None, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content or b"")
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(info, io.BytesIO(content or b""))
    return stream.getvalue()


def card(files: dict[str, CardFile]) -> Card:
    return Card(name="c", kind="benchmark", reader="pairs", description="", source="here", licence="", revision="1", files=files)


def get(files: dict[str, CardFile]) -> list[fetch.Step]:
    return fetch.get(card(files), lambda line: None)


def everything_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_is_unpacked_into_place_and_not_fetched_twice(server: Server, data: Path) -> None:
    server.contents["/a.zip"] = zipped({"val/1.jpg": b"one", "val/deep/2.jpg": b"two", "val/empty/": b""})
    files = {"images": CardFile(path="coco/val", url=f"{server.url}/a.zip", fetch="zip", unpack="coco")}
    assert get(files) == []
    assert everything_below(data) == {"coco/val/1.jpg": b"one", "coco/val/deep/2.jpg": b"two"}
    assert get(files) == []
    assert len(server.requests) == 1


def test_a_tar_is_unpacked_and_keeps_what_lies_beside_it(server: Server, data: Path) -> None:
    (data / "set").mkdir(parents=True)
    (data / "set" / "own.txt").write_text("mine")
    server.contents["/a.tar.gz"] = tarred([("set/x/1.jpg", b"one", tarfile.REGTYPE), ("set/2.jpg", b"two", tarfile.REGTYPE)])
    get({"images": CardFile(path="set/x", url=f"{server.url}/a.tar.gz", fetch="tar")})
    assert everything_below(data) == {"set/own.txt": b"mine", "set/x/1.jpg": b"one", "set/2.jpg": b"two"}


def test_a_folder_of_single_files_is_completed(server: Server, data: Path) -> None:
    server.contents |= {"/a.json": b"{}", "/b.json": b"[]"}
    members = {name: Download(url=f"{server.url}/{name}", size=2) for name in ("a.json", "b.json")}
    (data / "text").mkdir(parents=True)
    (data / "text" / "a.json").write_text("own")
    get({"annotations": CardFile(path="text", members=members)})
    assert everything_below(data) == {"text/a.json": b"own", "text/b.json": b"[]"}
    assert len(server.requests) == 1


def test_unpacking_that_was_killed_is_done_again(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.contents["/a.zip"] = zipped({f"val/{n}.jpg": b"x" for n in range(5)})
    files = {"images": CardFile(path="val", url=f"{server.url}/a.zip", fetch="zip")}
    moved: list[Path] = []
    move = fetch._move

    def die(file: Path, place: Path, base: Path) -> None:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(place)
        move(file, place, base)

    monkeypatch.setattr(fetch, "_move", die)
    with pytest.raises(KeyboardInterrupt):
        get(files)
    assert (data / "val").is_dir()  # half of it
    assert not fetch.is_there(files["images"])
    monkeypatch.setattr(fetch, "_move", move)
    get(files)
    assert sorted(everything_below(data)) == [f"val/{n}.jpg" for n in range(5)]
    assert len(server.requests) == 1


EVIL = {
    "a parent folder": zipped({"../evil.txt": b"x"}),
    "a parent folder inside": zipped({"val/../../evil.txt": b"x"}),
    "an absolute path": zipped({"/tmp/degla-evil.txt": b"x"}),
    "a backslash": zipped({"..\\evil.txt": b"x"}),
    "a drive": zipped({"C:/evil.txt": b"x"}),
    "a link in a zip": zipped({"val/link": b"/etc/passwd"}, lambda info: setattr(info, "external_attr", 0o120777 << 16)),
    "a parent folder in a tar": tarred([("../evil.txt", b"x", tarfile.REGTYPE)]),
    "an absolute path in a tar": tarred([("/tmp/degla-evil.txt", b"x", tarfile.REGTYPE)]),
    "a symbolic link": tarred([("val/1.jpg", b"x", tarfile.REGTYPE), ("val/link", None, tarfile.SYMTYPE)]),
    "a hard link": tarred([("val/link", None, tarfile.LNKTYPE)]),
    "a device": tarred([("val/device", None, tarfile.CHRTYPE)]),
    "a pipe": tarred([("val/pipe", None, tarfile.FIFOTYPE)]),
    "no archive": b"<html>",
    "half an archive": zipped({"val/1.jpg": os.urandom(2000)})[:1500],
    "a broken file": zipped({"val/1.jpg": b"a" * 500}).replace(b"a" * 500, b"a" * 499 + b"b"),
    "half a tar": tarred([("val/1.jpg", os.urandom(20000), tarfile.REGTYPE)])[:9000],
}


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_writes_inside_its_folder_or_not_at_all(name: str, server: Server, data: Path, tmp_path: Path) -> None:
    kind = "zip" if EVIL[name][:2] == b"PK" or EVIL[name] == b"<html>" else "tar"
    server.contents["/a"] = EVIL[name]
    with pytest.raises(DataError):
        get({"images": CardFile(path="val", url=f"{server.url}/a", fetch=kind)})
    assert everything_below(tmp_path) == {}
    assert not Path("/tmp/degla-evil.txt").exists()


def test_a_link_inside_the_data_folder_is_not_followed_out_of_it(server: Server, data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (data / "coco").mkdir(parents=True)
    (data / "coco" / "val").symlink_to(elsewhere)
    server.contents["/a.zip"] = zipped({"val/deep/1.jpg": b"one"})
    with pytest.raises(DataError, match="leads out of"):
        get({"images": CardFile(path="coco/val/deep", url=f"{server.url}/a.zip", fetch="zip", unpack="coco")})
    assert everything_below(elsewhere) == {}


@pytest.mark.parametrize("path", ["../up", "/tmp/degla-evil", "a/../../b"])
def test_a_card_that_names_a_place_outside_is_refused(path: str, server: Server, data: Path) -> None:
    with pytest.raises(ConfigError, match="is not a path below the data root"):
        get({"x": CardFile(path=path, url=f"{server.url}/file.bin", fetch="file")})
    with pytest.raises(ConfigError, match="is not a path below the data root"):
        get({"x": CardFile(path="ok", members={f"../{path}": Download(url=f"{server.url}/file.bin")})})
    assert server.requests == []


def test_an_archive_without_what_the_card_promises_is_an_error(server: Server, data: Path) -> None:
    server.contents["/a.zip"] = zipped({"other/1.jpg": b"one"})
    with pytest.raises(DataError, match="holds no val"):
        get({"images": CardFile(path="val", url=f"{server.url}/a.zip", fetch="zip")})


def test_what_no_program_may_fetch_is_left_as_steps(
    server: Server, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEGLA_CATALOG", str(tmp_path / "cards"))
    files = {
        "text": {"path": "text/file.bin", "url": f"{server.url}/file.bin", "fetch": "file"},
        "images": {"path": "images", "steps": "accept the licence first"},
    }
    written = card({}).model_dump() | {"files": files}
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "c.yaml").write_text(yaml.safe_dump(written))
    assert command.main(["get", "c"]) == 2
    out = capsys.readouterr()
    assert f"images goes to {data / 'images'}: accept the licence first" in out.out
    assert "1 of its files must be downloaded manually" in out.err
    assert (data / "text" / "file.bin").read_bytes() == CONTENT
    with pytest.raises(MissingInputError, match="How: accept the licence first"):
        load_card("c").file("images")
    (data / "images").mkdir()
    assert command.main(["get", "c"]) == 0
    assert command.main(["list"]) == 0
    assert "there" in capsys.readouterr().out.split("\n")[-2]
    assert command.main(["get", "d"]) == 2


def test_winoground_is_never_fetched_and_its_steps_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["get", "winoground"]) == 2
    assert "accept the licence at https://huggingface.co/datasets/facebook/winoground" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "role", "size"),
    [("coco_train2014", "images", "fetches it (13 GB)."), ("sugarcrepe", "annotations", "fetches it (1.7 MB).")],
)
def test_what_is_missing_says_how_much_is_downloaded(
    name: str, role: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path))
    with pytest.raises(MissingInputError) as caught:
        load_card(name).file(role)
    assert size in str(caught.value)
