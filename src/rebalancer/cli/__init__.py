"""The command line, in the extra `cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without its extra, say how to install it."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        print('The command line needs an optional dependency: pip install "funding-rebalancer[cli]"', file=sys.stderr)
        raise SystemExit(1) from None
    from .app import app

    app()
