"""A bounded queue between two threads that either side can leave."""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter


class Channel[Item]:
    """A first-in-first-out queue of at most `capacity` items, for one producer and one consumer.

    Half-closing: the end of the stream flows down (`close`), "the consumer has left" flows up (`abandon`).
    An item belongs to the channel once `put` has returned True and to the consumer once `get` has returned
    it; what `put` refuses and what `abandon` returns belongs to the caller, so that no item is ever lost.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a channel holds at least one item, not {capacity}")
        self.capacity = capacity
        self.put_seconds = 0.0
        """How long `put` has waited for room, all calls together."""
        self.get_seconds = 0.0
        """How long `get` has waited for an item, all calls together."""
        self._items: deque[Item] = deque()
        self._closed = False
        self._abandoned = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """How many items wait now."""
        return len(self._items)

    def put(self, item: Item) -> bool:
        """Append `item`, waiting while the channel is full. False: no consumer, the item is still yours.

        Raises RuntimeError after `close`.
        """
        with self._changed:
            self._wait_for_room()
            return self._append(item)

    def put_latest(self, item: Item) -> tuple[bool, Item | None]:
        """Append `item` without ever waiting: a full channel gives up its oldest item, for live sources.

        Returns what `put` would, and the item that had to make room (None: there was room), which is yours.
        """
        with self._changed:
            full = len(self._items) >= self.capacity and not self._abandoned
            dropped = self._items.popleft() if full else None
            return self._append(item), dropped

    def get(self) -> Item | None:
        """The oldest item, waiting while there is none. None: the stream has ended, or was abandoned."""
        with self._changed:
            if not self._items and not self._closed and not self._abandoned:
                start = perf_counter()
                self._changed.wait_for(lambda: self._items or self._closed or self._abandoned)
                self.get_seconds += perf_counter() - start
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """The producer's last word: after the items that wait now, `get` returns None. Harmless twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> list[Item]:
        """The consumer leaves: `put` returns False and `get` returns None from now on.

        Returns the items that were not taken, oldest first; they are the caller's. Harmless twice.
        """
        with self._changed:
            self._abandoned = True
            left = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return left

    def _wait_for_room(self) -> None:
        if len(self._items) >= self.capacity and not self._abandoned:
            start = perf_counter()
            self._changed.wait_for(lambda: len(self._items) < self.capacity or self._abandoned)
            self.put_seconds += perf_counter() - start

    def _append(self, item: Item) -> bool:
        if self._closed:
            raise RuntimeError("the channel was closed by its producer")
        if self._abandoned:
            return False
        self._items.append(item)
        self._changed.notify_all()
        return True
