# SPDX-License-Identifier: Apache-2.0
"""asyncio programs in which it is known who awaits the task that runs. A function that awaits has `await` in one line of
its code alone, so that this line is where it stands."""
import asyncio
import sys
import time


def burn(seconds=0.01):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


# The tasks; each computes when it begins, and when it goes on after it waited itself.

async def pause():
    burn()
    await asyncio.sleep(0)
    burn()


async def in_task():
    await pause()


async def in_gather():
    await pause()


async def in_nested():
    await pause()


async def in_alone():
    await pause()


async def in_callback():
    await pause()


async def in_coroutine():
    await pause()


# Who awaits them.

async def waits(task):
    return await task


async def task_waits():
    await waits(asyncio.ensure_future(in_task()))


async def gather_waits():
    await asyncio.gather(in_gather(), in_gather(), asyncio.sleep(0))


async def nested_gather():
    await asyncio.gather(in_nested())


async def nested_waits():
    await waits(asyncio.ensure_future(nested_gather()))


async def nobody_waits():
    task = asyncio.ensure_future(in_alone())
    while not task.done():
        await asyncio.sleep(0)


async def callback_waits():
    """What another task is called back with does not mean that it waits."""
    other = asyncio.ensure_future(asyncio.sleep(0.001))
    task = asyncio.ensure_future(in_callback())
    task.add_done_callback(lambda _: None)
    task.add_done_callback(other.remove_done_callback)
    while not task.done():
        await asyncio.sleep(0)


async def coroutine_waits():
    await in_coroutine()


async def main(seconds):
    end = time.perf_counter() + seconds
    ways = [task_waits, gather_waits, nested_waits, nobody_waits, callback_waits, coroutine_waits]
    while time.perf_counter() < end:
        for way in ways:
            await way()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
