"""Send one update and keep the journal: write it down, deliver it, write down what came of it.

The engine behind `cmdstat set`. The order is the promise: the row is `sending` before the request
leaves, and its outcome is recorded before anybody is shown it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cmdstat.attempts import Clock, Policy, Step, Wire
from cmdstat.delivery import Delivery
from cmdstat.endings import make_record
from cmdstat.errors import CmdstatError
from cmdstat.instants import timestamp
from cmdstat.interrupts import Interruption, StopAtOnce
from cmdstat.journal.records import Journal, Origin
from cmdstat.models import StatusUpdate, UpdateRecord


class Dispatched(NamedTuple):
    """The record of an update, and why the journal does not have it, if it does not."""

    record: UpdateRecord
    not_recorded: CmdstatError | None


def dispatch(
    update: StatusUpdate,
    wire: Wire,
    journal: Journal,
    origin: Origin,
    interruption: Interruption,
    *,
    policy: Policy,
    clock: Clock,
    watch: Callable[[Step], None],
) -> Dispatched:
    """Carry one update to its end and record it.

    Raises `ConfigurationError` if the journal cannot be written before anything is sent; after
    that, a journal that fails is reported beside the record.
    """
    number = journal.begin(update, origin)
    delivery = Delivery(
        update,
        wire,
        interruption,
        policy=policy,
        clock=clock,
        own_doing=lambda: journal.content_before(number, update.id, origin.base_url),
        watch=watch,
    )
    try:
        interruption.allow_stopping_at_once(True)
        ending = delivery.run()
        interruption.allow_stopping_at_once(False)
    except StopAtOnce:
        interruption.allow_stopping_at_once(False)
        ending = delivery.abandoned()
    now = clock.time()
    record = make_record(number, update, ending, **origin._asdict(), at=timestamp(now))
    try:
        journal.finish(record, now)
    except CmdstatError as failure:
        return Dispatched(record, failure)
    return Dispatched(record, None)
