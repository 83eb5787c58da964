"""URLs that lead where they should not: other protocols, other hosts, this machine's network."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import chef
from web_server import LINES, Web

from datachef.core import Host, Problem, RecipeError, check_recipe
from datachef.core.system.network import ALLOWED
from datachef.plugins.sources.files import FileSource

pytest.importorskip("aiohttp")
pytestmark = pytest.mark.usefixtures("nothing_allowed")

MakeCorpus = Callable[..., Any]


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
