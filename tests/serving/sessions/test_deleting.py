"""A session that is deleted while it writes."""

import asyncio

from ostinato.serving.errors import ServingError
from ostinato.serving.generating import Generating
from ostinato.serving.limits import Limits
from tests.serving.conftest import serving


def test_deleting_a_session_cancels_its_texts(fox, go):
    """Also one that waits for another; else the end would come once both do, here never."""

    async def work():
        async with serving(fox, Limits(max_tokens=1_000_000_000)) as service:
            id = (await service.open("m", "", {"text": "the "}))["id"]
            how, begun = Generating(max_tokens=1_000_000_000, seed=1), asyncio.Event()

            async def read():
                async for _ in service.write("m", "", id, how):
                    begun.set()

            texts = [asyncio.create_task(read()) for _ in range(2)]
            await begun.wait()
            await service.delete("m", "", id)
            ends = await asyncio.gather(*texts, return_exceptions=True)
            return ends, service.stats()["m"]

    ends, stats = go(work())
    assert all(each is None or isinstance(each, ServingError) for each in ends)
    assert (stats["queue"], stats["stored"]) == (0, 0)
