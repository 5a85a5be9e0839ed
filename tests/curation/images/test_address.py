"""What is not public is not asked, by any spelling; local files stay inside their folder."""

import os
import socket
import threading

import pyarrow as pa
import pytest

from curation.images import fetch

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20
PUBLIC, OTHER = "93.184.216.34", "2606:2800:220:1::1"


def outcome(tmp_path, address, local=None, **host_map):
    """(status, error) of one address."""
    limits = fetch.Limits(1, 1, 2, 2, 1000, 1, 0)
    fetcher = fetch.Fetcher(tmp_path / "fetched", limits, host_map)
    row = {"url": "u", "address": address, "local": str(local) if local else None, "host": "h"}
    (part,) = fetcher.fetch(pa.Table.from_pylist([row], schema=fetch.WANTED))
    (found,) = part.to_pylist()
    return found["status"], found["error"]


@pytest.fixture
def connected(monkeypatch):
    """Addresses that something connected to; nothing leaves the machine."""
    seen = []

    def refuse(self, place):
        seen.append(place[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return seen


def resolving(monkeypatch, *answers):
    """Make names resolve to each answer in turn, the last one for ever."""
    left, asked = list(answers), []

    def getaddrinfo(host, port, *_, **__):
        asked.append(host)
        ips = [host] if host in (PUBLIC, OTHER) else left.pop(0) if len(left) > 1 else left[0]
        if not ips:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (ip, port, 0, 0)) if ":" in ip
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
     "0.0.0.0", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[fd00::1]", "[fe80::1]", "[::]", "100.64.0.1",
     "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "2130706433", "0x7f.1", "017700000001", "127.1", "0",
     "224.0.0.1", "[ff02::1]", "255.255.255.255", "127.0.0.1:22", "LOCALHOST",
     "168.63.129.16", "192.0.0.192", "[64:ff9b:1::7f00:1]", "[fec0::1]", "[::ffff:0:7f00:1]", "[2606:4700::5efe:7f00:1]"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_of_this_machine_or_network_is_refused_in_every_spelling(
    tmp_path, connected, scheme, host
):
    assert outcome(tmp_path, f"{scheme}://{host}/a.jpg") == ("gone", "private_address")
    assert not connected


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("file:///etc/passwd", "not_a_web_address"), ("ftp://example.org/a.jpg", "not_a_web_address"),
        ("gopher://example.org/", "not_a_web_address"), ("data:image/png;base64,AA", "not_a_web_address"),
        ("pictures/a.jpg", "not_a_web_address"), ("", "not_a_web_address"), ("http:///a.jpg", "not_a_web_address"),
        ("http://me:secret@example.org/", "credentials_in_address"), ("http://me@example.org/", "credentials_in_address"),
        ("http://@127.0.0.1/", "credentials_in_address"), ("http://[::1", "bad_address"),
        ("http://example.org:port/", "bad_address"), ("http://a..b/", "bad_address"),
        ("http://" + "a" * 70 + ".org/", "bad_address"),
    ],
)  # fmt: skip
def test_what_is_no_public_web_address_is_refused_for_good(tmp_path, connected, address, reason):
    assert outcome(tmp_path, address) == ("gone", reason)
    assert not connected


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    tmp_path, connected, monkeypatch
):
    resolving(monkeypatch, [PUBLIC, "10.0.0.1"])
    assert outcome(tmp_path, "http://example.org/") == ("gone", "private_address")
    assert not connected


def test_a_name_nobody_knows_may_be_known_later(tmp_path, monkeypatch):
    resolving(monkeypatch, [])
    assert outcome(tmp_path, "http://example.org/") == ("transient", "host_not_found")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_changes_its_meaning_cannot_move_the_connection(
    tmp_path, connected, monkeypatch, scheme
):
    asked = resolving(monkeypatch, [PUBLIC, OTHER], ["127.0.0.1"])
    assert outcome(tmp_path, f"{scheme}://example.org/") == ("transient", "connection_failed")
    assert connected == [PUBLIC, OTHER], "every checked address is tried, and nothing else"
    assert asked.count("example.org") == 1


@pytest.mark.parametrize(("scheme", "heard"), [("http", b"Host: pictures.example\r\n"),
                                               ("https", b"\x00\x10pictures.example"[1:])])  # fmt: skip
def test_the_server_hears_its_own_name_though_an_ip_is_connected_to(
    tmp_path, monkeypatch, scheme, heard
):
    resolving(monkeypatch, [PUBLIC])
    connect, first = socket.socket.connect, []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as peer:
                first.append(peer.recv(4096))
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(JPEG)}\r\n\r\n"
                peer.sendall(head.encode() + JPEG)

        thread = threading.Thread(target=answer)
        thread.start()
        there = server.getsockname()
        monkeypatch.setattr(socket.socket, "connect", lambda self, _: connect(self, there))
        found = outcome(tmp_path, f"{scheme}://pictures.example/a.jpg")
        thread.join(5)
    assert heard in first[0]
    assert found == (("ok", None) if scheme == "http" else ("transient", "connection_failed"))


def test_only_a_mapped_host_may_be_on_this_machine(tmp_path, monkeypatch):
    resolving(monkeypatch, ["127.0.0.1"])
    there = {"*.invalid": "127.0.0.1:9", "exact.example": "127.0.0.1:9"}
    for host in ("a.invalid.example.org", "ainvalid", "b.exact.example", "127.0.0.1:9"):
        assert outcome(tmp_path, f"http://{host}/", **there) == ("gone", "private_address"), host
    for host in ("a.invalid", "A.Invalid:81", "exact.example"):
        assert outcome(tmp_path, f"http://{host}/", **there) == ("transient", "connection_failed")


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures with a secret beside it."""
    made = tmp_path / "pictures"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "a.jpg").write_bytes(JPEG)
    (made / "big.jpg").write_bytes(JPEG * 50)
    (made / "note.txt").write_text("words")
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (made / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (made / "in.jpg").symlink_to(made / "sub" / "a.jpg")
    (made / "loop.jpg").symlink_to(made / "loop.jpg")
    os.mkfifo(made / "pipe.jpg")
    return made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub/a.jpg", ("ok", None)), ("file:sub/a.jpg", ("ok", None)), ("sub/../sub/a.jpg", ("ok", None)),
        ("in.jpg", ("ok", None)), ("../secret.jpg", ("gone", "path_outside_folder")),
        ("sub/../../secret.jpg", ("gone", "path_outside_folder")), ("/etc/passwd", ("gone", "path_outside_folder")),
        ("file:///etc/passwd", ("gone", "path_outside_folder")), ("out.jpg", ("gone", "path_outside_folder")),
        ("none.jpg", ("gone", "file_not_found")), ("sub", ("gone", "file_not_found")),
        ("loop.jpg", ("gone", "file_not_found")), ("pipe.jpg", ("gone", "file_not_found")),
        ("nul\0.jpg", ("gone", "file_not_found")), ("x" * 5000, ("gone", "file_not_found")),
        ("big.jpg", ("gone", "too_large")), ("note.txt", ("gone", "not_an_image")),
    ],
)  # fmt: skip
def test_a_local_picture_lies_inside_its_folder_or_is_refused(tmp_path, folder, name, expected):
    assert outcome(tmp_path, name, folder) == expected


def test_a_full_disk_stops_the_build_and_is_no_fault_of_the_picture(tmp_path, folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("curation.store.Pack.add_all", full)
    with pytest.raises(OSError, match="No space left"):
        outcome(tmp_path, "sub/a.jpg", folder)
