"""Datasets of Hugging Face, local or of the Hub, that send their reader somewhere else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from command import CHEF
from web_server import Answer, Site, Web, served

from datachef.core import SourceError
from datachef.core.system.network import ALLOWED
from datachef.plugins.sources.hub import HubSource

pytest.importorskip("datasets")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = b'{"text": "one"}\n{"text": "two"}\n'


@dataclass
class Hub(Site):
    """What is needed of the Hub's protocol: one dataset, `org/name`.

    `files` are those of the dataset; what is asked for under a path of `elsewhere` is redirected.
    """

    protocol = "HTTP/1.1"

    files: dict[str, bytes] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path = urlsplit(path).path
        if path.startswith(f"/api/datasets/org/name/paths-info/{COMMIT}"):
            asked = json.loads(body)["paths"] if body.startswith(b"{") else []
            return 200, {}, json.dumps([self._entry(n) for n in asked if n in self.files]).encode()
        if path.startswith(f"/api/datasets/org/name/tree/{COMMIT}"):
            return 200, {}, json.dumps([self._entry(name) for name in self.files]).encode()
        if path.startswith("/api/datasets/org/name"):
            siblings = [{"rfilename": name} for name in self.files]
            found = {"id": "org/name", "sha": COMMIT, "siblings": siblings}
            return 200, {}, json.dumps(found).encode()
        name = path.rpartition(f"/{COMMIT}/")[2]
        if name in self.elsewhere:
            return 302, {"Location": self.elsewhere[name]}, b""
        if name in self.files:
            return 200, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}, self.files[name]
        return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""

    def _entry(self, name: str) -> dict[str, Any]:
        return {"type": "file", "oid": "0" * 40, "size": len(self.files[name]), "path": name}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served(Hub(files={"train.jsonl": ROWS})) as hub:
        yield hub


def chef(folder: Path, hub: Hub, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`chef`, for which this is the Hub: libraries read where it is when they are imported."""
    command = [*CHEF, *arguments]
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("HF_", "DATACHEF_"))},
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "DATACHEF_PLUGINS": "engines,sources",
    }
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=folder)


def recipe(folder: Path, **more: Any) -> str:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"name": "r", "sources": {"s": {"hf": "org/name"}}, **more}))
    return str(path)


def card(config: dict[str, Any]) -> bytes:
    return b"---\nconfigs: " + json.dumps([config]).encode() + b"\n---\n"


CONFIGS = [
    {"config_name": "default", "data_files": "{web}/a.jsonl"},
    {"config_name": "default", "data_files": [{"split": "train", "path": "{web}/a.jsonl"}]},
    {"config_name": "default", "data_files": [{"split": "train", "path": ["a.jsonl", "{web}/a"]}]},
    {"config_name": "default", "data_files": "HTTP://127.0.0.1/a.jsonl"},
    {"config_name": "default", "data_files": "zip://a.jsonl::{web}/a.zip"},
    {"config_name": "default", "data_files": "zip://*.jsonl::a.zip"},
    {"config_name": "default", "data_files": "reference://a.jsonl::{web}/refs.json"},
    {"config_name": "default", "data_files": "simplecache::{web}/a.jsonl"},
    {"config_name": "default", "data_files": "hf://datasets/other/name/a.jsonl"},
    {"config_name": "default", "data_files": "/etc/passwd"},
    {"config_name": "default", "data_files": "../other/*.jsonl"},
    {"config_name": "default", "data_files": "~/.ssh/*"},
    {"config_name": "default", "data_files": "data:text/plain,a"},
    {"config_name": "default", "data_dir": "{web}/"},
    {"config_name": "default", "data_dir": "/etc"},
    {"config_name": "default", "data_dir": "sub/../../other"},
    {"config_name": "default", "data_files": "a.jsonl", "storage_options": {"proxy": "{web}"}},
]


def _named(config: dict[str, Any], web: str) -> dict[str, Any]:
    named: dict[str, Any] = json.loads(json.dumps(config).replace("{web}", web))
    return named


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("file", ["README.md", ".huggingface.yaml"])
def test_a_local_dataset_reads_its_own_files_alone(
    tmp_path: Path, other: Web, config: dict[str, Any], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "*,127.0.0.1")
    folder = tmp_path / "name"
    folder.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.jsonl").write_bytes(ROWS)
    (folder / "a.jsonl").write_bytes(ROWS)
    content = card(_named(config, other.url))
    (folder / file).write_bytes(content if file == "README.md" else content.strip(b"-\n"))
    with pytest.raises(SourceError) as caught:
        HubSource(hf=str(folder)).partitions()
    assert caught.value.code == "outside_dataset"
    assert other.asked == []


