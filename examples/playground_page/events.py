"""Server-sent events for every connected page. A slow page misses older events."""

import json
import threading
from contextlib import contextmanager

from runner.web import RequestError

MOST_PAGES = 16
SILENCE = 10.0  # after so many quiet seconds, send a comment to test whether the page is there


class Mailbox:
    """The events that one page has not received yet. Only the newest of each kind is kept.

    A new event replaces an older one of its kind. Therefore publishing never waits for a slow page,
    and a slow page never fills the memory. The state comes first, because the page cannot
    understand the other events without it.
    """

    def __init__(self, events):
        self.waiting = dict(events)  # the text of an event by its kind
        self.changed = threading.Condition()
        self.closed = False

    def put(self, kind, text):
        with self.changed:
            self.waiting[kind] = text
            self.changed.notify()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify()

    def take(self, timeout):
        """Wait for events and return their texts, or [] if none comes within `timeout` seconds."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed, timeout)
            taken, self.waiting = self.waiting, {}
            return [taken[kind] for kind in sorted(taken, key=lambda kind: kind != "state")]


class Hub:
    """Sends events to all pages. A new page first gets the newest event of each kind."""

    def __init__(self):
        self.newest = {}
        self.boxes = []
        self.lock = threading.Lock()

    @property
    def has_listeners(self):
        """Whether any page is connected."""
        return bool(self.boxes)

    def publish(self, kind, content):
        text = f"event: {kind}\ndata: {json.dumps(content, allow_nan=False)}\n\n"
        with self.lock:
            self.newest[kind] = text
            for box in self.boxes:
                box.put(kind, text)

    def forget(self, *kinds):
        """Drop the newest events of these kinds, so that new pages do not get them."""
        with self.lock:
            for kind in kinds:
                self.newest.pop(kind, None)

    def close(self):
        """End all streams."""
        with self.lock:
            for box in self.boxes:
                box.close()

    def stream(self):
        """Return the parts of one page's event stream."""
        if len(self.boxes) >= MOST_PAGES:
            raise RequestError(f"expected at most {MOST_PAGES} pages at once; close one", 503)
        return self._parts()

    def _parts(self):
        with self._subscribed() as box:
            yield "retry: 1000\n\n"  # milliseconds until a page reconnects
            while not box.closed:
                yield "".join(box.take(SILENCE)) or ": still here\n\n"

    @contextmanager
    def _subscribed(self):
        with self.lock:
            box = Mailbox(self.newest)
            self.boxes.append(box)
        try:
            yield box
        finally:
            with self.lock:
                self.boxes.remove(box)
