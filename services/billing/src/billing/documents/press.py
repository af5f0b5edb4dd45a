"""Where documents are made: beside the event loop, one at a time in a process.

It is work of the processor alone, which threads of one process cannot share: several at once would each take as much
longer, and leave the loop that much less. What waits is not begun any more once nobody waits for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

from billing.documents.paper import Paper

_PRESS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="documents")


class Form(StrEnum):
    """What a document may be, named by the ending of its file's name."""

    HTML = "html"
    PDF = "pdf"

    @property
    def content_type(self) -> str:
        """Its media type."""
        return "application/pdf" if self is Form.PDF else "text/html; charset=utf-8"


async def printed(form: Form, lay_out: Callable[[], Paper]) -> bytes:
    """What is laid out, as a document."""
    return await pressed(lambda: _document(form, lay_out()))


async def pressed(make: Callable[[], bytes]) -> bytes:
    """The document, once those before it are made."""
    return await asyncio.get_running_loop().run_in_executor(_PRESS, make)


def _document(form: Form, paper: Paper) -> bytes:
    # Their libraries are as large as the rest of the service: they are loaded with the first document, by this thread.
    match form:
        case Form.HTML:
            from billing.documents.html import html_of

            return html_of(paper)
        case Form.PDF:
            from billing.documents.pdf import pdf_of

            return pdf_of(paper)
