"""Deadlines: late tasks end, others do not, and a task that was cancelled elsewhere stays cancelled."""

from __future__ import annotations

import asyncio
import time

import pytest

from fcgraph.api.deadlines import Deadlines

SECONDS = 0.2
A_LOT = 60.0


def test_what_is_late_ends_and_what_comes_later_has_its_own_time() -> None:
    async def main() -> None:
        deadlines = Deadlines(SECONDS)
        loop = asyncio.get_running_loop()

        async def late() -> float:
            begin = loop.time()
            with pytest.raises(TimeoutError), deadlines.start():
                await asyncio.sleep(A_LOT)
            return loop.time() - begin

        async def in_time() -> str:
            with deadlines.start():
                await asyncio.sleep(0)
            return "done"

        first = asyncio.create_task(late())
        assert await asyncio.gather(*(in_time() for _ in range(100))) == ["done"] * 100
        await asyncio.sleep(SECONDS / 2)
        second = asyncio.create_task(late())
        assert await first >= SECONDS
        assert await second >= SECONDS

    asyncio.run(main())


def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def main() -> None:
        deadlines = Deadlines(SECONDS)

        async def work() -> None:
            with deadlines.start():
                await asyncio.sleep(A_LOT)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("deadline_first", [True, False])
def test_both_at_once_are_a_cancellation(deadline_first: bool) -> None:
    """Both occur in the same loop iteration, so the task sees one cancellation although two were requested."""

    async def main() -> None:
        deadlines = Deadlines(0)
        loop = asyncio.get_running_loop()
        noted: list[object] = []

        async def work() -> None:
            if not deadline_first:
                loop.call_soon(task.cancel)
            deadline = deadlines.start()
            try:
                with deadline:
                    if deadline_first:
                        loop.call_later(0, task.cancel)  # due with the deadline, and after it
                    time.sleep(0.001)  # so that the deadline is due in the next loop iteration
                    await asyncio.sleep(A_LOT)
            finally:
                noted.append((deadline.passed, task.cancelling()))

        task = asyncio.create_task(work())
        with pytest.raises(asyncio.CancelledError):
            await task
        # The deadline has passed and withdrawn its own cancellation; the other one remains.
        assert noted == [(True, 1)]

    asyncio.run(main())


def test_one_inside_another_ends_only_itself() -> None:
    async def main() -> None:
        outer, inner = Deadlines(A_LOT), Deadlines(SECONDS)
        with outer.start():
            with pytest.raises(TimeoutError), inner.start():
                await asyncio.sleep(A_LOT)
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(main())


def test_an_error_of_the_block_is_its_own() -> None:
    async def main() -> None:
        deadlines = Deadlines(SECONDS)
        with pytest.raises(ValueError, match="mine"), deadlines.start():
            raise ValueError("mine")
        with pytest.raises(TimeoutError), deadlines.start():  # the remaining timer is reused
            await asyncio.sleep(A_LOT)

    asyncio.run(main())
