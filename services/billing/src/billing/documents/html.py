"""Papers as pages to print. Every text is escaped: what a caller wrote is shown and never understood."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from billing.documents.paper import DETAILED, Paper

_TEMPLATE = Environment(
    loader=PackageLoader("billing.documents"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
).get_template("paper.html")


def html_of(paper: Paper) -> bytes:
    """One page that needs nothing from elsewhere: no script, no picture, no font."""
    return _TEMPLATE.render(paper=paper, detailed=DETAILED).encode()
