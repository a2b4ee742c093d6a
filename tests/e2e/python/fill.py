"""Lets the Python library TaskShed write tasks, and prints each as the library reads it back.

usage: fill.py redis PORT | fill.py mysql PORT; `age` as a third word takes away what older versions
of the library did not write.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta, timezone

from taskshed.models.task_models import Task, TaskExecutionTime

SOON = datetime(2035, 1, 2, 3, 4, 5, 123457, tzinfo=timezone.utc)
PAST = datetime(2020, 1, 2, 3, 4, 5, 999999, tzinfo=timezone.utc)


def tasks():
    every = {"run_type": "recurring", "interval": timedelta(seconds=90.5)}
    yield Task(task_id="plain", callback="mail", run_at=SOON)
    yield Task(task_id="past", callback="mail", run_at=PAST, kwargs={"empty": [], "n": 1.5})
    yield Task(task_id="Task 0 – größe", callback="send mail", run_at=SOON, kwargs={"to": "ö"})
    yield Task(task_id="every", callback="mail", run_at=SOON, group_id="tenant 1", **every)
    yield Task(task_id="catch-up", callback="mail", run_at=SOON, coalesce=False, **every)
    yield Task(task_id="added-paused", callback="mail", run_at=SOON, paused=True, **every)
    yield Task(task_id="paused", callback="mail", run_at=SOON, group_id="tenant 1")
    yield Task(task_id="resumed", callback="mail", run_at=SOON)
    yield Task(task_id="moved", callback="mail", run_at=SOON)
    tiny = {"run_type": "recurring", "interval": timedelta(microseconds=1)}
    yield Task(task_id="tiny", callback="mail", run_at=SOON, **tiny)
    yield Task(task_id="nan", callback="mail", run_at=SOON, kwargs={"x": float("nan")})
    for number in range(450):
        yield Task(task_id=f"many-{number:03}", callback="mail", run_at=SOON, kwargs={"n": number})


async def open_store(kind, port):
    if kind == "redis":
        from taskshed.datastores.redis_datastore import RedisConfig, RedisDataStore

        store = RedisDataStore(RedisConfig(host="127.0.0.1", port=port))
    else:
        from taskshed.datastores.mysql_datastore import MySQLConfig, MySQLDataStore

        # MariaDB has no collation of that name, nor `AS new`, so tasks are added without replacing.
        query = MySQLDataStore._CREATE_TABLE_QUERY
        MySQLDataStore._CREATE_TABLE_QUERY = query.replace("0900_ai_ci", "general_ci")
        config = MySQLConfig(
            host="127.0.0.1", port=port, user="shed", password="s3cret", db="taskshed"
        )
        store = MySQLDataStore(config=config)
    await store.start()
    return store


async def age(store, kind):
    if kind == "redis":
        async for key in store._client.scan_iter("scheduler:task:*"):
            await store._client.hdel(key, "coalesce", "paused_at")
        # A task of which only the place in the queue is left.
        await store._client.zadd("scheduler:task_queue", {"torn": 1})
        return
    async with store._get_cursor() as cursor:
        await cursor.execute("ALTER TABLE _taskshed_data DROP COLUMN coalesce, DROP COLUMN paused_at")


def shown(task):
    def moment(at):
        return at and at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    return {
        "task_id": task.task_id,
        "callback": task.callback,
        "kwargs": task.kwargs if task.task_id != "nan" else None,  # not JSON
        "run_at": moment(task.run_at),
        "run_type": task.run_type,
        "interval": task.interval.total_seconds() if task.interval else None,
        "group_id": task.group_id,
        "paused": task.paused,
        "paused_at": moment(task.paused_at),
        "coalesce": task.coalesce,
    }


async def main(kind, port, *more):
    store = await open_store(kind, int(port))
    if "age" in more:
        await age(store, kind)
    else:
        await store.add_tasks(list(tasks()), replace_existing=False)
        await store.update_tasks_paused_status(["paused", "resumed"], paused=True)
        await store.update_tasks_paused_status(["resumed"], paused=False)
        moved = TaskExecutionTime(task_id="moved", run_at=SOON + timedelta(days=1))
        await store.update_execution_times([moved])
        ids = [task.task_id for task in tasks()]
        for task in await store.fetch_tasks(ids):
            print(json.dumps(shown(task)))
    await store.shutdown()


asyncio.run(main(*sys.argv[1:]))
