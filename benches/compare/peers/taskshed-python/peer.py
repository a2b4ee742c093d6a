"""TaskShed for Python, on Redis, on MariaDB and in memory.

Settings: a `PollingWorker` where scheduler and worker are two processes, as its documentation asks
for, with a look every millisecond instead of every three seconds; an `EventDrivenWorker` in one
process. Adds in batches are one `add_tasks`.
Source: the docstrings of `taskshed.workers`, version 0.10.
"""

import asyncio
import sys
from datetime import datetime
from datetime import timedelta
from datetime import timezone

sys.path.insert(0, f"{sys.path[0]}/..")

from course import Course
from course import arguments
from course import now_us
from course import pace
from course import say
from course import take
from course import wait_for_go
from taskshed.datastores import InMemoryDataStore
from taskshed.models.task_models import Task
from taskshed.schedulers import AsyncScheduler
from taskshed.workers import EventDrivenWorker
from taskshed.workers import PollingWorker


def place(url):
    if url.scheme == "redis":
        from taskshed.datastores.redis_datastore import RedisConfig
        from taskshed.datastores.redis_datastore import RedisDataStore

        return RedisDataStore(RedisConfig(host=url.hostname, port=url.port))
    if url.scheme == "mysql":
        from taskshed.datastores.mysql_datastore import MySQLConfig
        from taskshed.datastores.mysql_datastore import MySQLDataStore

        # MariaDB has no collation of this name, and knows no alias for the row of an insert.
        made = MySQLDataStore._CREATE_TABLE_QUERY
        made = made.replace("utf8mb4_0900_ai_ci", "utf8mb4_general_ci")
        MySQLDataStore._CREATE_TABLE_QUERY = made
        name, password = url.username, url.password
        database = url.path.lstrip("/")
        config = MySQLConfig(
            host=url.hostname, port=url.port, user=name, password=password, db=database
        )
        return MySQLDataStore(config=config)
    return InMemoryDataStore()


def moment(at_us):
    return datetime.fromtimestamp(at_us / 1e6, tz=timezone.utc)


def task(number, at=0, due=None):
    due = due or datetime.now(timezone.utc)
    return Task(callback="noop", run_at=due, kwargs=arguments(number, at))


async def work(url, tasks):
    course = Course(tasks)

    async def noop(number, at, text):
        course.run(number, at)

    store = place(url)
    await store.start()
    worker = PollingWorker({"noop": noop}, store, timedelta(milliseconds=1))
    course.start()
    await worker.start()
    await asyncio.Event().wait()


async def add(url, tasks, batch):
    store = place(url)
    scheduler = AsyncScheduler(store)
    await scheduler.start()
    replace = url.scheme != "mysql"
    wait_for_go()
    for first in range(0, tasks, batch):
        numbers = range(first, min(first + batch, tasks))
        await scheduler.add_tasks([task(n) for n in numbers], replace_existing=replace)
    say("done")


async def add_later(scheduler, tasks, rate):
    first = now_us() + 3_000_000
    for start in range(0, tasks, 1000):
        numbers = range(start, min(start + 1000, tasks))
        dues = [(n, first + n * 1_000_000 // rate) for n in numbers]
        await scheduler.add_tasks([task(n, due, moment(due)) for n, due in dues])


async def paced(url, tasks, rate, when):
    scheduler = AsyncScheduler(place(url))
    await scheduler.start()
    wait_for_go()
    if when == "later":
        await add_later(scheduler, tasks, rate)
    else:
        for numbers in pace(tasks, rate):
            at = now_us()
            await scheduler.add_tasks([task(number, at) for number in numbers])
    say("done")


async def alone(_url, tasks, rate):
    """Scheduler and worker in one process, in memory."""
    course = Course(tasks)

    async def noop(number, at, text):
        course.run(number, at)

    store = InMemoryDataStore()
    worker = EventDrivenWorker({"noop": noop}, store)
    scheduler = AsyncScheduler(store, worker=worker)
    await scheduler.start()
    await worker.start()
    course.start()
    await add_later(scheduler, tasks, rate)
    await asyncio.Event().wait()


take(work=work, add=add, pace=paced, alone=alone)
