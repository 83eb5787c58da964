"""A corpus is put onto the Hugging Face Hub by one commit; the Hub is a server of the test."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from web_server import Answer, Site, served

from datachef.core import Host, RunError, run_recipe
from datachef.core.errors import DatachefError
from datachef.core.run.report import Report

pytest.importorskip("huggingface_hub")

URL = "hf://datasets/org/corpus"
RECIPE = {"name": "sent", "sources": {"s": {"path": "rows.jsonl"}}}


@dataclass
class Hub(Site):
    """What is needed of the protocol of the Hub: one dataset, whose commits are numbered."""

    protocol = "HTTP/1.1"

    files: dict[str, bytes] | None = None
    commits: list[list[str]] = field(default_factory=list)
    status: int = 200

    @property
    def commit(self) -> str:
        return f"{len(self.commits):040x}"

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self.status != 200:
            return self.status, {}, b"{}"
        if path == "/api/repos/create":
            self.files = {".gitattributes": b""}
            return 200, {}, json.dumps({"url": f"{self.url}/datasets/org/corpus"}).encode()
        if path == "/api/validate-yaml":
            return 200, {}, b'{"errors": [], "warnings": []}'
        if self.files is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if "/preupload/" in path:
            named = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in named]
            return 200, {}, json.dumps({"files": modes}).encode()
        if "/commit/" in path:
            return self._commit([json.loads(line) for line in body.splitlines()])
        if path.startswith("/api/datasets/org/corpus"):
            siblings = [{"rfilename": name} for name in self.files]
            found = {"id": "org/corpus", "sha": self.commit, "siblings": siblings}
            return 200, {}, json.dumps(found).encode()
        name = path.partition("/resolve/")[2].partition("/")[2]
        if name in self.files:
            return 200, {"ETag": '"1"', "X-Repo-Commit": self.commit}, self.files[name]
        return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"

    def _commit(self, lines: list[dict[str, dict[str, str]]]) -> Answer:
        assert self.files is not None
        if lines[0]["value"].get("parentCommit", self.commit) != self.commit:
            return 412, {}, b'{"error": "a commit came in between"}'
        for line in lines[1:]:
            name = line["value"]["path"]
            if line["key"] == "file":
                self.files[name] = base64.b64decode(line["value"]["content"])
            else:
                del self.files[name]
        self.commits.append([f"{line['key']} {line['value'].get('path')}" for line in lines[1:]])
        url = f"{self.url}/datasets/org/corpus/commit/{self.commit}"
        done = {"success": True, "commitOid": self.commit, "commitUrl": url}
        return 200, {}, json.dumps(done).encode()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with served(Hub()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        monkeypatch.delenv("DATACHEF_ALLOW_NETWORK", raising=False)
        monkeypatch.chdir(tmp_path)
        yield hub


def run(rows: int, output: str = URL) -> Report:
    Path("rows.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(rows)))
    recipe = RECIPE | {"output": {"format": "jsonl"}}
    Path("recipe.yaml").write_text(json.dumps(recipe))
    return run_recipe(Path("recipe.yaml"), output, host=Host(), engine="inline", cache="cache")


def test_one_commit_replaces_what_is_ours(hub: Hub) -> None:
    local = run(9, "out")
    sent = run(9)
    assert sent.place == URL
    assert sent.corpus.collect().equals(local.corpus.collect())
    assert hub.files is not None
    for name in ("data/train-00000-of-00001.jsonl", "ledger.json", "manifest.json", "README.md"):
        assert hub.files[name] == (Path("out") / name).read_bytes()
    hub.files |= {"notes.txt": b"mine", "README.md": b"my own card"}
    hub.commits.append([])
    run(5)
    assert len(hub.commits) == 3
    assert hub.files["data/train-00000-of-00001.jsonl"].count(b"\n") == 5
    assert (hub.files["notes.txt"], hub.files["README.md.1"]) == (b"mine", b"my own card")


def test_what_others_keep_there_is_refused(hub: Hub) -> None:
    hub.files = {"thesis.txt": b"mine"}
    with pytest.raises(RunError, match=r"is not a corpus of datachef: it holds thesis\.txt"):
        run(3)
    hub.files, hub.status = None, 403
    with pytest.raises(RunError, match="access is denied") as caught:
        run(3)
    assert "HF_TOKEN" in caught.value.hint
    with pytest.raises(DatachefError, match="hf://models/org/name names no dataset"):
        run(3, "hf://models/org/name")
    assert hub.commits == []
