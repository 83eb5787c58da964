"""A corpus as a dataset on the Hugging Face Hub: one commit puts it in place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, RunError, UnavailableError, optional_package
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.run.destination import FolderDestination
from datachef.core.run.plan import Plan
from datachef.core.run.stage import key_of
from datachef.core.system.atomic import replacing, scratch_folder
from datachef.core.system.network import Network, guard_hub, places
from datachef.core.system.outputs import refuse_foreign
from datachef.core.system.ownership import CARD, CORPUS, MANIFEST, Mark, free_name, mark_in
from datachef.core.system.paths import content_checksum

_URL = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")
# What the Hub puts into every dataset.
_OF_THE_HUB = {".gitattributes"}
_LOGIN = "log in (hf auth login), or set HF_TOKEN to a token that may write there"


def is_dataset(url: str) -> bool:
    """Whether a URL names a dataset on the Hub. Raises `DatachefError` for one that names another
    place there."""
    if url.startswith("hf://") and not _URL.fullmatch(url):
        raise DatachefError(f"{url} names no dataset", "hf://datasets/OWNER/NAME")
    return url.startswith("hf://")


class HubDestination(FolderDestination):
    """A dataset of the Hub, private where it is new.

    The corpus is made in the cache of this machine, where it stays, and then sent. One commit adds
    what is new and deletes what the old manifest named and the new one does not; files of others
    stay. The Hub refuses it where another commit came in between.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self.url = url.rstrip("/")
        super().__init__(cache / "outputs" / key_of(self.url))
        self._cache = cache
        self._dataset = self.url.removeprefix("hf://datasets/")
        self._commit: str | None = None
        self._names: set[str] = set()
        self._ours = Mark(CORPUS)
        self._edited = b""

    @cached_property
    def _hub(self) -> Any:
        """The client of the Hub, which the user opened by naming a place there."""
        hub = optional_package("huggingface_hub", extra("hf"), "a dataset on the Hub")
        endpoint = os.environ.get("HF_ENDPOINT", "")
        named = [urlsplit(endpoint).netloc] if endpoint else []
        guard_hub(Network.of_environment().and_also(places(["huggingface.co", *named])))
        return hub.HfApi(endpoint=endpoint or None)

    def refuse(self, checked: CheckedRecipe, plan: Plan, cache: Path) -> None:
        from huggingface_hub.errors import RepositoryNotFoundError

        with _told(self.url):
            try:
                found = self._hub.dataset_info(self._dataset)
            except RepositoryNotFoundError:
                self._commit, self._names = None, set()
                return
            self._commit = found.sha
            self._names = {file.rfilename for file in found.siblings or ()} - _OF_THE_HUB
            mark = mark_in(MANIFEST, self._content(MANIFEST))
            card = self._content(CARD)
        if mark is None:
            refuse_foreign(self.url, sorted(self._names), CORPUS)
        self._ours = mark or Mark(CORPUS)
        facts = self._ours.files.get(CARD) or {}
        unchanged = content_checksum(card) == facts.get("checksum")
        self._edited = b"" if unchanged else card

    @contextmanager
    def replacing(self) -> Iterator[Path]:
        with replacing(self.folder) as staging:
            yield staging
            with _told(self.url):
                self._send(staging)

    def _content(self, name: str) -> bytes:
        if name not in self._names:
            return b""
        with scratch_folder(self._cache, "hub") as folder:
            file = self._hub.hf_hub_download(
                self._dataset, name, repo_type="dataset", revision=self._commit, local_dir=folder
            )
            return Path(file).read_bytes()

    def _send(self, staging: Path) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        files = {
            path.relative_to(staging).as_posix(): path
            for path in sorted(staging.rglob("*"))
            if path.is_file()
        }
        for name in sorted(files.keys() & self._names):
            if not self._ours.names(name):
                raise RunError(
                    f"{self.url}/{name} is in the way: it was not written by datachef",
                    "move it away, or choose another output",
                )
        made: list[Any] = [CommitOperationAdd(name, path) for name, path in files.items()]
        if self._edited:  # somebody made the card his own
            free = free_name(CARD, self._names.__contains__)
            made.append(CommitOperationAdd(free, self._edited))
        old = self._names & self._ours.files.keys()
        made += [CommitOperationDelete(name) for name in sorted(old - files.keys())]
        if self._commit is None:
            self._hub.create_repo(self._dataset, repo_type="dataset", private=True)
        self._hub.create_commit(
            self._dataset,
            made,
            commit_message="A corpus made by datachef",
            repo_type="dataset",
            parent_commit=self._commit,
        )


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What the client of the Hub raises, in words for people."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise RunError(f"{url}: access is denied", _LOGIN) from error
        if status == 412:
            raise RunError(f"{url} was written by somebody else meanwhile", "run again") from error
        raise _unreached(url, error) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # of a file of this machine
        raise _unreached(url, error) from error


def _unreached(url: str, error: Exception) -> UnavailableError:
    said = str(error).partition("\n")[0]
    return UnavailableError(f"{url}: {said}", "what is done stays done: run again")
