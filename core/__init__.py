"""The public interface of datachef: what plugins implement, and what programs call.

All names are loaded on first use, so that importing this package loads nothing else. What is listed
here, `datachef.core.testing`, the hooks and the `chef` command follow the deprecation policy of
`docs/stability.md`; every other module is private and may change in any release.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from datachef.core.distribution import version

        return version()
    return _load(name)
