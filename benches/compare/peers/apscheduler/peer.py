"""APScheduler 3 in memory, in one process: how late its tasks start.

Settings: `AsyncIOScheduler`, no limit on late runs, so that none is dropped.
Source: the user guide of APScheduler 3, `misfire_grace_time`.
"""

import asyncio
import sys
from datetime import datetime
from datetime import timezone

sys.path.insert(0, f"{sys.path[0]}/..")

from course import Course
from course import arguments
from course import now_us
from apscheduler.schedulers.asyncio import AsyncIOScheduler


async def alone(tasks, rate):
    course = Course(tasks)

    async def noop(number, at, text):
        course.run(number, at)

    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None})
    course.start()
    # Added before the start, or each add would have its loop look again.
    first = now_us() + 6_000_000
    for number in range(tasks):
        due = first + number * 1_000_000 // rate
        at = datetime.fromtimestamp(due / 1e6, tz=timezone.utc)
        scheduler.add_job(noop, "date", run_date=at, kwargs=arguments(number, due))
    scheduler.start()
    await asyncio.Event().wait()


asyncio.run(alone(int(sys.argv[3]), int(sys.argv[4])))
