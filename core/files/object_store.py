"""Object stores (S3, Google Cloud Storage, Azure): who connects to them, and as whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datachef.core.distribution import extra, install_command
from datachef.core.errors import DatachefError, RunError, UnavailableError, optional_package
from datachef.core.system.paths import expanded

# The protocols of URLs, and how the library calls them.
PROTOCOLS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "abfs", "abfss": "abfss",
}  # fmt: skip
# A request is tried again for this long: a server that is started anew is there by then.
PATIENCE = timedelta(minutes=3)
# The first request of a command is not: rather is an address that is wrong told at once.
IMPATIENCE = timedelta(seconds=5)
_REQUEST = timedelta(minutes=5)
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or the service account of the machine",
}
_SAID_BY = ("AWS_", "AZURE_", "GOOGLE_")
_OF_AZURE = "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"


def store_kind(url: str) -> str:
    """How the library calls the protocol of a URL; empty where it is none of an object store."""
    return PROTOCOLS.get(url.partition("://")[0], "")


def library(url: str) -> Any:
    """The library that speaks to object stores. Raises `MissingPackageError` where it is not
    installed, and `DatachefError` for a URL of something else."""
    protocol, _, place = url.partition("://")
    if not store_kind(url) or not place.strip("/"):
        raise DatachefError(f"{url} is no place in an object store", known_places())
    return optional_package("obstore", extra("s3"), f"{protocol}://")


def known_places() -> str:
    """What results can be written to, in words."""
    names = ", ".join(f"{protocol}://" for protocol in PROTOCOLS)
    missing = "" if find_spec("obstore") else f" (after {install_command(extra('s3'))})"
    hub = "an output may also be hf://datasets/OWNER/NAME"
    return f"name a folder, or a bucket with a name in it: {names}{missing}; {hub}"


def connected(url: str, patience: timedelta = PATIENCE) -> Any:
    """What the library reads and writes with below a URL.

    Credentials come from the environment, or from where the tools of AWS keep profiles.
    """
    library(url)
    kind, place = store_kind(url), url.partition("://")[2]
    from obstore.store import from_url

    with told(url):
        return from_url(f"{kind}://{place}", **_options(kind, patience))


def filesystem(url: str) -> Any:
    """The filesystem of fsspec that a URL of an object store leads to."""
    library(url)
    said = ((name, value) for name, value in os.environ.items() if name.startswith(_SAID_BY))
    return _filesystem(store_kind(url), tuple(sorted(said)))


@lru_cache(maxsize=8)
def _filesystem(kind: str, environment: tuple[tuple[str, str], ...]) -> Any:
    """One for many files, which share its connections, as long as the environment is the same."""
    from obstore.fsspec import FsspecStore

    made: Any = FsspecStore
    return made(kind, skip_instance_cache=True, **_options(kind, PATIENCE))


def _options(kind: str, patience: timedelta) -> dict[str, Any]:
    named = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")]
    said = [os.environ.get(f"{begin}ALLOW_HTTP", "").lower() == "true" for begin in _SAID_BY]
    options: dict[str, Any] = {
        "client_options": {
            "allow_http": any([*said, *(address.startswith("http://") for address in named)]),
            "timeout": _REQUEST,
        },
        "retry_config": {"retry_timeout": patience, "max_retries": 30},
    }
    if kind == "s3" and _has_profiles() and "AWS_ACCESS_KEY_ID" not in os.environ:
        boto3 = optional_package("boto3", "boto3", "credentials of an AWS profile")
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider(boto3.Session())
    return options


def _has_profiles() -> bool:
    """Whether the tools of AWS were told on this machine who its user is."""
    if os.environ.get("AWS_PROFILE"):
        return True
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    kept: Path = expanded(named or "~/.aws/credentials")
    return kept.is_file() and find_spec("boto3") is not None


@contextmanager
def told(url: str) -> Iterator[None]:
    """What the library raises, in words for people. `FileNotFoundError` and `FileExistsError` stay,
    the latter also where another version of a file is there than was named."""
    from obstore import exceptions

    credentials = credentials_for(url)
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(first_line(error).partition(": Error performing")[0]) from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise FileExistsError(first_line(error)) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise RunError(f"{url}: access is denied: {first_line(error)}", credentials) from error
    except exceptions.BaseError as error:
        again = "check the address; what is done stays done: run again"
        raise UnavailableError(f"{url}: {first_line(error)}", f"{again}; {credentials}") from error


def credentials_for(url: str) -> str:
    """Where the credentials for a URL come from, as a hint."""
    return f"credentials come from the environment: {_CREDENTIALS.get(store_kind(url), _OF_AZURE)}"


def first_line(error: BaseException) -> str:
    """What an error of the library says, without the details for its authors."""
    return str(error).partition("\n")[0].strip()
