"""A third-party package, installed for real: seen, used in workers, refused on a clash."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import chef as run_chef, environment_with

SAMPLE = Path(__file__).parent.parent / "examples" / "plugin"

Chef = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that sees this one's packages and has the sample plugin installed."""
    folder = tmp_path_factory.mktemp("third_party")
    environment_with(folder, shutil.copytree(SAMPLE, folder / "sample"))
    return folder


@pytest.fixture
def chef(environment: Path, tmp_path: Path) -> Chef:
    """Runs `chef` in the environment of the sample plugin."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        python = environment / "bin" / "python"
        return run_chef(*arguments, folder=tmp_path, python=python, **variables)

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    texts = ["a quiet line", "A VERY LOUD LINE", "another quiet line"] * 40
    for part in range(3):
        rows = [json.dumps({"text": f"{text} {part}"}) + "\n" for text in texts]
        (tmp_path / f"part-{part}.jsonl").write_text("".join(rows))
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: loud\nsources:\n  pages:\n    path: part-*.jsonl\n"
        "    steps:\n      - op: shouting_filter\n        max_upper_share: 0.4\n"
    )
    return path


def test_its_operator_and_command_are_there(chef: Chef) -> None:
    shown = chef("ops", "shouting_filter", "--json")
    described = json.loads(shown.stdout)["result"][0]
    assert described["package"] == "datachef-sample"
    assert described["parameters"]["max_upper_share"]["maximum"] == 1
    assert described["reasons"] == ["shouting"]
    assert "hello from the sample plugin" in chef("sample-hello").stdout
    listed = json.loads(chef("plugins", "--json").stdout)["result"]
    assert {plugin["package"] for plugin in listed} == {"datachef-core", "datachef-sample"}


def test_it_is_not_here_where_it_is_not_installed() -> None:
    shown = run_chef("ops", "shouting_filter")
    assert shown.returncode == 1
    assert "no operator 'shouting_filter'" in shown.stderr


def test_its_own_tests_pass(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
         environment / "sample" / "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_it_works_in_worker_processes(chef: Chef, recipe: Path, tmp_path: Path) -> None:
    done = chef("run", str(recipe), "--workers", "2", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["rows"] == 240
    assert result["ledger"][1]["dropped"] == {"shouting": 120}
    manifest = json.loads((tmp_path / "corpus" / "loud" / "manifest.json").read_text())
    assert {"name": "sample", "package": "datachef-sample", "version": "0.3.0"} in manifest[
        "plugins"
    ]


def test_an_edit_of_an_installed_module_is_run(
    chef: Chef, environment: Path, recipe: Path, tmp_path: Path
) -> None:
    def run() -> tuple[int, int]:
        result = json.loads(chef("run", str(recipe), "--json").stdout)["result"]
        return result["rows"], result["partitions_cached"]

    (module,) = environment.glob("lib/python*/site-packages/datachef_sample/__init__.py")
    original = module.read_text()
    assert run() == (240, 0)
    assert run() == (240, 3)
    module.write_text(original.replace("> self.max_upper_share", "> self.max_upper_share + 1"))
    try:
        said = chef("plan", str(recipe)).stdout
        assert run() == (360, 0)
    finally:
        module.write_text(original)
    place = "sources.pages.steps[0] shouting_filter"
    assert f"{place}: code changed (datachef_sample)" in said
    assert run() == (240, 3)


def test_an_upgrade_is_run(chef: Chef, environment: Path, recipe: Path, tmp_path: Path) -> None:
    chef("run", str(recipe))
    (record,) = environment.glob("lib/python*/site-packages/datachef_sample-*.dist-info/RECORD")
    metadata = record.with_name("METADATA")
    before = {path: path.read_text() for path in (record, metadata)}
    metadata.write_text(before[metadata].replace("Version: 0.3.0", "Version: 0.4.0"))
    record.write_text(before[record] + "datachef_sample/words.txt,sha256=abc,3\n")
    try:
        said = chef("plan", str(recipe)).stdout
        again = json.loads(chef("run", str(recipe), "--json").stdout)["result"]
    finally:
        for path, text in before.items():
            path.write_text(text)
    assert "shouting_filter: datachef-sample 0.3.0 → 0.4.0" in said
    assert again["partitions_cached"] == 0


def test_its_recipe_rules_hold(chef: Chef, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("name: loud", "name: secret-plan"))
    checked = chef("check", str(recipe), "--json")
    assert checked.returncode == 2
    (problem,) = json.loads(checked.stdout)["result"]
    assert (problem["code"], problem["path"]) == ("secret_name", "name")


def test_plugins_can_be_restricted(chef: Chef) -> None:
    shown = chef("ops", "shouting_filter", DATACHEF_PLUGINS="engines,filters,sources")
    assert shown.returncode == 1


def test_a_clash_of_names_is_loud(chef: Chef, environment: Path) -> None:
    (module,) = environment.glob("lib/python*/site-packages/datachef_sample/__init__.py")
    original = module.read_text()
    module.write_text(original.replace("shouting_filter", "length_filter"))
    try:
        shown = chef("ops")
    finally:
        module.write_text(original)
    assert shown.returncode == 3
    assert "Traceback" not in shown.stderr
    assert "'length_filter'" in shown.stderr
    assert "datachef-sample" in shown.stderr
    assert "datachef-core (" in shown.stderr


def test_a_broken_plugin_harms_no_other(chef: Chef, environment: Path, recipe: Path) -> None:
    (module,) = environment.glob("lib/python*/site-packages/datachef_sample/__init__.py")
    original = module.read_text()
    module.write_text("import a_package_that_does_not_exist\n")
    try:
        listed = json.loads(chef("plugins", "--json").stdout)["result"]
        checked = chef("check", str(recipe))
    finally:
        module.write_text(original)
    (broken,) = [plugin for plugin in listed if plugin["error"]]
    assert broken["package"] == "datachef-sample"
    assert "a_package_that_does_not_exist" in broken["error"]
    assert checked.returncode == 2
    assert "a_package_that_does_not_exist" in checked.stdout
