"""News for every connected page, as server-sent events, of which a slow page misses some."""

import json
import threading
from contextlib import contextmanager

from runner.web import RequestError

MOST_PAGES = 16
SILENCE = 10.0  # seconds, after which a sign of life shows whether a page is still there


class Mailbox:
    """What one page has still to be told: the newest event of each kind, and no more than that.

    Whoever publishes never waits for a page. A page that is slow finds the newest events when it
    is ready for them, and those that they replaced are dropped. The state comes first, because the
    others make no sense without it.
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
        """Wait for events and return their texts; none after `timeout` seconds of silence."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed, timeout)
            taken, self.waiting = self.waiting, {}
            return [taken[kind] for kind in sorted(taken, key=lambda kind: kind != "state")]


class Hub:
    """Publishes events to all pages; a new page gets the newest of each kind first."""

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
        """Let no new page get the newest events of these kinds: they are out of date."""
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
            yield "retry: 1000\n\n"  # milliseconds before a page that lost the server asks again
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
