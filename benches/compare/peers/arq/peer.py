"""arq, on Redis.

Settings: 500 tasks at once instead of 10, no results kept, a look at the queue every millisecond
instead of every half second. It has no bulk add: of a batch, 50 calls are under way at once.
Source: https://arq-docs.helpmanual.io (`max_jobs`, `keep_result`, `poll_delay`).
"""

import asyncio
import logging
import sys
from datetime import datetime
from datetime import timezone

sys.path.insert(0, f"{sys.path[0]}/..")

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from arq.worker import func
from course import Course
from course import arguments
from course import now_us
from course import pace
from course import say
from course import take
from course import wait_for_go

AT_ONCE = 50


def settings(url):
    return RedisSettings(host=url.hostname, port=url.port)


async def work(url, tasks):
    course = Course(tasks)

    async def noop(ctx, number, at, text):
        course.run(number, at)

    worker = Worker(
        functions=[func(noop, name="noop", keep_result=0)],
        redis_pool=await create_pool(settings(url)),
        max_jobs=500,
        keep_result=0,
        poll_delay=0.001,
        handle_signals=False,
    )
    course.start()
    await worker.async_run()


async def add_all(pool, items):
    """Items of number, moment to compare with, and when it is due."""
    items = iter(items)

    async def some():
        for number, at, due in items:
            await pool.enqueue_job("noop", _defer_until=due, **arguments(number, at))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def add(url, tasks, batch):
    pool = await create_pool(settings(url))
    wait_for_go()
    if batch == 1:
        for number in range(tasks):
            await pool.enqueue_job("noop", **arguments(number))
    else:
        for first in range(0, tasks, batch):
            numbers = range(first, min(first + batch, tasks))
            await add_all(pool, ((n, 0, None) for n in numbers))
    say("done")


async def paced(url, tasks, rate, when):
    pool = await create_pool(settings(url))
    wait_for_go()
    if when == "later":
        first = now_us() + 6_000_000
        dues = ((n, first + n * 1_000_000 // rate) for n in range(tasks))
        moment = lambda due: datetime.fromtimestamp(due / 1e6, tz=timezone.utc)
        await add_all(pool, ((n, due, moment(due)) for n, due in dues))
    else:
        for numbers in pace(tasks, rate):
            at = now_us()
            for number in numbers:
                await pool.enqueue_job("noop", **arguments(number, at))
    say("done")


logging.disable(logging.CRITICAL)
take(work=work, add=add, pace=paced)
