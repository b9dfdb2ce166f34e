"""What connections share: never more than there is, and room for everybody who is not slow."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable

import pytest

from webhook.rooms import Link, Room, Stage

OLD = -1e9  # entered its stage long ago


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(bounded())


def link(sender: str, ended: list[Link], stage: Stage = Stage.RECEIVES, since: float = OLD) -> Link:
    made = Link(sender, stage=stage, since=since)
    made.end = lambda: ended.append(made)
    return made


async def fill(room: Room, *links: Link) -> None:
    for one in links:
        since = one.since
        await room.take(one, 1)
        one.since = since


def test_the_order_of_giving_way() -> None:
    """Who waits for its client first, then of the sender with the most, then the oldest; never one that is in a thread."""

    async def case() -> None:
        ended: list[Link] = []
        runs = link("many", ended, Stage.RUNS)
        queues = link("many", ended, Stage.QUEUES)
        younger = link("many", ended, Stage.SENDS, OLD + 5)
        older = link("many", ended, Stage.RECEIVES, OLD + 1)
        few = link("few", ended)
        room = Room(5, grace=0.01, patience=0.01)
        await fill(room, runs, queues, younger, older, few)
        for _ in range(4):
            await room.take(Link("new", stage=Stage.RUNS), 1)
        assert ended[:2] == [older, younger]
        assert set(ended[2:]) == {queues, few} and ended[2] is few

    run(case())


def test_nobody_gives_way_in_the_time_of_grace() -> None:
    """Who asks waits, and is served when somebody leaves."""

    async def case() -> None:
        ended: list[Link] = []
        room = Room(1, grace=3600.0)
        first = Link("a", end=lambda: ended.append(first))
        await room.take(first, 1)
        asking = asyncio.ensure_future(room.take(Link("b"), 1))
        await asyncio.sleep(0)
        assert not asking.done()
        room.leave(first)
        await asking
        assert ended == []

    run(case())


def test_who_holds_least_is_served_first_and_of_one_sender_the_smallest() -> None:
    async def case() -> None:
        room, order = Room(10, grace=3600.0), list[str]()
        holder, other = Link("greedy"), Link("full")
        await room.take(holder, 5)
        await room.take(other, 5)

        async def ask(name: str, sender: str, units: int) -> None:
            await room.take(Link(sender), units)
            order.append(name)

        asking = [
            asyncio.ensure_future(ask(*one))
            for one in (("greedy", "greedy", 1), ("large", "new", 5), ("small", "new", 4))
        ]
        await asyncio.sleep(0)
        room.leave(other)
        while not order:
            await asyncio.sleep(0)
        assert order == ["small"]
        room.leave(holder)
        await asyncio.wait(asking)
        assert order == ["small", "greedy", "large"]

    run(case())


def test_more_than_the_whole_room_is_the_whole_room() -> None:
    async def case() -> None:
        room = Room(10, grace=3600.0)
        await room.take(large := Link("a"), 1000)
        room.leave(large)
        await room.take(Link("a"), 10)

    run(case())


@pytest.mark.parametrize("seed", range(20))
def test_there_is_never_more_than_the_room_and_everybody_is_served(seed: int) -> None:
    """Links of four senders that ask, leave, are cancelled while they wait, or stay until they are ended."""

    async def case() -> None:
        chance, held = random.Random(seed), Counter[Link]()
        room, gone, served = Room(20, share=12, grace=0.0, patience=0.0), set[Link](), set[Link]()

        async def live(one: Link, units: int, stays: bool) -> None:
            try:
                await room.take(one, units)
                served.add(one)
                if one not in gone:
                    held[one] = units
                    assert held.total() <= 20
                await asyncio.sleep(3600 if stays else 0)
            finally:
                del held[one]
                room.leave(one)

        tasks = {}
        for _ in range(200):
            one = Link(chance.choice("abcd"), stage=chance.choice([Stage.RECEIVES, Stage.SENDS, Stage.QUEUES]))
            task = asyncio.ensure_future(live(one, chance.randint(1, 9), chance.random() < 0.5))

            def end(one: Link = one, task: asyncio.Future[None] = task) -> None:
                gone.add(one)
                del held[one]
                task.cancel()

            one.end = end
            tasks[task] = one
            if chance.random() < 0.3:
                await asyncio.sleep(0)
            if chance.random() < 0.05:
                task.cancel()
        while not all(task.done() or one in served for task, one in tasks.items()):
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert not held
        await room.take(Link("last"), 20)

    run(case())
