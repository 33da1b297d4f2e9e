"""A pool of processes on this machine that ends with its owner, however that ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from .spread import Shared, keep


def cores() -> int:
    """The processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


@contextmanager
def local_pool(workers: int, shared: Shared) -> Iterator[Executor]:
    """A pool of so many processes, each with what is shared.

    Processes are forked where that is safe (Linux, and no other thread), and else started anew. They ignore Ctrl-C,
    which is their owner's to handle, and end at once when the block is left by an exception, or the owner is killed.
    """
    forks = sys.platform == "linux" and threading.active_count() == 1
    context: Any = get_context("fork" if forks else "forkserver" if sys.platform == "linux" else "spawn")
    reader, writer = context.Pipe(duplex=False)
    given = (shared, reader, writer) if forks else (shared.sent(), reader, None)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=given)
    try:
        yield pool
    except BaseException:
        writer.close()  # all of them see it, and end
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    else:
        pool.shutdown(wait=True)
    finally:
        writer.close()
        reader.close()


def _begin(shared: Shared, reader: Connection, writer: Connection | None) -> None:
    """In a new process: have what is shared, and watch the owner."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if writer is not None:
        writer.close()  # a forked process has the owner's end too
    keep(shared.name, shared.get()[0])
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(reader: Connection) -> None:
    """Nothing is ever written: what can be read is the end."""
    reader.poll(None)
    os._exit(1)
