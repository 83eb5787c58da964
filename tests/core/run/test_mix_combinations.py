"""Realised shares are those that were asked for, or the lack is stated wherever one would look."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from datachef.core import Host, document
from datachef.core.cli import build
from datachef.core.cli.state import set_host

WEIGHTS = [{"a": 60, "b": 30, "c": 10}, {"a": 1, "b": 1, "c": 8}]
BUDGETS = [({"tokens": 6_000}, 2), ({"tokens": 120_000}, 3)]
SHORTAGES = ["stop", "redistribute", "repeat"]
COMBINATIONS = list(itertools.product(WEIGHTS, BUDGETS, SHORTAGES))


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(only={"engines", "sources", "mixing"})


@pytest.fixture
def chef(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on a recipe of three sources of rows of many lengths."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(3)
    for name, rows in {"a": 300, "b": 150, "c": 100}.items():
        texts = ["x" * chance.randrange(20, 400) for _ in range(rows)]
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))

    def run(command: str, mix: dict[str, Any], *options: str) -> Any:
        sources = {name: {"path": f"{name}.jsonl"} for name in "abc"}
        data = {"name": "m", "sources": sources, "mix": {"op": "weighted_mix", **mix}}
        Path("recipe.yaml").write_text(document.dump(data))
        set_host(host)
        done = CliRunner().invoke(build(host), [command, "recipe.yaml", "--json", *options])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["result"]

    return run


@pytest.mark.parametrize(("weights", "budget", "shortage"), COMBINATIONS)
def test_a_share_is_as_asked_or_its_lack_is_stated(
    chef: Any, weights: dict[str, int], budget: tuple[dict[str, int], int], shortage: str
) -> None:
    mix = {"weights": weights, "budget": budget[0], "max_epochs": budget[1], "shortage": shortage}
    checked, planned = chef("check", mix), chef("plan", mix)
    report = chef("run", mix, "--workers", "1")
    again = chef("plan", mix)
    wanted = budget[0]["tokens"]
    shares = {share["source"]: share for share in report["shares"]}
    assert {name: share["asked"] for name, share in shares.items()} == pytest.approx(
        {name: weight / sum(weights.values()) for name, weight in weights.items()}
    )
    off = max(abs(share["share"] - share["asked"]) for share in shares.values())
    lacking = wanted - report["tokens"] > 0.01 * wanted
    repeated = max(share["epochs"] for share in shares.values()) > budget[1]
    short = off > 0.01 or lacking or repeated
    assert short == (wanted == 120_000)
    assert (off > 0.01) == (short and shortage == "redistribute")
    assert repeated == (short and shortage == "repeat")
    if shortage == "stop":
        assert lacking == short
    card = Path("corpus/m/README.md").read_text()
    ledger = json.loads(Path("corpus/m/ledger.json").read_bytes())
    manifest = json.loads(Path("corpus/m/manifest.json").read_bytes())
    for name, share in shares.items():
        assert f"| {name} | {share['asked']:.1%} | {share['share']:.1%} |" in card
        assert ledger[-1]["sources"][name]["asked"] == share["asked"]
        assert ledger[-1]["sources"][name]["share"] == share["share"]
    assert manifest["shares"] == report["shares"]
    for stated in (checked, planned["warnings"]):
        assert [problem["code"] for problem in stated] == ["shortage_expected"] * short
    for stated in (report["warnings"], manifest["warnings"], again["warnings"]):
        assert [problem["code"] for problem in stated] == ["shortage"] * short
        assert all(problem["path"] == "mix.budget" for problem in stated)
    assert ("`shortage`" in card) == short
    for row in again["mix"]:
        assert row["epochs"] == pytest.approx(shares[row["source"]]["epochs"], rel=0.1, abs=0.1)
