"""Celery, on Redis.

Settings: results ignored, 128 tasks fetched ahead for each slot, no gossip, mingle, heartbeat and
events; early acks, which is its default. The pool is `solo`: of tasks that do nothing it ran more a second
than `prefork`, `threads` and `gevent`, since nothing is handed over.
It has no bulk add: of a batch, one producer sends each task by itself.
Source: https://docs.celeryq.dev/en/stable/userguide/optimizing.html (prefetch of 64 or 128 for many
short tasks) and the configuration reference.
"""

import mmap
import sys
import threading
import time
from datetime import datetime
from datetime import timezone

sys.path.insert(0, f"{sys.path[0]}/..")

from celery import Celery
from celery.signals import worker_ready
from course import Course
from course import arguments
from course import now_us
from course import pace
from course import say
from course import wait_for_go

app = Celery("peer")
app.conf.update(
    task_ignore_result=True,
    task_default_queue="tasks",
    worker_prefetch_multiplier=128,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
)
course = None


@app.task(name="noop", ignore_result=True)
def noop(number, at, text):
    late = now_us() - at
    course.seen[number] += 1
    if at:
        course.lags[number] = late


@worker_ready.connect
def warm(**_):
    """The worker stands on another queue, and takes the one of the tasks when it is told to."""

    def go():
        course.start()
        app.control.add_consumer("tasks")
        while bytes(course.seen).count(0) > 0:
            time.sleep(0.002)
        say("done")

    threading.Thread(target=go, daemon=True).start()


def work(tasks):
    global course
    course = Course(tasks, seen=mmap.mmap(-1, tasks))
    course.lags = memoryview(mmap.mmap(-1, 8 * tasks)).cast("q")
    worker = app.Worker(
        pool="solo",
        concurrency=1,
        queues=["idle"],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="CRITICAL",
        quiet=True,
    )
    worker.start()


def add(tasks, batch):
    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.ensure_connection()
        wait_for_go()
        for number in range(tasks):
            noop.apply_async(kwargs=arguments(number), producer=producer)
        say("done")


def paced(tasks, rate, when):
    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.ensure_connection()
        wait_for_go()
        if when == "later":
            first = now_us() + 8_000_000
            for number in range(tasks):
                due = first + number * 1_000_000 // rate
                eta = datetime.fromtimestamp(due / 1e6, tz=timezone.utc)
                noop.apply_async(kwargs=arguments(number, due), eta=eta, producer=producer)
        else:
            for numbers in pace(tasks, rate):
                at = now_us()
                for number in numbers:
                    noop.apply_async(kwargs=arguments(number, at), producer=producer)
        say("done")


def main():
    mode, url, *rest = sys.argv[1:]
    app.conf.broker_url = url
    numbers = [int(text) for text in rest if text.isdigit()]
    if mode == "work":
        work(*numbers)
    elif mode == "add":
        add(*numbers)
    else:
        paced(*numbers, rest[-1])


main()
