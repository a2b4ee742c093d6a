"""What the peers written in Python have in common: the words of ../program.rs, and counting.

A program says `ready` when it is warm, waits for `go`, says `done` when all tasks have run (or are
added), and answers `stop` with what it counted.
"""

import asyncio
import json
import os
import sys
import threading
import time
from urllib.parse import urlparse

TEXT = "x" * 60


def arguments(number, at=0):
    """About 100 bytes; `at` is the moment from which the start is late, in microseconds."""
    return {"number": number, "at": at, "text": TEXT}


def now_us():
    return time.time_ns() // 1000


def say(word):
    print(word, flush=True)


def wait_for_go():
    """Says that all is warm; afterwards a thread waits for the word to stop."""
    say("ready")
    if sys.stdin.readline().strip() != "go":
        os._exit(1)


class Course:
    """Counts what runs. `seen` may be memory that several processes share."""

    def __init__(self, tasks, seen=None):
        self.tasks = tasks
        self.seen = bytearray(tasks) if seen is None else seen
        self.distinct = 0
        self.lags = []

    def run(self, number, at):
        if self.seen[number] == 0:
            self.distinct += 1
        self.seen[number] += 1
        if at:
            self.lags.append(now_us() - at)
        if self.distinct == self.tasks:
            self.distinct = 0
            say("done")

    def start(self):
        wait_for_go()
        threading.Thread(target=self.stop_when_told, daemon=True).start()

    def stop_when_told(self):
        sys.stdin.readline()
        runs = bytes(self.seen)
        counted = {"executed": sum(runs), "distinct": len(runs) - runs.count(0), "lags": list(self.lags)}
        say("counted " + json.dumps(counted))
        os._exit(0)


def pace(tasks, rate):
    """Numbers, when it is their turn; above one a millisecond, as many as fall due within one.

    It sleeps until shortly before a turn and then spins; at high rates it only sleeps, for who spins
    all the time takes a core from those whom it gives work to.
    """
    first = time.monotonic() + 0.1
    together = -(-rate // 1000)
    for number in range(0, tasks, together):
        wait_until(first + number / rate, spin=together == 1)
        yield range(number, min(number + together, tasks))


def wait_until(moment, spin):
    rest = moment - time.monotonic() - (0.0005 if spin else 0)
    if rest > 0:
        time.sleep(rest)
    while spin and time.monotonic() < moment:
        pass


def take(**modes):
    """Does what the command line says: a mode, where its server is, numbers, and perhaps a word."""
    mode, url, *rest = sys.argv[1:]
    words = [int(text) if text.isdigit() else text for text in rest]
    asyncio.run(modes[mode](urlparse(url), *words))
