"""Runs whose input, results and corpus lie in an object store, on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command import chef
from object_store import ObjectStoreServer, object_store_server

from datachef.core import FinishedRun, Host, RunError, RunObserver, run_recipe
from datachef.core.errors import DatachefError
from datachef.core.files.object_folder import ObjectFolder
from datachef.core.system.outputs import resolved

RECIPE = """
name: stored
sources:
  pages:
    path: "{path}"
steps:
  - op: exact_dedup
output: {{order: shuffled, shard_bytes: 20000, columns: [n]}}
"""
# Kills the process with the first request that would replace the manifest.
KILLED = """
import os, sys
from pathlib import Path
from datachef.core import Host, run_recipe
from datachef.core.files.object_folder import ObjectFolder
ObjectFolder.put_version = lambda *_: os.kill(os.getpid(), 9)
recipe, output, cache = sys.argv[1:]
run_recipe(Path(recipe), output, host=Host(), engine="inline", cache=cache)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with object_store_server(tmp_path_factory.mktemp("server")) as running:
        for part in "ab":
            rows = [{"text": f"page {part} {n % 900} " + "x" * 60, "n": n} for n in range(1000)]
            raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
            running.bucket("data").put(f"in/{part}.jsonl", raw)
        yield running


@pytest.fixture(autouse=True)
def place(
    server: ObjectStoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A working folder whose user is known to the server."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(path="s3://data/in/*.jsonl"))
    return tmp_path


def run(output: str | Path, cache: str | Path, recipe: str = "recipe.yaml", **options):
    return run_recipe(Path(recipe), output, host=Host(), engine="inline", cache=cache, **options)


def files(server: ObjectStoreServer, name: str) -> dict[str, bytes]:
    return server.corpus("results", name)


def test_a_run_in_the_store_gives_the_bytes_of_a_local_one(
    server: ObjectStoreServer, place: Path
) -> None:
    for part in "ab":
        raw = bytes(server.bucket("data").get(f"in/{part}.jsonl").bytes())
        (place / f"{part}.jsonl").write_bytes(raw)
    (place / "local.yaml").write_text(RECIPE.format(path="*.jsonl"))
    local = run(place / "out", place / "cache", "local.yaml")
    done = chef(
        "run", "recipe.yaml", "-o", "s3://results/bytes", "--cache", "s3://results/cache",
        "--workers", "2", "--quiet",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "s3://results/bytes\n"), done.stderr
    expected = {path.name: path.read_bytes() for path in (place / "out" / "data").iterdir()}
    assert len(expected) > 3
    expected["ledger.json"] = (place / "out" / "ledger.json").read_bytes()
    assert files(server, "bytes") == expected
    opened = FinishedRun.open("s3://results/bytes")
    assert opened.corpus.collect().equals(local.corpus.collect())
    assert opened.ledger["output"].rows_out == 1800
    told = chef("status", "s3://results/bytes", "--cache", "s3://results/cache", "--json")
    (known,) = json.loads(told.stdout)["result"]
    assert (known["state"], known["result"]["rows"]) == ("finished", 1800)
    again = run("s3://results/bytes", "s3://results/cache")
    assert again.partitions_cached == again.partitions
    assert not server.names("results", "bytes") & {".datachef.json", ".datachef-probe"}
    assert not [path.name for path in place.iterdir() if ":" in path.name]


def test_a_run_that_is_killed_leaves_the_old_corpus(server: ObjectStoreServer, place: Path) -> None:
    url = "s3://results/killed"
    run(url, place / "cache")
    before = files(server, "killed")
    server.bucket("results").put("killed/data/notes.txt", b"mine")
    recipe = place / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("20000", "30000"))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, recipe, url, place / "cache"], check=False
    )
    assert killed.returncode == -9
    assert files(server, "killed") == before
    left = server.names("results", "killed")
    run(url, place / "cache")
    now = server.names("results", "killed")
    assert now < left
    assert now - files(server, "killed").keys() >= {"manifest.json", "README.md", "data/notes.txt"}
    data = {name.rpartition("/")[2] for name in now if name.startswith("data/")}
    assert data == files(server, "killed").keys() - {"ledger.json"} | {"notes.txt"}


def test_a_server_that_comes_back_is_waited_for(server: ObjectStoreServer) -> None:
    class Outage(RunObserver):
        def phase_started(self, event):
            if event.title in ("1/2", "writing"):
                server.kill()
                threading.Timer(0.3, server.start).start()

    report = run("s3://results/outage", "s3://results/outages", observers=[Outage()])
    assert report.rows == 1800
    assert FinishedRun.open("s3://results/outage").corpus.collect().height == 1800


