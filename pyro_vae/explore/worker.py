"""One thread for what takes long: its numbers need the process's random generators for themselves."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pyro_vae.errors import InputError

T = TypeVar("T")


class Worker:
    """Does one thing after the other, beside the thread that answers the page.

    The thread is a daemon: a Ctrl-C does not wait for what is under way.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="explore", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._waiting.get()()

    async def do(self, work: Callable[[], T], left: Callable[[], Awaitable[bool]]) -> T:
        """The result of ``work``, or its error.

        Args:
            left: whether the page has left meanwhile, so that nobody waits for it.

        Raises:
            InputError: where it has.
        """
        async with self._turn:
            if await left():
                raise InputError("nobody waits for this any more")
            loop = asyncio.get_running_loop()
            result: asyncio.Future[T] = loop.create_future()

            def tell(how: Callable[[Any], None], what: Any) -> None:
                if not result.done():
                    how(what)

            def one() -> None:
                try:
                    found = work()
                except BaseException as error:
                    loop.call_soon_threadsafe(tell, result.set_exception, error)
                else:
                    loop.call_soon_threadsafe(tell, result.set_result, found)

            self._waiting.put(one)
            return await result
