"""One verb of the engine, to be waited for by a thread or by an event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from . import _rebuild, events
from .errors import RebuildError, of_failure
from .steps import Functions

_log = logging.getLogger("rebuild")

P = ParamSpec("P")
T = TypeVar("T")

_LOOK_EVERY = 0.05
"""Seconds. Python hears Ctrl-C between two looks, and progress is told at each."""


class Call(Generic[T]):
    """What is asked for, and what becomes of the answer."""

    def __init__(
        self,
        request: Mapping[str, Any],
        parse: Callable[[Any], T],
        *,
        functions: Functions | None = None,
        on_event: events.OnEvent | None = None,
    ) -> None:
        self._request = json.dumps(request)
        self._parse = parse
        self._functions = functions
        self._on_event = on_event

    def wait(self) -> T:
        """Waits in this thread."""
        job = self._start()
        stopped: BaseException | None = None
        ended = False
        while not ended:
            try:
                ended = job.wait(_LOOK_EVERY)
                for event in _events(job):
                    self._tell(event)
            except BaseException as e:
                if stopped is not None:
                    # Asked a second time: leave at once. What was begun can be resumed.
                    job.abort()
                    raise
                stopped = e
                self._stop(job, e)
        return self._end(job, stopped)

    async def wait_async(self) -> T:
        """Waits in an event loop."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            # The loop may have gone by then.
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        job = self._start()
        job.on_change(wake)
        stopped: BaseException | None = None
        ended = False
        while not ended:
            try:
                try:
                    await asyncio.wait_for(changed.wait(), 2 * _LOOK_EVERY)
                except asyncio.TimeoutError:
                    pass
                changed.clear()
                ended = job.wait(0)
                for event in _events(job):
                    told = self._tell(event)
                    if inspect.isawaitable(told):
                        await told
            except BaseException as e:
                if stopped is not None:
                    job.abort()
                    raise
                stopped = e
                self._stop(job, e)
        return self._end(job, stopped)

    def _start(self) -> _rebuild.Job:
        return _rebuild.start(self._request, self._functions)

    def _tell(self, event: events.AnyEvent) -> object:
        if self._on_event is None:
            return None
        try:
            return self._on_event(event)
        except Exception:
            # One that fails is not called again while the work comes to its safe point.
            self._on_event = None
            raise

    def _stop(self, job: _rebuild.Job, why: BaseException) -> None:
        job.stop()
        if isinstance(why, KeyboardInterrupt):
            _log.warning(
                "stopping at the next safe point; Ctrl-C once more leaves at once "
                "(both can be resumed)"
            )

    def _end(self, job: _rebuild.Job, stopped: BaseException | None) -> T:
        for _ in _events(job):
            pass
        answer = json.loads(job.result())
        failure: BaseException
        try:
            if "error" in answer:
                raise of_failure(answer["error"])
            result = self._parse(answer["ok"])
        except RebuildError as e:
            failure = e
        else:
            if stopped is None:
                return result
            _log.warning("it had come to its end all the same: %s", result)
            raise stopped
        # The exception that a step raised is of more use than what we make of it.
        if self._functions is not None and self._functions.raised is not None:
            failure.__cause__ = self._functions.raised
        if stopped is None:
            raise failure
        raise stopped from failure


def _events(job: _rebuild.Job) -> list[events.AnyEvent]:
    told = [events.of_json(json.loads(line)) for line in job.drain()]
    known = [event for event in told if event is not None]
    for event in known:
        events.log(event)
    return known


def both(
    call: Callable[P, Call[T]],
) -> tuple[Callable[P, T], Callable[P, Coroutine[Any, Any, T]]]:
    """The blocking and the asynchronous form of a verb."""

    @functools.wraps(call)
    def blocking(*args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs).wait()

    @functools.wraps(call)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        return await call(*args, **kwargs).wait_async()

    name = call.__name__.removeprefix("_")
    doc = call.__doc__ or ""
    blocking.__name__ = blocking.__qualname__ = name
    asynchronous.__name__ = asynchronous.__qualname__ = f"{name}_async"
    asynchronous.__doc__ = f"{doc}\n\nTo be awaited; a cancelled task stops at the next safe point."
    return blocking, asynchronous
