"""What the page has asked for and may ask for again: looks at images, and images that were drawn."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

MOST = 256  #: answers, and drawn images


class Memory:
    """The latest :data:`MOST` answers by their questions."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def keep(self, key: Hashable, value: Any) -> None:
        """Keep an answer; the oldest one goes where there are too many."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def get(self, key: Hashable) -> Any:
        """A kept answer; None where there is none."""
        with self._lock:
            return self._kept.get(key)

    def of(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """A kept answer, or the one that is made now."""
        if (found := self.get(key)) is None:
            found = make()
            self.keep(key, found)
        return found
