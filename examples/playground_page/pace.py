"""How many steps training takes per second, and how much of its time the page may use."""

import time

LATEST = 0.25  # the longest delay in seconds that later steps make up for
CREDIT = 3.0  # seconds of credit, so that a new training can show much at the beginning


class Turn:
    """Decides when to do extra work, so that it takes only a small share of a thread's time.

    With a share of 2 %, work that took 2 milliseconds may be done again when the thread has run for
    100 milliseconds more. Only processor time counts, because waiting costs nothing and other
    programs may hold the thread up.
    """

    def __init__(self, a_second, share):
        self.pause, self.share = 1 / a_second, share  # at most `a_second` turns a second
        self.next = self.paid_at = 0.0
        self.credit = CREDIT

    def is_due(self, waits=False):
        """Whether to do the work now. A thread that `waits` between its steps has time for it."""
        now = time.perf_counter()
        if now < self.next:
            return False
        if waits or time.thread_time() >= self.paid_at:
            return True
        self.next = now + 0.01  # not each time, because reading the thread's time is slow
        return False

    def take(self, work):
        """Do the work now."""
        self.next = time.perf_counter() + self.pause
        started = time.thread_time()
        work()
        price = (time.thread_time() - started) / self.share
        paid_in_advance = min(self.credit, price)
        self.credit -= paid_in_advance
        self.paid_at = max(self.paid_at, started) + price - paid_in_advance


class Pace:
    """Counts steps per second, and averages the loss since the last frame."""

    def __init__(self):
        self.speed = 0.0  # steps a second, measured over the last half second or more
        self.due = 0.0  # when the next step is due, if the speed is limited
        self.losses = []
        self.start()

    def start(self):
        """Restart the measurement after a time that does not count."""
        self.since, self.steps = time.perf_counter(), 0

    def count(self, loss):
        """Count one step and its loss."""
        self.steps += 1
        if len(self.losses) < 10_000:
            self.losses.append(loss)
        elapsed = time.perf_counter() - self.since
        if elapsed > 0.5:
            self.speed = round(self.steps / elapsed, 1)
            self.start()

    def plan(self, speed):
        """Set when the next step is due at `speed` steps per second.

        If steps or the page's pictures were slow, the next steps make up for a little of the delay.
        """
        self.due = max(self.due + 1 / speed, time.perf_counter() - LATEST)

    def is_on_time(self, speed):
        """Whether a thread that has just taken a step will wait for the next one."""
        return self.due + 1 / speed > time.perf_counter()

    def resume(self):
        """Restart measuring and planning after a pause."""
        self.start()
        self.due = self.since

    def take_loss(self):
        """Return the mean loss of the steps since the last call; None if there were none."""
        losses, self.losses = self.losses, []
        return sum(losses) / len(losses) if losses else None
