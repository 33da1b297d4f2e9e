"""A replay's report as one HTML file that opens offline."""

from .write import write_page as write_page

__all__ = ["write_page"]
