"""What this process is doing, told to whoever watches that it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# A sign of life that says nothing new is given at most so often.
_PAUSE = 1.0
LOADING = "loading plugins"


class Activity:
    """Tells a listener what is being done, when it changes and from time to time."""

    def __init__(self) -> None:
        self._listener: Callable[[str], None] | None = None
        self._what = ""
        self._told = 0.0
        self._lock = threading.Lock()

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Gives `listener` what is done from now on; None ends it."""
        self._listener = listener

    def begin(self, what: str) -> None:
        """Says what is being done from now on."""
        if self._listener is None:
            return
        with self._lock:
            now = time.monotonic()
            if what == self._what and now - self._told < _PAUSE:
                return
            self._what, self._told = what, now
            self._listener(what)

    def goes_on(self) -> None:
        """What takes long without an end in sight is getting somewhere; from any thread."""
        self.begin(self._what)


ACTIVITY = Activity()
