"""Huey, on MariaDB.

Settings: no results, one thread (2, 4, 8 and 16 ran fewer tasks a second), a look at an empty queue after a
millisecond instead of 0.1 s to 10 s. It has no bulk add: of a batch, each task is a statement, and
all of them are one transaction, as Peewee advises.
Source: https://huey.readthedocs.io (`SqlHuey`, options of the consumer) and
https://docs.peewee-orm.com (bulk inserts).
"""

import logging
import sys
import threading
from urllib.parse import urlparse

sys.path.insert(0, f"{sys.path[0]}/..")

from course import Course
from course import arguments
from course import say
from course import wait_for_go
from huey.contrib.sql_huey import SqlHuey
from peewee import MySQLDatabase

THREADS = 1
LOOK = 0.001


def place(url):
    database = MySQLDatabase(
        url.path.lstrip("/"),
        host=url.hostname,
        port=url.port,
        user=url.username,
        password=url.password or "",
    )
    return SqlHuey(database=database, results=False)


def task(huey, course=None):
    @huey.task(name="noop")
    def noop(number, at, text):
        course.run(number, at)

    return noop


def work(huey, tasks):
    course = Course(tasks)
    task(huey, course)
    consumer = huey.create_consumer(
        workers=THREADS,
        worker_type="thread",
        periodic=False,
        initial_delay=LOOK,
        max_delay=LOOK,
        check_worker_health=False,
    )
    course.start()
    consumer.start()
    threading.Event().wait()


def add(huey, tasks, batch):
    noop = task(huey)
    wait_for_go()
    for first in range(0, tasks, batch):
        with huey.storage.database.atomic():
            for number in range(first, min(first + batch, tasks)):
                noop(**arguments(number))
    say("done")


logging.disable(logging.CRITICAL)
mode, place_of_store, *rest = sys.argv[1:]
modes = {"work": work, "add": add}
modes[mode](place(urlparse(place_of_store)), *map(int, rest))
