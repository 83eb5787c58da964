"""`chef doctor`: is this installation fit to work?"""

from __future__ import annotations

import typer

from datachef.core.cli.state import AsJson, get_host, print_json
from datachef.core.distribution import NAME, extra, install_command

# What each extra brings, by the module that shows that it is there.
EXTRAS = {
    "hf": "datasets",
    "fasttext": "fasttext",
    "html": "trafilatura",
    "code": "tree_sitter",
    "warc": "fastwarc",
    "models": "gguf",
    "kenlm": "kenlm",
    "datatrove": "datatrove",
    "local": "xllamacpp",
    "train": "trl",
    "vllm": "vllm",
    "ray": "ray",
    "dask": "distributed",
    "s3": "obstore",
    "reward": "lightgbm",
    "evaluate": "lm_eval",
    "policy": "optuna",
}


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Check versions, plugins, extras, cores, the cache, and the isolation of code that is run;
    exit code 1 on trouble."""
    findings = _findings()
    if as_json:
        print_json(findings)
    else:
        # No table, which would break long commands into lines that cannot be copied.
        signs = {"ok": "ok", "absent": "-", "bad": "!!"}
        width = max(len(finding["what"]) for finding in findings)
        for finding in findings:
            what = finding["what"].ljust(width)
            print(f"{signs[finding['state']]:2}  {what}  {finding['found']}")
    if any(finding["state"] == "bad" for finding in findings):
        raise typer.Exit(1)


def _findings() -> list[dict[str, str]]:
    import importlib.util
    import os
    import platform
    import shutil
    from importlib.metadata import version

    from datachef.core.cli.display import size
    from datachef.core.system.confinement import ALL, NEEDED, available_layers
    from datachef.core.system.paths import default_cache

    found: list[dict[str, str]] = []

    def note(state: str, what: str, text: str) -> None:
        found.append({"state": state, "what": what, "found": text})

    note("ok", "python", platform.python_version())
    for package in (NAME, "polars", "pydantic", "pluggy"):
        note("ok", package, version(package))
    host = get_host()
    host.examine()
    note("ok", "operators", f"{len(host.vocabulary)}, fingerprint {host.vocabulary.fingerprint}")
    for plugin in host.broken:
        note("bad", f"plugin {plugin.name}", f"{plugin.package}: {plugin.error}")
    for name, module in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        text = f"{module} is there" if there else install_command(extra(name))
        note("ok" if there else "absent", f"extra {name}", text)
    note("ok", "cores", str(os.cpu_count()))
    here = available_layers()
    for layer, what in ALL.items():
        text = (
            what if layer in here else "none here" + " (--allow-code needs it)" * (layer in NEEDED)
        )
        note("ok" if layer in here else "absent", f"isolation: {layer}", text)
    cache = default_cache()
    parent = next(folder for folder in (cache, *cache.parents) if folder.exists())
    writable = parent.is_dir() and os.access(parent, os.W_OK)
    free = size(shutil.disk_usage(parent).free)
    note(
        "ok" if writable else "bad",
        "cache",
        f"{cache}, {free} free" if writable else f"{cache} cannot be written",
    )
    return found
