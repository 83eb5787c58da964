"""What lies where a command writes, and was not written by it, is there afterwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from datachef.core import DatachefError, Host, RunError, run_recipe
from datachef.core.system.atomic import beside, clear_leftovers, replacing
from datachef.core.system.lock import locked
from datachef.core.system.outputs import OutputFolder, lies_in, refuse_places, write_file
from datachef.core.system.ownership import MARK

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.fixture
def run(tmp_path: Path, host: Host) -> Run:
    """Runs a recipe of one row into a folder, `out` by default; `text` is the row."""

    def into(output: Path | None = None, text: str = "words", **changes: object) -> Path:
        (tmp_path / "rows.jsonl").write_text(json.dumps({"text": text}) + "\n")
        recipe = tmp_path / "recipe.yaml"
        settings = {"name": "one", "sources": {"rows": {"path": "rows.jsonl"}}} | changes
        recipe.write_text(json.dumps(settings))
        arguments = {"host": host, "engine": "inline", "cache": tmp_path / "cache"}
        return run_recipe(recipe, output or tmp_path / "out", **arguments).folder

    return into


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class TestCorpus:
    def test_additions_of_others_survive(self, run: Run, tmp_path: Path) -> None:
        out = run()
        ours = names(out)
        (out / ".git" / "objects").mkdir(parents=True)
        (out / ".git" / "HEAD").write_text("ref")
        (out / "notes.md").write_text("mine")
        (out / "empty").mkdir()
        (out / "link").symlink_to(tmp_path / "rows.jsonl")
        run(text="others")
        added = [".git", ".git/HEAD", ".git/objects", "empty", "link", "notes.md"]
        assert names(out) == sorted([*ours, *added])
        assert (out / "notes.md").read_text() == "mine"
        assert (out / "link").readlink() == tmp_path / "rows.jsonl"
        assert [path.name for path in tmp_path.glob(".*")] == []

    def test_files_of_ours_that_are_no_more_go(self, run: Run) -> None:
        out = run(sources={"rows": {"path": "rows.jsonl", "steps": [
            {"op": "length_filter", "min_chars": 2}]}}, text="words")  # fmt: skip
        (out / "rejects").mkdir()
        (out / "rejects" / "rejects.parquet").write_bytes(b"of an earlier run")
        (out / "rejects" / "why.md").write_text("mine")
        run()
        assert names(out / "rejects") == ["why.md"]

    def test_an_edited_card_is_kept(self, run: Run) -> None:
        out = run()
        (out / "README.md").write_text("My corpus")
        run(text="other")
        assert (out / "README.md.1").read_text() == "My corpus"
        assert "datachef" in (out / "README.md").read_text()
        run(text="another")
        assert not (out / "README.md.2").exists()

    def test_what_file_managers_leave_among_the_data_is_kept(self, run: Run) -> None:
        out = run()
        (out / "data" / ".DS_Store").write_text("icons")
        (out / "data" / ".ipynb_checkpoints").mkdir()
        run(text="other")
        assert names(out / "data") == [
            ".DS_Store", ".ipynb_checkpoints", "train-00000-of-00001.parquet",
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["data/train-extra.parquet", "data/notes.txt", "data"])
    def test_what_would_seem_to_be_data_is_refused(
        self, run: Run, tmp_path: Path, name: str
    ) -> None:
        out = run()
        if name == "data":
            (out / "data").rename(tmp_path / "elsewhere")
            (out / "data").symlink_to(tmp_path / "elsewhere")
        else:
            (out / name).write_text("mine")
        before = names(out)
        with pytest.raises(RunError, match=f"out/{name} is not part of this corpus"):
            run(text="other")
        assert names(out) == before

    @pytest.mark.parametrize(
        "content",
        ['["datachef"]', '"datachef"', '{"datachef": 1}', '{"datachef": "1", "outputs": "x"}',
         '{"datachef": "1", "outputs": [{"file": "../rows.jsonl"}]}', "{", "null"],
    )  # fmt: skip
    def test_what_is_no_manifest_is_no_mark(self, run: Run, tmp_path: Path, content: str) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "manifest.json").write_text(content)
        with pytest.raises(RunError, match="exists and is not a corpus of datachef"):
            run()
        assert names(out) == ["manifest.json"]

    def test_a_kill_after_the_swap_loses_nothing(self, run: Run) -> None:
        out = run()
        (out / "notes.md").write_text("mine")
        old = beside(out, "partial")
        out.rename(old)
        clear_leftovers(out)  # as if the new one had never come
        assert (out / "notes.md").read_text() == "mine"
        run(text="other")
        shutil.copytree(out, old)
        (old / "later.md").write_text("mine")
        run(text="another")
        assert (out / "later.md").read_text() == "mine"
        assert (out / "notes.md").read_text() == "mine"
        assert not old.exists()

    def test_a_failed_run_touches_no_folder_of_that_name(self, run: Run, tmp_path: Path) -> None:
        kept = tmp_path / "out.failed"
        kept.mkdir()
        (kept / "ledger.json").write_text("mine")
        with pytest.raises(RunError, match="the corpus is empty") as refused:
            run(steps=[{"op": "length_filter", "min_chars": 100}])
        assert "were not kept" in refused.value.hint
        run()
        assert (kept / "ledger.json").read_text() == "mine"

    def test_a_full_disk_does_not_hide_why_a_run_failed(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr("datachef.core.run.destination.FolderDestination.keep_failed", full)
        with pytest.raises(RunError, match="the corpus is empty") as refused:
            run(steps=[{"op": "length_filter", "min_chars": 100}])
        assert "were not kept: cannot read or write: no space is left" in refused.value.hint

    def test_what_a_failed_run_left_goes_with_the_next(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="the corpus is empty"):
            run(steps=[{"op": "length_filter", "min_chars": 100}])
        kept = tmp_path / "out.failed"
        assert names(kept) == [MARK, "ledger.json", "rejects.parquet"]
        (kept / "looked.md").write_text("mine")
        run()
        assert names(kept) == ["looked.md"]


class TestPlaces:
    def test_an_input_is_not_replaced(self, run: Run, tmp_path: Path) -> None:
        corpus = run()
        path = f"{corpus}/data/*.parquet"
        for output in (corpus, corpus / ".." / "out", tmp_path / "link"):
            if output.name == "link":
                output.symlink_to(corpus)
            with pytest.raises(RunError, match=r"the input .* would lie one in the other"):
                run(output, sources={"again": {"path": path}})
        assert (corpus / "data").is_dir()

    @pytest.mark.parametrize("inside", ["", "data/inside"])
    def test_a_dataset_that_is_read_is_not_replaced(self, run: Run, inside: str) -> None:
        pytest.importorskip("datasets")
        corpus = run()
        before = names(corpus)
        with pytest.raises(RunError, match=r"the input .*out would lie one in the other"):
            run(corpus / inside, sources={"again": {"hf": str(corpus)}})
        assert names(corpus) == before

    def test_what_a_step_reads_is_not_replaced(self, run: Run, tmp_path: Path) -> None:
        corpus = run()
        (tmp_path / "task.yaml").write_text(
            json.dumps(
                {
                    "name": "asked",
                    "benchmark": {
                        "path": "out/data/train-00000-of-00001.parquet",
                        "prompt": "text",
                        "answer": "source",
                    },
                    "metric": "exact_match",
                }
            )
        )
        with pytest.raises(RunError, match=r"the input .*parquet would lie one in the other"):
            run(task="task.yaml", text="other")
        assert (corpus / "data").is_dir()

    @pytest.mark.parametrize("form", ["link", "chain", "dangling", "slashes"])
    def test_a_link_is_its_target(self, run: Run, tmp_path: Path, form: str) -> None:
        target, link = tmp_path / "disk" / "target", tmp_path / "out"
        target.parent.mkdir()
        if form != "dangling":
            run(target)
        if form == "chain":
            (tmp_path / "middle").symlink_to(target)
        link.symlink_to(tmp_path / "middle" if form == "chain" else target)
        run(Path(f"{link}//") if form == "slashes" else link, text="other")
        assert link.is_symlink()
        assert (target / "manifest.json").exists()
        assert not (target / "data").is_symlink()

    def test_links_in_a_circle_are_told(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "out").symlink_to(tmp_path / "other")
        (tmp_path / "other").symlink_to(tmp_path / "out")
        with pytest.raises(RunError, match="its links lead in a circle"):
            run()

    def test_places_that_are_nobodys_output(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "homes" / "me"
        (home / "work").mkdir(parents=True)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(home / "work")
        for folder, said in ((Path("/"), "is the root"), (home, "is your home"),
                             (home.parent, "holds your home")):  # fmt: skip
            with pytest.raises(RunError, match=said):
                refuse_places(folder, [])
        refuse_places(Path.cwd(), [])
        with pytest.raises(RunError, match="is or holds the working folder"):
            refuse_places(Path(), [], replaced=True)
        with pytest.raises(RunError, match="mount point"):
            refuse_places(Path("/proc"), [], replaced=True)
        refuse_places(home / "work" / "out", [("the cache", home / "cache")], replaced=True)

    def test_one_folder_by_two_names(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path / "a")
        assert lies_in(tmp_path / "link" / "b" / "new", tmp_path / "a")
        assert not lies_in(tmp_path / "a", tmp_path / "link" / "b")
        assert not lies_in(tmp_path / "ab", tmp_path / "a")


class TestOutputFolder:
    def test_only_what_the_mark_names_is_removed(self, tmp_path: Path) -> None:
        output = OutputFolder.open(tmp_path / "out", "training")
        with output.making("checkpoint-1") as staging:
            (staging / "deep").mkdir()
            (staging / "deep" / "weights").write_text("1")
        (output.path / "checkpoint-1" / "notes").write_text("mine")
        (output.path / "checkpoint-2").mkdir()
        output.remove("checkpoint-1")
        output.remove("checkpoint-2")
        assert names(output.path) == [MARK, "checkpoint-1", "checkpoint-1/notes", "checkpoint-2"]
        with (
            pytest.raises(RunError, match="checkpoint-2 is in the way"),
            output.making("checkpoint-2") as staging,
        ):
            (staging / "weights").write_text("2")
        assert names(output.path / "checkpoint-2") == []

    def test_no_link_leads_to_what_is_removed_or_written(self, tmp_path: Path) -> None:
        output = OutputFolder.open(tmp_path / "out", "training")
        with output.making("checkpoint-1") as staging:
            (staging / "weights").write_text("1")
        (output.path / "checkpoint-1").rename(tmp_path / "precious")
        (output.path / "checkpoint-1").symlink_to(tmp_path / "precious")
        with pytest.raises(RunError, match="in the way"):
            output.write("checkpoint-1/weights", b"2")
        output.remove("checkpoint-1")
        assert (tmp_path / "precious" / "weights").read_text() == "1"

    def test_an_edited_file_is_kept_beside(self, tmp_path: Path) -> None:
        output = OutputFolder.open(tmp_path / "out", "evolution")
        for said in (b"one", b"two"):
            output.write("report.md", said, edited=True)
        (output.path / "report.md").write_text("mine")
        output.write("report.md", b"three", edited=True)
        assert (output.path / "report.md.1").read_text() == "mine"
        assert (output.path / "report.md").read_text() == "three"
        assert names(output.path) == [MARK, "report.md", "report.md.1"]

    @pytest.mark.parametrize(
        "mark", ["", "{}", '{"datachef": "1", "kind": "training", "files": {"../x": null}}',
                 '{"datachef": "1", "kind": "training", "files": {"/etc/x": null}}',
                 '{"datachef": "1", "kind": "evolution", "files": {}}'],
    )  # fmt: skip
    def test_a_mark_that_is_none_of_this_kind_is_refused(self, tmp_path: Path, mark: str) -> None:
        (tmp_path / MARK).write_text(mark)
        with pytest.raises(RunError, match="training"):
            OutputFolder.open(tmp_path, "training")
        assert (tmp_path / MARK).read_text() == mark

    def test_a_folder_whose_mark_was_half_written_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / f".{MARK}.{'0' * 32}.tmp").write_text("{")
        OutputFolder.open(tmp_path, "training")
        assert (tmp_path / MARK).exists()

    def test_damage_is_named(self, tmp_path: Path) -> None:
        output = OutputFolder.open(tmp_path / "out", "training")
        with output.making("model") as staging:
            (staging / "weights").write_text("12")
        assert output.damage("model") == ""
        (output.path / "model" / "weights").write_text("21")
        assert output.damage("model") == "model/weights"
        (output.path / "model" / "weights").unlink()
        assert output.damage("model") == "model/weights"
        assert output.damage("other") == "other"


class TestFiles:
    def test_a_file_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("mine")
        with pytest.raises(DatachefError, match="exists and is not a proxy of datachef"):
            write_file(path, b"ours", "proxy", lambda raw: raw == b"ours")
        path.write_text("ours")
        write_file(path, b"ours, too", "proxy", lambda raw: raw == b"ours")
        assert path.read_text() == "ours, too"

    def test_links_stay_and_pipes_take_what_they_are_given(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "target")
        write_file(link, b"ours", "schema", lambda raw: True)
        assert link.is_symlink()
        assert (tmp_path / "target").read_text() == "ours"
        os.mkfifo(tmp_path / "pipe")
        reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)  # noqa: S607
        write_file(tmp_path / "pipe", b"ours", "schema", lambda raw: False)
        assert reader.communicate()[0] == b"ours"
        assert (tmp_path / "pipe").is_fifo()
        device = Path("/dev/null").stat()
        write_file(Path("/dev/null"), b"ours", "schema", lambda raw: False)
        assert Path("/dev/null").stat().st_rdev == device.st_rdev


def test_half_written_files_of_others_stay(tmp_path: Path) -> None:
    left = tmp_path / "out" / f".upload.{'0' * 32}.tmp"
    left.parent.mkdir()
    left.write_text("theirs")
    os.utime(left, (0, 0))
    with locked(tmp_path / "out"):
        assert left.read_text() == "theirs"


def test_a_folder_without_a_mark_is_replaced_whole(tmp_path: Path) -> None:
    """Such as a model in the cache: all of it was written by us."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("old")
    with replacing(tmp_path / "model") as staging:
        (staging / "other").write_text("new")
    clear_leftovers(tmp_path / "model")
    assert names(tmp_path) == ["model", "model/other"]