def test_many_files_are_read_at_once(server: ObjectStoreServer, place: Path) -> None:
    names = [f"{number}.txt" for number in range(150)]
    for name in names:
        server.bucket("results").put(f"many/{name}", name.encode())
    for attempt in range(3):
        folder = ObjectFolder("s3://results/many", place / f"cache{attempt}")
        with ThreadPoolExecutor(32) as pool:
            copies = list(pool.map(folder.path, names * 2))
        assert [copy.read_text() for copy in copies] == names * 2


def test_a_cache_there_is_listed_verified_and_pruned(server: ObjectStoreServer) -> None:
    def cache(*words: str, code: int = 0):
        done = chef("cache", *words, "--cache", "s3://results/pruned", "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)["result"]

    report = run("s3://results/used", "s3://results/pruned")
    listed = cache("list")
    names = server.names("results", "pruned/partitions")
    keys = {name.rpartition("/")[2].partition(".")[0] for name in names}
    assert set(cache("prune", "--max-size", "0")["results"]) == keys
    assert listed["cache"] == "s3://results/pruned"
    assert [row["recipe"] for row in listed["recipes"]] == ["stored", None]
    assert "s3://results/pruned: " in chef("cache", "list", "--cache", "s3://results/pruned").stdout
    number = listed["recipes"][0]["results"]
    assert cache("verify") == {"results": number, "damaged": []}

    name = next(name for name in sorted(names) if name.endswith(".0.parquet"))
    bucket, path = server.bucket("results"), f"pruned/partitions/{name}"
    bucket.put(path, b"!" * bucket.head(path)["size"])
    (damaged,) = cache("verify", code=1)["damaged"]
    assert damaged["result"] in name
    assert cache("prune", "--recipe", "stored")["removed"] is False
    assert len(cache("prune", "--recipe", "stored", "--yes")["results"]) == number - 1
    assert server.names("results", "pruned/partitions") == set()
    again = run("s3://results/used", "s3://results/pruned")
    assert (again.rows, again.partitions_cached) == (report.rows, 0)


def test_what_others_keep_there_is_refused(server: ObjectStoreServer, place: Path) -> None:
    server.bucket("results").put("taken/thesis.txt", b"mine")
    with pytest.raises(RunError, match=r"is not a corpus of datachef: it holds thesis\.txt"):
        run("s3://results/taken", place / "cache")
    assert server.names("results", "taken") == {"thesis.txt"}
    with pytest.raises(RunError, match="holds the input s3://data/in/a"):
        run("s3://data/in", place / "cache")


def test_another_run_is_noticed_before_it_is_replaced(
    server: ObjectStoreServer, place: Path
) -> None:
    class Other(RunObserver):
        def phase_started(self, event):
            server.bucket("results").put("shared/manifest.json", b"{}")

    run("s3://results/shared", place / "cache")
    with pytest.raises(RunError, match="was written by another run meanwhile"):
        run("s3://results/shared", place / "cache", observers=[Other()])
    assert bytes(server.bucket("results").get("shared/manifest.json").bytes()) == b"{}"


@pytest.mark.parametrize(
    ("variables", "output", "told"),
    [
        ({}, "s3://nowhere/x", "there is no s3://nowhere"),
        ({"AWS_SECRET_ACCESS_KEY": "guessed"}, "s3://results/x", "access is denied"),
        ({}, "ftp://host/x", "ftp://host/x is no place in an object store"),
        ({}, "foo://x", "foo://x is no place in an object store"),
    ],
)
def test_a_place_that_cannot_be_written_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], output: str, told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (place / "recipe.yaml").write_text(RECIPE.format(path="here.jsonl"))
    (place / "here.jsonl").write_text('{"text": "a", "n": 1}\n')
    for options in ({"output": output, "cache": "cache"}, {"output": "out", "cache": output}):
        with pytest.raises(DatachefError, match=told) as caught:
            run(**options)
        assert caught.value.hint
    assert not [path.name for path in place.iterdir() if ":" in path.name]


@pytest.mark.parametrize(
    "words",
    [
        ("score", "recipe.yaml", "--cache", "s3://results/cache"),
        ("run", "recipe.yaml", "--cache", "cache", "-o", "foo://x"),
    ],
)
def test_no_command_makes_a_folder_of_a_url(place: Path, words: tuple[str, ...]) -> None:
    done = chef(*words, folder=place)
    assert done.returncode == 1
    assert words[-1] in done.stderr
    with pytest.raises(DatachefError, match=r"s3://results/page\.html is a URL"):
        resolved(Path("s3://results/page.html"))
    assert not [path.name for path in place.iterdir() if ":" in path.name]
