"""A bounded queue between two threads, which either side can close."""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter


class Channel[Item]:
    """A first-in-first-out queue of at most `capacity` items, for one producer and one consumer.

    The producer ends the stream with `close`; the consumer stops reading with `abandon`. Each item has one
    owner at any time: the channel after `put` has returned True, the consumer after `get` has returned it.
    Items that `put` refuses or `abandon` returns belong to the caller.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a channel holds at least one item, not {capacity}")
        self.capacity = capacity
        self.put_seconds = 0.0
        """Total time that `put` has waited for room."""
        self.get_seconds = 0.0
        """Total time that `get` has waited for an item."""
        self._items: deque[Item] = deque()
        self._closed = False
        self._abandoned = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """The number of items in the channel."""
        return len(self._items)

    def put(self, item: Item) -> bool:
        """Append `item`; waits while the channel is full. Returns False if the consumer has abandoned the
        channel: the caller keeps the item.

        Raises RuntimeError after `close`.
        """
        with self._changed:
            self._wait_for_room()
            return self._append(item)

    def put_latest(self, item: Item) -> tuple[bool, Item | None]:
        """Append `item` without waiting, for live sources: a full channel drops its oldest item.

        Returns the result of `put`, and the dropped item (None if there was room), which the caller owns.
        """
        with self._changed:
            full = len(self._items) >= self.capacity and not self._abandoned
            dropped = self._items.popleft() if full else None
            return self._append(item), dropped

    def get(self) -> Item | None:
        """The oldest item; waits while there is none. None after the end and after `abandon`."""
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
        """End the stream: after the remaining items, `get` returns None. Further calls have no effect."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> list[Item]:
        """Stop reading: from now on `put` returns False and `get` returns None.

        Returns the items that were not taken, oldest first; the caller owns them. Further calls return [].
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
