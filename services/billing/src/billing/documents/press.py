"""Where documents are made: beside the event loop, one at a time in a process.

It is work of the processor alone, which threads of one process cannot share: several at once would each take as much
longer, and leave the loop that much less. What waits is not begun any more once nobody waits for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_PRESS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="documents")


async def pressed(make: Callable[[], bytes]) -> bytes:
    """The document, once those before it are made."""
    return await asyncio.get_running_loop().run_in_executor(_PRESS, make)
