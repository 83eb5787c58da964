"""The pages of a training and of an evolution: their numbers are those of the files, and what
stands in the files stays text."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import lxml.html
import pytest
from command import chef
from policy_folders import RECIPES, STEPS, TASK, evolution_folder, training_folder

from datachef.core import Host
from datachef.policy.reports.evolution import EvolutionReport
from datachef.policy.reports.training import TrainingReport

HOST = Host()


def parsed(page: str) -> Any:
    return lxml.html.document_fromstring(page.removeprefix("<!doctype html>\n"))


def cells(row: Any) -> dict[str, str]:
    return {cell.get("data-is"): cell.text_content().strip() for cell in row.xpath("td[@data-is]")}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training_folder(tmp_path_factory.mktemp("made") / "training")


@pytest.fixture(scope="module")
def evolution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evolution_folder(tmp_path_factory.mktemp("made") / "evolution")


def test_the_page_of_a_training_has_the_numbers_of_its_log(training: Path) -> None:
    shown = parsed(TrainingReport(training, HOST).page())
    log = lines(training / "recipes.jsonl")
    random = [row["value"] for row in lines(training / "baselines" / "random" / "recipes.jsonl")]
    rows = shown.xpath("//table[@id='steps-1']/tbody/tr")
    assert len(rows) == STEPS
    for step, row in enumerate(rows):
        own = [each for each in log if each["step"] == step]
        calls = (step + 1) * RECIPES
        told = cells(row)
        assert told["mean"] == f"{fmean(each['value'] for each in own):.4f}"
        assert told["best"] == f"{max(each['value'] for each in own):.4f}"
        assert told["best_so_far"] == f"{max(each['value'] for each in log[:calls]):.4f}"
        assert told["random"] == f"{max(random[:calls]):.4f}"
        assert int(told["stopped"]) == sum(bool(each["gate"]) for each in own)
        texts = {json.dumps({**each["recipe"], "name": ""}, sort_keys=True) for each in own}
        assert int(told["distinct"]) == len(texts)
    best = max(log, key=lambda each: each["value"])
    first = cells(shown.xpath("//table[@id='best-table-1']/tbody/tr")[0])
    assert (first["value"], first["predicted"]) == (
        f"{best['value']:.4f}", f"{best['predicted']:.4f}"
    )  # fmt: skip
    baselines = {
        row.get("data-baseline"): cells(row) for row in shown.xpath("//tr[@data-baseline]")
    }
    assert baselines["random"] == {"calls": str(STEPS * RECIPES), "best": f"{max(random):.4f}"}
    for kind, name in (("operator", "exact_dedup"), ("source", "pages")):
        (row,) = shown.xpath(f"//table[@data-kind='{kind}']//tr[@data-name='{name}']")
        counted = Counter(each["step"] for each in log if name in _parts(each["recipe"]))
        assert cells(row)["last"] == f"{counted[STEPS - 1] / RECIPES:.1%}"
    effects = {row.get("data-part"): cells(row) for row in shown.xpath("//tr[@data-part]")}
    known = json.loads((training / "training.json").read_bytes())["effects"][TASK]
    assert [*effects] == [part["path"] for part in known]
    assert effects["steps[0]"] == {"effect": "+0.1250", "without": "0.5000"}
    entropies = shown.xpath("//section[@id='entropy']//td[@data-is='entropy']/text()")
    assert entropies == [f"{2 - n / 10:.4f}" for n in range(1, STEPS + 1)]


def _parts(recipe: dict[str, Any]) -> set[str]:
    steps = [*recipe["steps"], *(s for each in recipe["sources"].values() for s in each["steps"])]
    return {*recipe["sources"], *(step["op"] for step in steps)}


def test_a_training_that_goes_on_has_a_page_too(tmp_path: Path) -> None:
    folder = training_folder(tmp_path / "training", finished=False)
    shown = parsed(TrainingReport(folder, HOST).page()).text_content()
    assert "The training is not finished" in shown
    assert "Random recipes to compare with were not scored yet." in shown


def test_the_page_of_an_evolution_has_the_numbers_of_its_state(evolution: Path) -> None:
    shown = parsed(EvolutionReport(evolution, HOST).page())
    rounds = [json.loads(f.read_bytes()) for f in sorted((evolution / "state").glob("round-*"))]
    told = [cells(row) for row in shown.xpath("//table[@id='rounds-table']/tbody/tr")]
    assert [(one["step"], one["reward_calls"]) for one in told] == [
        (f"{one['step']:,}", f"{one['calls']:,}") for one in rounds
    ]
    measured = {m["recipe"]["name"]: m for one in rounds for m in one["measurements"] if m["key"]}
    rows = shown.xpath("//table[@id='measured-table']/tbody/tr")
    of_rounds = [row for row in rows if row.get("data-name") in measured]
    assert len(of_rounds) == len(measured) == len(rows) - 2
    for row in of_rounds:
        one = measured[row.get("data-name")]
        predicted = "" if one["predicted"] is None else f"{one['predicted']:.4f}"
        score = fmean(seed["score"] for seed in one["measured"])
        assert cells(row) == {
            "value": f"{one['value']:.4f}", "predicted": predicted, "score": f"{score:.4f}"
        }  # fmt: skip
    (after,) = shown.xpath("//td[@data-is='after']/text()")
    assert after == f"{rounds[-1]['fidelity']['correlation']:.3f}"
    report = json.loads((evolution / "report.json").read_bytes())
    methods = {row.get("data-method"): cells(row) for row in shown.xpath("//tr[@data-method]")}
    assert methods == {
        one["method"]: {
            "calls": f"{one['calls']:,}", "value": f"{one['value']:.4f}",
            "score": f"{one['score']:.4f}",
        }
        for one in report["methods"]
    }  # fmt: skip
    assert f"lie {report['noise']['deviation']:.4f} apart" in shown.text_content()
    assert len(shown.xpath("//section[@id='measured']//*[local-name()='circle']")) > len(rows)


def test_an_evolution_that_goes_on_has_a_page_too(tmp_path: Path) -> None:
    report = EvolutionReport(evolution_folder(tmp_path / "run", finished=False), HOST)
    assert "It is not finished: this is what is done so far." in report.page()
    assert report.data()["methods"] == []
    assert report.data()["noise"] is None


def test_what_stands_in_the_files_stays_text(training: Path, evolution: Path) -> None:
    for page in (TrainingReport(training, HOST).page(), EvolutionReport(evolution, HOST).page()):
        shown = parsed(page)
        assert not shown.xpath("//script | //img | //iframe | //link | //@style | //@src")
        assert not [name for name in shown.xpath("//@*") if name.attrname.startswith("on")]
        assert "window.attacked = 1" in shown.text_content()
        assert "\u202e" not in shown.text_content()


def test_chef_report_knows_a_folder_by_its_mark(
    training: Path, evolution: Path, tmp_path: Path
) -> None:
    done = chef("report", training, "--html", "page.html", folder=tmp_path)
    assert (done.stdout, done.returncode) == ("page.html\n", 0), done.stderr
    made = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made == TrainingReport(training, HOST).page()
    printed = json.loads(chef("report", evolution, "--json").stdout)["result"]
    assert printed == json.loads((evolution / "report.json").read_bytes())
