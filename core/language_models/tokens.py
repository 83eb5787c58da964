"""How many tokens a row has, and its first or last ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import orjson
import polars as pl

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.core.language_models.hub_files import MODEL_ID, hub_snapshot
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.conversations import TEMPLATE_COLUMNS, turns_of

BYTES_PER_TOKEN = 4
# Of the files of a checkpoint, what its tokenizer is made of.
_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "chat_template.json", "config.json", "vocab.json", "vocab.txt",
    "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer on this machine: a `tokenizer.json`, or a folder with all its files.

    `template` says that it brings a chat template.
    """

    path: str
    template: bool

    def files(self) -> list[str]:
        """The files that its counts depend on."""
        if os.path.isfile(self.path):  # noqa: PTH113 - a plain string
            return [self.path]
        return [str(path) for name in _FILES if (path := Path(self.path) / name).is_file()]


def find_tokenizer(name: str, place: Path) -> TokenizerFiles:
    """The tokenizer that a recipe names: a `tokenizer.json`, a folder, or an id on the Hub.

    `place` is what the name stands for as a path. What is on the Hub is fetched into the cache of
    huggingface_hub. Raises `DatachefError` where there is none.
    """
    if os.path.isfile(place):  # noqa: PTH113 - a name that is too long is no file either
        beside = place.name == "tokenizer.json" and (place.parent / "tokenizer_config.json")
        return _in_folder(place.parent) if beside and beside.is_file() else _alone(place)
    if os.path.isdir(place):  # noqa: PTH112 - the same
        return _in_folder(place)
    if MODEL_ID.fullmatch(name):
        return _in_folder(hub_snapshot(name, _FILES, "tokenizer"))
    raise DatachefError(f"no tokenizer {name[:80]!r}", "a tokenizer.json, a folder, or a Hub id")


def _alone(file: Path) -> TokenizerFiles:
    return TokenizerFiles(str(file), template=False)


def _in_folder(folder: Path) -> TokenizerFiles:
    if not any((folder / name).is_file() for name in _FILES if "token" in name or "piece" in name):
        raise DatachefError(f"{folder} holds no tokenizer", "it has no tokenizer.json")
    template = (folder / "chat_template.jinja").is_file() or (
        folder / "chat_template.json"
    ).is_file()
    try:
        settings = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        settings = {}
    return TokenizerFiles(str(folder), template or bool(settings.get("chat_template")))


class TokenCounter:
    """Counts with a tokenizer, or takes one token per four bytes of text where none is given.

    With `chat` a conversation has the tokens of what the tokenizer's chat template makes of it, as
    it is trained on; one that the template refuses has those of its plain text.
    """

    def __init__(self, tokenizer: str | None = None, chat: bool = False) -> None:
        self._path = tokenizer
        self._chat = chat
        self.identity = (tokenizer, chat)

    def count(self, text: pl.Series) -> pl.Series:
        """Tokens of each text."""
        if self._path is None:
            return (text.str.len_bytes().cast(pl.Int64) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
        encoded = self._tokenizer.encode_batch_fast(text.to_list(), add_special_tokens=False)
        return pl.Series([len(item) for item in encoded], dtype=pl.Int64)

    def truncated(self, text: str, most: int, keep: Literal["start", "end"] = "start") -> str:
        """The first or the last `most` tokens of a text; all of it where it has no more."""
        if self._path is None:
            size, raw = most * BYTES_PER_TOKEN, text.encode()
            if len(raw) <= size:
                return text
            return (raw[:size] if keep == "start" else raw[-size:]).decode(errors="ignore")
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= most:
            return text
        return text[: offsets[most - 1][1]] if keep == "start" else text[offsets[-most][0] :]

    def count_rows(self, rows: pl.DataFrame) -> pl.Series:
        """Tokens of each row, of its conversation where it is one."""
        if self._path is None or not self._chat or "messages" not in rows.columns:
            return self.count(rows["text"])
        return self.count(pl.Series(list(self._rendered(rows)), dtype=pl.String))

    def _rendered(self, rows: pl.DataFrame) -> Iterator[str]:
        needed = [name for name in ("text", "messages", *TEMPLATE_COLUMNS) if name in rows.columns]
        for row in rows.select(needed).iter_rows(named=True):
            yield row["text"] if row["messages"] is None else self._as_chat(row)

    def _as_chat(self, row: Mapping[str, Any]) -> str:
        tools, options = (orjson.loads(row.get(name) or "null") for name in TEMPLATE_COLUMNS)
        try:
            return str(
                self._pretrained.apply_chat_template(
                    turns_of(row["messages"]), tools=tools, tokenize=False, **(options or {})
                )
            )
        except Exception as error:  # noqa: BLE001 - a template raises what its author likes
            raise_environment_failure(error)
            return str(row["text"])

    @cached_property
    def _tokenizer(self) -> Any:
        path = Path(str(self._path))
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            tokenizer = self._pretrained.backend_tokenizer
        else:
            try:
                from tokenizers import Tokenizer
            except ImportError as error:
                raise MissingPackageError("tokenizers", extra("hf"), "counting tokens") from error
            try:
                tokenizer = Tokenizer.from_file(str(file))
            except Exception as error:
                message = f"{file} is no tokenizer: {error}"
                raise DatachefError(message, "name a tokenizer.json") from error
        # A file may have been saved while it cut and padded texts; here every token counts.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _pretrained(self) -> Any:
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise MissingPackageError("transformers", extra("hf"), "a chat template") from error
        return AutoTokenizer.from_pretrained(str(self._path), local_files_only=True)