def test_another_configuration_than_the_one_that_is_read_counts_too(
    tmp_path: Path, other: Web
) -> None:
    folder = tmp_path / "name"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(ROWS)
    configs = [
        {"config_name": "default", "data_files": "a.jsonl"},
        {"config_name": "second", "data_files": f"{other.url}/a.jsonl"},
    ]
    (folder / "README.md").write_bytes(
        b"---\nconfigs: " + json.dumps(configs).encode() + b"\n---\n"
    )
    with pytest.raises(SourceError, match="no file of this dataset"):
        HubSource(hf=str(folder), config="default").partitions()
    assert other.asked == []


@pytest.mark.parametrize("name", ["a.h5", "a.lance", "a.tsfile"])
def test_kinds_of_files_that_lead_to_others_are_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError) as caught:
        HubSource(hf=str(tmp_path)).partitions()
    assert caught.value.code == "unreadable_dataset"


def test_a_card_that_repeats_itself_is_soon_read(tmp_path: Path) -> None:
    """Ten lists of ten lists each, and so on: few bytes, and ten thousand million texts."""
    (tmp_path / "a.jsonl").write_bytes(ROWS)
    lines = ["a0: &a0 [/etc/passwd]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]
    config = "configs: [{config_name: default, data_files: *a10}]"
    (tmp_path / "README.md").write_text("\n".join(["---", *lines, config, "---", ""]))
    with pytest.raises(SourceError):
        HubSource(hf=str(tmp_path)).partitions()


def test_the_hub_is_asked_only_where_it_is_allowed(tmp_path: Path, hub: Hub) -> None:
    refused = chef(tmp_path, hub, "run", recipe(tmp_path))
    assert refused.returncode == 2
    assert "[not_allowed]" in refused.stderr
    assert "'org/name' is no folder here, and http://127.0.0.1 may not" in refused.stderr
    assert "--allow-network=127.0.0.1," in refused.stderr
    assert hub.asked == []
    done = chef(tmp_path, hub, "run", recipe(tmp_path), "--allow-network=127.0.0.1", "-w", "1")
    assert "2 rows" in done.stdout, done.stderr


def test_a_card_on_the_hub_reads_its_own_files_alone(tmp_path: Path, hub: Hub, other: Web) -> None:
    hub.files["README.md"] = card({"config_name": "default", "data_files": f"{other.url}/a.jsonl"})
    refused = chef(tmp_path, hub, "check", recipe(tmp_path), "--allow-network=127.0.0.1")
    assert (refused.returncode, "[outside_dataset]" in refused.stdout) == (2, True)
    assert other.asked == []


def test_the_hub_leads_nowhere_else(tmp_path: Path, hub: Hub, other: Web) -> None:
    path = f"/datasets/org/name/resolve/{COMMIT}/train.jsonl"
    other.files[path] = ROWS
    hub.elsewhere["train.jsonl"] = f"{other.url}{path}"
    place = f"--allow-network=127.0.0.1:{hub.port}"
    refused = chef(tmp_path, hub, "check", recipe(tmp_path), place)
    assert refused.returncode == 2, refused.stdout
    assert "may not be reached" in refused.stdout
    assert other.asked == []


def test_a_tokenizer_of_the_hub_is_fetched_only_where_it_is_allowed(
    tmp_path: Path, hub: Hub
) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROWS)
    path = recipe(tmp_path, sources={"s": {"path": "a.jsonl"}}, tokenizer="org/name")
    refused = chef(tmp_path, hub, "check", path)
    assert "--allow-network=127.0.0.1 or DATACHEF_ALLOW_NETWORK=127.0.0.1" in refused.stdout
    assert "allow_network:" not in refused.stdout  # a pool allows it to its sources alone
    assert hub.asked == []
    assert chef(tmp_path, hub, "check", path, "--allow-network=127.0.0.1").returncode == 2
    assert hub.asked  # which knows no such model
