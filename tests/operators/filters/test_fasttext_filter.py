"""A classifier is trained from two sources by the command, and tells their rows apart."""

from __future__ import annotations

import json
import random
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from command import chef

from datachef.core import Asset, AssetFile, CheckContext, FolderOrigin
from datachef.core.assets.fetching import fetch_asset
from datachef.operators.filters.fasttext_filter import FastTextFilter

pytest.importorskip("fasttext")

NOWHERE = CheckContext(frozenset({"text"}), {})
GOOD = ("theorem", "proof", "lemma", "equation", "therefore", "prove", "solve", "integral")
BAD = ("buy", "cheap", "click", "offer", "discount", "price", "subscribe", "free", "shipping")


def sentence(words: tuple[str, ...], rng: random.Random) -> str:
    return " ".join(rng.choices(words, k=12)) + ".\nAnd so on."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("classifier")
    rng = random.Random(0)
    for name, words in (("good", GOOD), ("bad", BAD)):
        rows = [{"text": sentence(words, rng)} for _ in range(200)]
        pl.DataFrame(rows + rows[:50]).write_ndjson(place / f"{name}.jsonl")
    return place


TRAIN = (
    "train-classifier", "--positive", "good.jsonl", "--negative", "bad.jsonl", "--buckets", "1000",
    "--dimensions", "10", "--epochs", "25", "--learning-rate", "1", "--json", "--output",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    done = chef(*TRAIN, "quality.bin", folder=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["result"]
    assert (told["trained_rows"], told["held_out_rows"]) == (360, 40)  # without duplicates
    assert told["auc"] == 1
    assert told["accuracy"] == 1
    return folder / "quality.bin"


def test_the_same_rows_train_the_same_model(folder: Path, model: Path) -> None:
    assert chef(*TRAIN, "again.bin", folder=folder).returncode == 0
    assert (folder / "again.bin").read_bytes() == model.read_bytes()


def test_signals_and_reasons(signals, reasons, model):
    rng = random.Random(1)
    texts = [sentence(GOOD, rng), sentence(BAD, rng), "__label__hq " + sentence(BAD, rng), "", None]
    operator = FastTextFilter(model=str(model))
    found = signals(operator, texts)["fasttext_hq"].to_list()
    assert found[0] > 0.9
    assert max(found[1:3]) < 0.1
    assert found[4] is None
    said = reasons(operator, texts)
    assert said[:3] == [None, "low_probability", "low_probability"]
    assert said[4] == "no_text"
    other = signals(FastTextFilter(model=str(model), label="lq"), texts[:1])["fasttext_lq"]
    assert other[0] == pytest.approx(1 - found[0], abs=1e-3)


def test_a_model_among_the_assets(model, reasons, tmp_path, monkeypatch):
    monkeypatch.setenv("DATACHEF_ASSETS", str(tmp_path / "assets"))
    raw = model.read_bytes()
    file = AssetFile("quality.bin", sha256(raw).hexdigest(), len(raw))
    origin = FolderOrigin(str(model.parent))
    fetch_asset(Asset("math-or-ads", "A classifier.", "CC0-1.0", (file,), (origin,)))
    operator = FastTextFilter(asset="math-or-ads")
    assert list(operator.check(NOWHERE)) == []
    assert reasons(operator, ["a theorem and its proof", "buy cheap now"]) == [
        None, "low_probability"
    ]  # fmt: skip
    assert set(operator.identity()["assets"]) == {"math-or-ads"}


def test_what_the_check_finds(model, tmp_path):
    def problem(**parameters):
        ((parameter, message, hint),) = FastTextFilter(**parameters).check(NOWHERE)
        return parameter, message + hint

    assert problem() == ("model", "give either model or assetmodel: quality.bin")
    parameter, said = problem(model=str(model), label="good")
    assert (parameter, "they are hq, lq" in said) == ("label", True)
    (tmp_path / "no.bin").write_bytes(b"no model")
    parameter, said = problem(model=str(tmp_path / "no.bin"))
    assert (parameter, "no fastText model" in said) == ("model", True)


def test_what_the_command_refuses(folder: Path, model: Path) -> None:
    (folder / "few.jsonl").write_text('{"text": "one row"}\n')
    (folder / "notes.bin").write_text("notes of mine")
    few = [*TRAIN, "few.bin"]
    few[2] = "few.jsonl"
    assert "1 hq and 200 lq rows without duplicates" in chef(*few, folder=folder).stderr
    assert "exists and is no classifier" in chef(*TRAIN, "notes.bin", folder=folder).stderr
    assert (folder / "notes.bin").read_text() == "notes of mine"
