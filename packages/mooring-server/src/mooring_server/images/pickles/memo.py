"""The memo of a pickle, as far as names need it, in little memory."""

from __future__ import annotations

from array import array
from typing import Any

from mooring_server.images.pickles.source import Stopped

LONGEST = 255
_MOST_TEXT = 32 << 20
_MOST_PLACES = 4_000_000
_MOST_OBJECTS = 100_000


class Memo:
    """Texts are kept as bytes in one array: a vocabulary of a million words is nothing unusual in a pickle.

    What is neither text nor one of the few objects that matter is remembered only as being there.
    """

    def __init__(self, unknown: object) -> None:
        self._unknown = unknown
        self._text = bytearray()
        self._places = array("Q")
        self._objects: dict[int, Any] = {}
        self._sequential = True

    def append(self, value: Any) -> bool:
        """``MEMOIZE``: the next number; see `put`."""
        if not self._sequential:
            raise Stopped("its memo is numbered in two ways")
        return self.put(len(self._places), value)

    def put(self, index: int, value: Any) -> bool:
        """Remember a value under a number; a value that is not wanted takes the place of an older one, too.

        Returns:
            Whether it is remembered.

        Raises:
            Stopped: there are too many.
        """
        count = len(self._places)
        if index > count:
            # Python 2 counts from 1. Other gaps are nobody's who writes pickles.
            self._sequential = False
        if index >= _MOST_PLACES:
            raise Stopped(f"it has more than {_MOST_PLACES} memoised objects")
        if index >= count:
            self._places.extend([0] * (index + 1 - count))
        self._objects.pop(index, None)
        if isinstance(value, str):
            data = value.encode("utf-8", "surrogatepass")
            if len(data) > LONGEST or len(self._text) + len(data) > _MOST_TEXT:
                self._places[index] = 0
                return False
            self._places[index] = len(self._text) << 9 | len(data) << 1 | 1
            self._text += data
            return True
        self._places[index] = 0
        if value is self._unknown or len(self._objects) >= _MOST_OBJECTS:
            return False
        self._objects[index] = value
        return True

    def get(self, index: int) -> Any:
        """What was remembered; the unknown object otherwise."""
        if index in self._objects:
            return self._objects[index]
        place = self._places[index] if index < len(self._places) else 0
        if not place & 1:
            return self._unknown
        start, size = place >> 9, place >> 1 & LONGEST
        return self._text[start : start + size].decode("utf-8", "surrogatepass")
