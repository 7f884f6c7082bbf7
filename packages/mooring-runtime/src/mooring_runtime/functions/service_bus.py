"""The Service Bus trigger: the function is run for each message of a queue, and its answer becomes a message.

A message is completed when its answer has been accepted by the output queue; until then its lock is renewed. A run
that fails gives the message back, and the queue dead-letters it after its max delivery count, as on Azure. What was
not completed when the process ends is delivered again.

Each of the calls at once has connections of its own: the SDK's receivers are for one task at a time.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mooring_runtime.front.identity import new_id
from mooring_runtime.functions.definition import SERVICE_BUS
from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.service_bus_messages import answer_to, event_of
from mooring_runtime.functions.trigger import Event, Outcome, Setup, TriggerState

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

# How long a call waits for a message before it looks whether it is to end.
_WAIT_SECONDS = 2.0
# While the broker does not answer or refuses; the last one again and again.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
_SPAN = re.compile(r"(?:(\d+)\.)?(\d\d):(\d\d):(\d\d)")
# Azure's defaults (host.json, extensions.serviceBus).
_MAX_CALLS, _MAX_RENEWAL = 16, "00:05:00"


@dataclass(frozen=True)
class _Queue:
    connection: str
    name: str


class ServiceBusTrigger:
    """A `Trigger`.

    Raises:
        FunctionInvalid: ``ServiceBusSdkNotInstalled``, ``BindingNotSupported``, ``SettingMissing``,
            ``ConnectionStringInvalid``, ``HostFileInvalid``.
    """

    def __init__(self, setup: Setup) -> None:
        if importlib.util.find_spec("azure.servicebus") is None:
            raise FunctionInvalid(
                "ServiceBusSdkNotInstalled",
                f"Function {setup.function.name} needs the package azure-servicebus beside Mooring's runtime.",
                'Install it where the server is installed: pip install "mooring-runtime[servicebus]"; then restart '
                "the app.",
            )
        self._setup = setup
        trigger, output = setup.function.trigger, setup.function.output("serviceBus")
        if trigger.get("topicName") or trigger.get("isSessionsEnabled"):
            raise FunctionInvalid(
                "BindingNotSupported",
                f"Function {setup.function.name}: topics and sessions are not supported.",
                "Use a queue without sessions.",
            )
        self._input = self._queue(trigger)
        self._output = None if output is None else self._queue(output)
        self._most = setup.host.number("serviceBus", "maxConcurrentCalls", _MAX_CALLS)
        self._renewal = _renewal_seconds(setup)
        self._calls: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._unsent = False

    def start(self) -> None:
        """See `Trigger.start`."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def drain(self) -> None:
        """See `Trigger.drain`."""
        self._ending.set()
        if self._keeping is not None:
            await asyncio.wait({self._keeping})
        if self._calls:
            await asyncio.wait(self._calls)

    async def stop(self) -> None:
        """See `Trigger.stop`."""
        self._ending.set()
        tasks = {*self._calls, *([self._keeping] if self._keeping is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self) -> None:
        """Have as many calls at once as host.json allows and the workers can use."""
        while not self._ending.is_set():
            while len(self._calls) < self._wanted():
                call = asyncio.get_running_loop().create_task(self._call())
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
            await self._pause(1.0)

    def _wanted(self) -> int:
        return min(self._most, self._setup.concurrency())

    async def _call(self) -> None:
        """Take one message after the other, for ever, whatever the broker does meanwhile."""
        from azure.servicebus.exceptions import ServiceBusError

        misses = 0
        while not self._ending.is_set():
            try:
                async with AsyncExitStack() as stack:
                    receiver, sender = await self._connect(stack)
                    while not self._ending.is_set() and len(self._calls) <= self._wanted():
                        # A queue that is not there is refused here, not when the receiver is made.
                        messages = await receiver.receive_messages(1, max_wait_time=_WAIT_SECONDS)
                        misses = 0
                        if not self._unsent:
                            self._setup.report(TriggerState("Running"))
                        for message in messages:
                            await self._run(receiver, sender, message)
                    return
            except (ServiceBusError, OSError, ValueError) as error:  # noqa: PERF203 - connections break
                self._setup.report(_waiting(self._input.name, error))
                await self._pause(_PAUSES[min(misses, len(_PAUSES) - 1)])
                misses += 1

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when the trigger is to end."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _connect(self, stack: AsyncExitStack) -> tuple[ServiceBusReceiver, ServiceBusSender | None]:
        from azure.servicebus.aio import ServiceBusClient

        client = ServiceBusClient.from_connection_string(self._input.connection, retry_total=0)
        await stack.enter_async_context(client)
        receiver = await stack.enter_async_context(client.get_queue_receiver(self._input.name))
        if self._output is None:
            return receiver, None
        out = ServiceBusClient.from_connection_string(self._output.connection)
        await stack.enter_async_context(out)
        return receiver, await stack.enter_async_context(out.get_queue_sender(self._output.name))

    async def _run(
        self,
        receiver: ServiceBusReceiver,
        sender: ServiceBusSender | None,
        message: ServiceBusReceivedMessage,
    ) -> None:
        from azure.servicebus.exceptions import MessageLockLostError

        event = event_of(message, new_id(), self._input.name)
        try:
            outcome = await self._renewing(
                receiver, message, asyncio.ensure_future(self._setup.invoke(event))
            )
            failure = outcome.failure
            if failure is None and sender is not None:
                failure = await self._send(sender, answer_to(message, outcome))
            if failure is None:
                await receiver.complete_message(message)
                return
            self._say(event, message, failure)
            await receiver.abandon_message(message)
        except MessageLockLostError:
            self._say(
                event, message, "The run was longer than its lock lasted, so the message is delivered again."
            )

    async def _send(self, sender: ServiceBusSender, answer: ServiceBusMessage) -> str | None:
        """What is wrong with the answer. What is wrong with its queue is raised, and shows until one is accepted."""
        from azure.servicebus.exceptions import MessageSizeExceededError

        failure = None
        self._unsent = True
        try:
            await sender.send_messages(answer)
        except MessageSizeExceededError as error:
            failure = f"The answer is too large for its queue: {error}"
        self._unsent = False
        return failure

    def _say(self, event: Event, message: ServiceBusReceivedMessage, what: str) -> None:
        delivery = (message.delivery_count or 0) + 1
        self._setup.log(f"function {self._setup.function.name}: {event.origin}, delivery {delivery}: {what}")

    async def _renewing(
        self,
        receiver: ServiceBusReceiver,
        message: ServiceBusReceivedMessage,
        running: asyncio.Future[Outcome],
    ) -> Outcome:
        """Wait for the outcome; while that lasts the message stays ours, up to ``maxAutoLockRenewalDuration``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._renewal
        try:
            while not running.done():
                pause = _until_renewal(message)
                renewing = loop.time() + pause < until
                await asyncio.wait({running}, timeout=pause if renewing else None)
                if renewing and not running.done():
                    await receiver.renew_message_lock(message)
            return running.result()
        finally:
            running.cancel()

    def _queue(self, binding: object) -> _Queue:
        from azure.servicebus import parse_connection_string

        settings, name = self._setup.settings, self._setup.function.name
        assert hasattr(binding, "get")  # noqa: S101 - it is a mapping
        connection = settings.connection(str(binding.get("connection") or "ServiceBus"))
        queue = settings.resolve(str(binding.get("queueName") or ""))
        if not queue:
            raise FunctionInvalid(
                "BindingNotSupported",
                f"Function {name}: a binding of the type {SERVICE_BUS} or serviceBus has no queueName.",
                "Package the model again.",
            )
        try:
            parse_connection_string(connection)
        except ValueError as error:
            raise FunctionInvalid(
                "ConnectionStringInvalid",
                f"Function {name}: the connection string for the queue {queue!r} cannot be used: {error}",
                "Take the one that `mooring servicebus namespace authorization-rule keys list` shows.",
            ) from error
        return _Queue(connection, queue)


def _until_renewal(message: ServiceBusReceivedMessage) -> float:
    """Seconds until half of what is left of a lock is over."""
    from datetime import datetime, timezone

    until = message.locked_until_utc
    left = (until - datetime.now(timezone.utc)).total_seconds() if until is not None else 0.0
    return max(left / 2, 0.1)


def _renewal_seconds(setup: Setup) -> float:
    section = setup.host.extensions.get("serviceBus") or {}
    text = str(section.get("maxAutoLockRenewalDuration", _MAX_RENEWAL))
    found = _SPAN.fullmatch(text)
    if found is None:
        raise FunctionInvalid(
            "HostFileInvalid",
            f"host.json: extensions.serviceBus.maxAutoLockRenewalDuration must be like {_MAX_RENEWAL}, not {text!r}.",
            "Package the model again.",
        )
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _waiting(queue: str, error: Exception) -> TriggerState:
    from azure.servicebus.exceptions import (
        MessagingEntityNotFoundError,
        ServiceBusAuthenticationError,
        ServiceBusAuthorizationError,
    )

    if isinstance(error, MessagingEntityNotFoundError):
        return TriggerState(
            "Waiting",
            code="TriggerQueueNotFound",
            message=f"The queue {queue!r}, or the output queue, does not exist: {error}",
            hint="Create it: mooring servicebus queue create.",
        )
    if isinstance(error, ServiceBusAuthenticationError | ServiceBusAuthorizationError):
        return TriggerState(
            "Waiting",
            code="TriggerNotAuthorized",
            message=f"The namespace refuses the connection string for the queue {queue!r}: {error}",
            hint="It needs the rights Listen (input) and Send (output); set the app setting to one that has them.",
        )
    return TriggerState(
        "Waiting",
        code="TriggerNotConnected",
        message=f"The queue {queue!r} cannot be reached: {error}",
        hint="It is tried again by itself; check the connection string and the broker.",
    )
