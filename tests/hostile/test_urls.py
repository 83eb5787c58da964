"""URLs that lead where they should not: other protocols, other hosts, this machine's network."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, Host, Problem, RecipeError, RunError, check_recipe
from datachef.core.cli.state import take_network
from datachef.core.system.network import ALLOWED, Network, NotAllowedError, is_public, places
from datachef.plugins.sources import files
from datachef.plugins.sources.files import FileSource

pytest.importorskip("aiohttp")

MakeCorpus = Callable[..., Any]
LINES = b"".join(b'{"text": "row %d"}\n' % number for number in range(5))


@dataclass
class Web:
    """A web server: what it serves by path, as bytes or as the address of a redirect, and what it
    was asked for. `headers` go with everything that it serves."""

    port: int
    files: dict[str, bytes | str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    on_get: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _serving() -> tuple[Web, ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())
            web.on_get()

        def _answer(self) -> bytes:
            web.asked.append(self.path)
            found = web.files.get(self.path)
            body = found if isinstance(found, bytes) else b""
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            status = 404 if found is None else 302 if isinstance(found, str) else 200
            if part and status == 200:
                status, body = 206, body[int(part[1]) : int(part[2]) + 1]
            self.send_response(status)
            if isinstance(found, str):
                self.send_header("Location", found)
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web = Web(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return web, server


@pytest.fixture
def web() -> Iterator[Web]:
    web, server = _serving()
    yield web
    server.shutdown()
    server.server_close()


@pytest.fixture
def other() -> Iterator[Web]:
    """Another server, which nothing should reach."""
    web, server = _serving()
    yield web
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOWED, raising=False)
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources")


@pytest.fixture
def problems(tmp_path: Path) -> Callable[..., list[Problem]]:
    """The problems of a recipe with one source."""

    def check(source: dict[str, Any], pool: Path | None = None) -> list[Problem]:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps({"name": "r", "sources": {"s": source}}))
        return list(check_recipe(recipe, Host(), pool).problems)

    return check


@pytest.mark.parametrize(
    "url",
    [
        "reference://a.jsonl::{web}/refs.json",
        "reference://a.jsonl",
        "generic://{web}/a.jsonl",
        "dir://a.jsonl::{web}/",
        "simplecache::{web}/a.jsonl",
        "filecache://{web}/a.jsonl",
        "blockcache::file:///etc/passwd",
        "cached://a::memory://a",
        "git://a.jsonl@/tmp",
        "github://org:repo@main/a.jsonl",
        "gist://a/b.jsonl",
        "jupyter://127.0.0.1/a.jsonl",
        "jlab://127.0.0.1/a.jsonl",
        "webhdfs://127.0.0.1:9870/a.jsonl",
        "dask://a.jsonl",
        "dbfs://a.jsonl",
        "dvc://a.jsonl",
        "libarchive://a.jsonl::{web}/a.7z",
        "async_wrapper://a.jsonl",
        "asynclocal://etc/passwd",
        "data://text/plain,a.jsonl",
        "zip://a.jsonl::zip://b.zip::{web}/c.zip",
        "zip://a.jsonl::tar://b.zip::file:///c.tar",
        "zip::{web}/a.jsonl",
        "zip://a.jsonl::simplecache::{web}/a.zip",
        "zip://a.jsonl::reference://b::{web}/refs.json",
        "ZIP://a.jsonl::REFERENCE://b.zip",
        "{web}/a.jsonl::{web}/b.jsonl",
        "file:///etc/passwd::{web}/b.jsonl",
        "::{web}/a.jsonl",
        "nosuch+http://{host}/a.jsonl",
        "local.http://{host}/a.jsonl",
    ],
)
def test_protocols_that_lead_elsewhere_are_none(
    url: str, web: Web, problems: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = url.partition(":")[0].lower()
    named = f",{protocol}://*" if protocol.isalpha() else ""
    monkeypatch.setenv(ALLOWED, f"*,127.0.0.1{named}")
    written = url.format(web=web.url, host=f"127.0.0.1:{web.port}")
    (problem,) = problems({"path": written})
    assert (problem.code, problem.line) == ("bad_url", 1)
    assert web.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/a.jsonl",
        "HTTP://127.0.0.1:{port}/a.jsonl",
        "http://localhost:{port}/a.jsonl",
        "http://LocalHost:{port}/a.jsonl",
        "http://2130706433:{port}/a.jsonl",
        "http://0x7f000001:{port}/a.jsonl",
        "http://0177.0.0.1:{port}/a.jsonl",
        "http://127.1:{port}/a.jsonl",
        "http://0:{port}/a.jsonl",
        "http://[::1]:{port}/a.jsonl",
        "http://[::ffff:127.0.0.1]:{port}/a.jsonl",
        "http://[64:ff9b::7f00:1]:{port}/a.jsonl",
        "http://huggingface.co@127.0.0.1:{port}/a.jsonl",
        "http://127.0.0.1:{port}#@huggingface.co/a.jsonl",
        "http://%31%32%37.0.0.1:{port}/a.jsonl",
        "http://127。0。0。1:{port}/a.jsonl",
        "zip://a.jsonl::http://127.0.0.1:{port}/a.zip",
        "http://169.254.169.254/latest/meta-data/a.jsonl",
        "http://[fe80::1%25eth0]/a.jsonl",
        "http://10.0.0.1/a.jsonl",
        "http://192.168.1.1/*.jsonl",
        "http://100.64.0.1/a.jsonl",
    ],
)
@pytest.mark.parametrize("allowed", ["", "*", "huggingface.co,*.example.org"])
def test_addresses_that_are_not_public_are_reached_only_by_name(
    address: str,
    allowed: str,
    web: Web,
    problems: Callable[..., list[Problem]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ALLOWED, allowed)
    web.files["/a.jsonl"] = LINES
    (problem,) = problems({"path": address.format(port=web.port)})
    assert problem.code in {"not_allowed", "bad_url"}
    assert web.asked == []


def test_the_refusal_says_what_to_add_and_that_is_enough(
    web: Web, problems: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/a.jsonl"] = LINES
    source = {"path": f"{web.url}/a.jsonl"}
    (problem,) = problems(source)
    assert "--allow-network=127.0.0.1," in problem.hint
    monkeypatch.setenv(ALLOWED, "127.0.0.1")
    assert problems(source) == []


@pytest.mark.parametrize(
    "url", ["s3://bucket/a.jsonl", "gs://bucket/a.jsonl", "abfs://box@acc/a.jsonl"]
)
def test_stores_have_to_be_allowed_before_their_package_is_looked_for(
    url: str, problems: Callable[..., list[Problem]]
) -> None:
    (problem,) = problems({"path": url})
    assert problem.code == "not_allowed"
    assert f"--allow-network={url.partition('://')[0]}://" in problem.hint


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "a.dfs.core.windows.net.evil.example"]
)
def test_an_account_of_azure_is_no_other_host(
    host: str, problems: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "*")
    (problem,) = problems({"path": f"abfs://box@{host}/a.jsonl"})
    assert problem.code == "bad_url"


def test_servers_of_other_protocols_are_asked_only_where_they_are_named(
    problems: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "*,127.0.0.1")
    for protocol in ("ftp", "sftp", "ssh", "smb", "hdfs", "oss"):
        (problem,) = problems({"path": f"{protocol}://127.0.0.1:9/a.jsonl"})
        assert problem.code == "not_allowed"
        assert f"{protocol}://127.0.0.1" in problem.hint


def test_the_host_is_what_the_library_takes_for_it(
    problems: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "ftp://files.example.org,s3://good")
    for url in (
        "ftp://127.0.0.1#@files.example.org/a.jsonl",
        "ftp://127.0.0.1?@files.example.org/a.jsonl",
        "ftp://127.0.0.1\\@files.example.org/a.jsonl",
        "s3://bad#@good/a.jsonl",
        "s3://good@bad/a.jsonl",
    ):
        (problem,) = problems({"path": url})
        assert problem.code in {"not_allowed", "bad_url"}, url


def test_a_redirect_goes_only_where_the_user_allowed(
    web: Web, other: Web, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, f"127.0.0.1:{web.port}")
    other.files["/a.jsonl"] = LINES
    for name, target in {
        "/out.jsonl": f"{other.url}/a.jsonl",
        "/twice.jsonl": f"{web.url}/out.jsonl",
        "/name.jsonl": f"http://localhost:{other.port}/a.jsonl",
        "/slashes.jsonl": f"//127.0.0.1:{other.port}/a.jsonl",
        "/file.jsonl": "file:///etc/passwd",
        "/meta.jsonl": "http://169.254.169.254/a.jsonl",
    }.items():
        web.files[name] = target
        with pytest.raises(RecipeError) as caught:
            make_corpus(f"{web.url}{name}")
        assert caught.value.problems[0].code in {"not_allowed", "bad_url", "unreachable"}
    assert other.asked == []
    web.files["/here.jsonl"] = f"{web.url}/a.jsonl"
    web.files["/a.jsonl"] = LINES
    web.headers["ETag"] = '"1"'
    assert make_corpus(f"{web.url}/here.jsonl").rows.height == 5
    monkeypatch.setenv(ALLOWED, "127.0.0.1")
    assert make_corpus(f"{web.url}/out.jsonl").rows.height == 5


def test_a_name_that_leads_to_another_address_when_it_is_connected_to(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when it is looked up first, and this machine's after that."""
    monkeypatch.setenv(ALLOWED, "*")
    web.files["/a.jsonl"] = LINES
    real, answers = socket.getaddrinfo, iter(["93.184.216.34"])

    def rebound(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host in ("rebound.example", b"rebound.example"):
            host = next(answers, "127.0.0.1")
        return real(host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    assert socket.getaddrinfo("rebound.example", 80)[0][4][0] == "93.184.216.34"
    with pytest.raises(Exception, match=r"rebound.example leads to 127.0.0.1"):
        FileSource(path=f"http://rebound.example:{web.port}/a.jsonl").partitions()
    assert web.asked == []


class TestPools:
    @pytest.fixture
    def pool(self, tmp_path: Path, web: Web) -> Path:
        web.files["/a.jsonl"] = LINES
        web.headers["ETag"] = '"1"'
        file = tmp_path / "pool.yaml"
        data = {"sources": {"s": {"path": f"{web.url}/a.jsonl"}}, "allow_network": ["127.0.0.1"]}
        file.write_text(json.dumps(data))
        return file

    def test_a_pool_opens_the_network_to_its_sources_alone(
        self, pool: Path, web: Web, problems: Callable[..., list[Problem]]
    ) -> None:
        assert problems({}, pool) == []
        web.asked.clear()
        assert {p.code for p in problems({"path": f"{web.url}/b.jsonl"}, pool)} == {"not_in_pool"}
        assert web.asked == []

    def test_workers_reach_it_too(self, pool: Path, tmp_path: Path) -> None:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("name: r\nsources: {s: {}}\n")
        result = chef("run", recipe, "--pool", pool, "-o", tmp_path / "out", "--workers", "2")
        assert "5 rows" in result.stdout, result.stderr

    def test_a_pool_that_the_recipe_names_itself_opens_nothing(
        self, pool: Path, web: Web, tmp_path: Path
    ) -> None:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(f"name: r\npool: {pool.name}\nsources:\n  s: {{}}\n")
        (problem,) = check_recipe(recipe, Host()).problems
        assert (problem.code, problem.path) == ("not_allowed", "sources.s")
        assert web.asked == []

    @pytest.mark.parametrize(
        "extra", [{"allow_network": ["127.0.0.1"]}, {"_granted": ["127.0.0.1"]}, {"granted": ["*"]}]
    )
    def test_a_source_allows_itself_nothing(
        self, web: Web, problems: Callable[..., list[Problem]], extra: dict[str, Any]
    ) -> None:
        found = problems({"path": f"{web.url}/a.jsonl", **extra})
        assert {"unknown_field"} <= {problem.code for problem in found}
        assert web.asked == []

    def test_what_is_no_place_is_told(
        self, tmp_path: Path, problems: Callable[..., list[Problem]]
    ) -> None:
        file = tmp_path / "pool.yaml"
        file.write_text("sources: {s: {path: a.jsonl}}\nallow_network: [http://a/b]\n")
        (problem,) = [p for p in problems({}, file) if p.path == "allow_network"]
        assert (problem.line, "is no place on the network" in problem.message) == (2, True)


def chef(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "datachef.core.cli", *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_the_option_stands_anywhere_and_reaches_the_workers(web: Web, tmp_path: Path) -> None:
    web.files["/a.jsonl"] = LINES
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: r\nsources: {{s: {{path: '{web.url}/a.jsonl'}}}}\n")
    out = tmp_path / "out"
    refused = chef("run", recipe, "-o", out)
    assert refused.returncode == 2
    assert "--allow-network=127.0.0.1" in refused.stderr
    assert chef("--allow-network", "check", recipe).returncode == 2  # no public address
    assert web.asked == []
    done = chef("--allow-network=127.0.0.1", "run", recipe, "-o", out, "--workers", "2")
    assert "5 rows" in done.stdout, done.stderr
    wrong = chef("check", recipe, "--allow-network=http://a/b")
    assert (wrong.returncode, "is no place on the network" in wrong.stderr) == (1, True)


@pytest.mark.parametrize("place", ["huggingface.co", "localhost", "s3://bucket", "a.org,10.0.0.1"])
def test_places_behind_a_space_are_told(place: str) -> None:
    with pytest.raises(DatachefError, match="behind an equals sign") as caught:
        take_network(["run", "recipe.yaml", "--allow-network", place])
    assert caught.value.hint == f"--allow-network={place}"


@pytest.mark.parametrize("word", ["run", "recipe.yaml", "--workers=2", "my/folder.d", "."])
def test_other_words_after_the_option_are_the_commands(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "")
    assert take_network(["--allow-network", word]) == [word]
    assert os.environ[ALLOWED] == "*"


class TestVersions:
    """Files behind URLs: what tells one version from another, and what changes while it is read."""

    @pytest.fixture(autouse=True)
    def _allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ALLOWED, "127.0.0.1")

    LARGE = LINES * 4_000

    @pytest.mark.parametrize("stated", ["ETag", "Last-Modified"])
    def test_a_version_that_is_stated_is_taken_from_the_cache(
        self, web: Web, make_corpus: MakeCorpus, stated: str
    ) -> None:
        web.files["/a.jsonl"] = self.LARGE
        web.headers[stated] = "Sat, 28 Nov 2026 10:00:00 GMT"
        make_corpus(f"{web.url}/a.jsonl")
        assert make_corpus(f"{web.url}/a.jsonl").report.partitions_cached == 1
        web.headers[stated] = "Sat, 28 Nov 2026 10:00:01 GMT"
        web.files["/a.jsonl"] = self.LARGE.replace(b"row 4", b"new 4")
        result = make_corpus(f"{web.url}/a.jsonl")
        assert result.report.partitions_cached == 0
        assert result.rows["text"][4] == "new 4"

    def test_without_one_nothing_large_is_taken_from_the_cache(
        self, web: Web, make_corpus: MakeCorpus
    ) -> None:
        web.files["/a.jsonl"] = self.LARGE
        first = make_corpus(f"{web.url}/a.jsonl")
        web.files["/a.jsonl"] = self.LARGE[:-8] + b' 4"}\n   '.rjust(8)
        again = make_corpus(f"{web.url}/a.jsonl")
        assert (first.report.partitions_cached, again.report.partitions_cached) == (0, 0)
        assert first.rows["id"].to_list()[:100] == again.rows["id"].to_list()[:100]

    @pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {}])
    def test_one_that_changes_while_it_is_read_fails_the_run(
        self,
        web: Web,
        make_corpus: MakeCorpus,
        monkeypatch: pytest.MonkeyPatch,
        headers: dict[str, str],
    ) -> None:
        web.files["/a.jsonl"] = LINES
        web.headers.update(headers)
        verify = files.verify_remote

        def changing(*arguments: Any) -> None:
            verify(*arguments)
            web.files["/a.jsonl"] = LINES.replace(b"row", b"new")
            web.headers.update(dict.fromkeys(headers, '"2"'))

        monkeypatch.setattr(files, "verify_remote", changing)
        with pytest.raises((RunError, RecipeError), match="it changed after the run was planned"):
            make_corpus(f"{web.url}/a.jsonl")

    def test_an_archive_that_changes_is_another(
        self, web: Web, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        for text in ("one", "two"):
            with zipfile.ZipFile(tmp_path / f"{text}.zip", "w") as archive:
                archive.writestr("in.jsonl", json.dumps({"text": text}))
        web.files["/a.zip"] = (tmp_path / "one.zip").read_bytes()
        url = f"zip://in.jsonl::{web.url}/a.zip"
        assert make_corpus(url).rows["text"].to_list() == ["one"]
        assert make_corpus(url).report.partitions_cached == 1
        web.files["/a.zip"] = (tmp_path / "two.zip").read_bytes()
        assert make_corpus(url).rows["text"].to_list() == ["two"]


class TestPlaces:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254",
         "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
         "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe",
         "192.0.0.192", "168.63.129.16", "::ffff:192.0.0.192", "fec0::1", "3fff::1",
         "fd00:ec2::254"],
    )  # fmt: skip
    def test_no_public_address(self, address: str) -> None:
        from ipaddress import ip_address

        assert not is_public(ip_address(address))
        with pytest.raises(NotAllowedError):
            Network(places(["*", "*.example.org"])).check_address("a.example.org", address)

    def test_a_host_by_its_whole_name_may_be_private_but_no_more(self) -> None:
        network = Network(places(["data.example.org", "localhost", "10.0.0.0/8", "169.254.1.1"]))
        network.check_address("data.example.org", "192.168.0.7")
        network.check_address("localhost", "127.0.0.1")
        network.check("http", "10.9.8.7", 80)
        network.check("http", "169.254.1.1", 80)
        for host, address in [
            ("data.example.org", "127.0.0.1"),
            ("data.example.org", "169.254.169.254"),
            ("sub.data.example.org", "192.168.0.7"),
        ]:
            with pytest.raises(NotAllowedError):
                network.check_address(host, address)

    @pytest.mark.parametrize(
        "also",
        ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "intern:8443", "s3://intern",
         "sftp://127.0.0.1"],
    )  # fmt: skip
    def test_a_port_or_a_protocol_that_is_named_opens_no_other(self, also: str) -> None:
        network = Network(places(["*", also]))
        for host in ("127.0.0.1", "localhost", "::1"):
            with pytest.raises(NotAllowedError):
                network.check("http", host, 22)
        for address in ("10.0.0.1", "127.0.0.1"):
            with pytest.raises(NotAllowedError):
                network.check_address("intern", address, 22)

    def test_the_port_that_is_named_is_open(self) -> None:
        network = Network(places(["127.0.0.1:8000", "localhost:8000", "https://intern:8443"]))
        network.check("http", "127.0.0.1", 8000)
        network.check("http", "localhost", 8000)
        network.check_address("localhost", "127.0.0.1", 8000)
        network.check("https", "intern", 8443)
        network.check_address("intern", "10.0.0.1", 8443)
        Network(places(["data.example.org:443"])).check("https", "data.example.org")

    @pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "localhost"])
    @pytest.mark.parametrize("protocol", ["ftp", "sftp", "hdfs", "smb"])
    def test_a_pattern_of_servers_means_no_address_that_is_not_public(
        self, protocol: str, host: str
    ) -> None:
        with pytest.raises(NotAllowedError) as caught:
            Network(places([f"{protocol}://*"])).check(protocol, host)
        assert f"--allow-network={protocol}://{host}," in caught.value.hint
        Network(places([f"{protocol}://{host}"])).check(protocol, host)

    @pytest.mark.parametrize(
        ("allowed", "reached", "refused"),
        [
            ("*.example.org", "a.example.org", "example.org.evil.net"),
            ("example.org", "EXAMPLE.org.", "a.example.org"),
            ("huggingface.co", "cdn-lfs.hf.co", "huggingface.co.evil.net"),
            ("https://huggingface.co/", "cdn-lfs.hf.co", "huggingface.co.evil.net"),
            ("münchen.de", "xn--mnchen-3ya.de", "munchen.de"),
        ],
    )
    def test_names(self, allowed: str, reached: str, refused: str) -> None:
        network = Network(places([allowed]))
        network.check("https", reached, 443)
        with pytest.raises(NotAllowedError):
            network.check("https", refused, 443)
        with pytest.raises(NotAllowedError):
            network.check("s3", reached)

    @pytest.mark.parametrize("wrong", ["http://a/b", "a b", "1", "2130706433", "a@b", "", "a:b"])
    def test_what_is_no_place(self, wrong: str) -> None:
        with pytest.raises(DatachefError, match="is no place on the network"):
            places([wrong])
