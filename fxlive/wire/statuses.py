"""The platform's words for the state of a trade, an order and a side, in every plausible spelling.

Words are compared without regard to case, spaces, hyphens, underscores and other punctuation: `PARTIALLY_CLOSED`,
`Partially closed` and `partiallyClosed` are one word. A status that is in no list is unknown: nothing is concluded
from it, and `Store` counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache, wraps
from typing import Literal, TypeVar

Side = Literal[-1, 0, 1]
"""1: bought, -1: sold, 0: unknown."""


class TradeState(Enum):
    """The stage of a trade, by its status."""

    CLOSES = "closes a position, or a part of it"
    EXECUTED = "was executed: it closes a position if it is opposite to it"
    OPENS = "opens a position"
    NOT_EXECUTED = "was not executed, or not yet"
    UNKNOWN = "not a known status"


class OrderState(Enum):
    """The stage of an order, by its status."""

    WORKING = "can still be executed"
    ENDED = "cannot be executed any more"
    UNKNOWN = "not a known status"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLOSES = _words("""
    CLOSED CLOSE CLOSING CLOSEOUT CLOSEDOUT PARTIALLYCLOSED PARTIALLYCLOSE PARTIALCLOSE PARTIALCLOSED PARTCLOSED
    FULLYCLOSED FULLCLOSE LIQUIDATED LIQUIDATION LIQUIDATING STOPPEDOUT STOPOUT STOPPED STOPLOSS STOPLOSSHIT SLHIT SL
    TAKEPROFIT TAKEPROFITHIT TPHIT TP MARGINCALL MARGINCLOSEOUT EXITED EXIT FLATTENED SQUAREDOFF REDUCED COVERED
""")
_PARTLY_FILLED = _words("""
    PARTIALLYFILLED PARTIALLYFILL PARTIALFILL PARTIALFILLED PARTFILLED PARTIAL PARTIALLYEXECUTED
""")
_EXECUTED = _PARTLY_FILLED | _words("""
    FILLED FILL FULLYFILLED COMPLETELYFILLED DONE COMPLETED COMPLETE EXECUTED TRADED MATCHED SETTLED CONFIRMED SUCCESS
    SUCCESSFUL SUCCEEDED
""")
_OPENS = _words("OPEN OPENED OPENING ACTIVE LIVE RUNNING INCREASED")
_PENDING = _words("""
    PENDING NEW WORKING ACCEPTED PLACED SUBMITTED PRESUBMITTED RECEIVED REQUESTED CREATED QUEUED WAITING PROCESSING
    INPROGRESS STARTED UNFILLED RESTING HELD SUSPENDED TRIGGERED ACTIVATED ARMED STAGED MODIFIED AMENDED UPDATED
    REPLACED CALCULATED PENDINGNEW PENDINGSUBMIT PENDINGCANCEL PENDINGREPLACE PENDINGMODIFY PENDINGCLOSE CANCELLING
    CANCELING CANCELREQUESTED CANCELPENDING CANCELREJECTED REPLACEREJECTED MODIFYREJECTED DONEFORDAY
""")
_NEVER_EXECUTED = _words("""
    CANCELLED CANCELED CANCEL REJECTED REJECT EXPIRED EXPIRE FAILED FAILURE ERROR INVALID DENIED DECLINED REFUSED
    DELETED REMOVED VOID VOIDED KILLED ABORTED TERMINATED WITHDRAWN REVOKED REVERSED BUSTED
""")
_ENDS_ORDER = _NEVER_EXECUTED | _words("""
    FILLED FILL FULLYFILLED COMPLETELYFILLED DONE COMPLETED COMPLETE EXECUTED TRADED CLOSED CLOSE FULLYCLOSED CLOSEDOUT
    LIQUIDATED STOPPEDOUT FINISHED ENDED INACTIVE
""")
_WORKING_ORDER = _PENDING | _OPENS | _PARTLY_FILLED | _words("PARTIALLYCLOSED CLOSING")
# Beginnings and ends of longer words, such as CLOSED_BY_STOP_LOSS and CANCELLED_BY_USER.
_CLOSED = ("CLOSED", "LIQUIDATED", "STOPPEDOUT")
_WITHDRAWN = ("CANCELLED", "CANCELED", "REJECTED", "EXPIRED")
_NEGATIONS = ("NOT", "UN", "TOBE", "PENDING", "NEVER", "PARTIAL", "PART", "AWAITING")


_SHORT_CHARS = 64

_Meaning = TypeVar("_Meaning")


def _remembered(meaning_of: Callable[[str], _Meaning]) -> Callable[[str], _Meaning]:
    """Remember the meanings of 4,096 short texts: the platform decides how many there are, and how long they are."""
    remembered = lru_cache(4096)(meaning_of)

    @wraps(meaning_of)
    def meaning(text: str) -> _Meaning:
        return remembered(text) if len(text) <= _SHORT_CHARS else meaning_of(text)

    return meaning


@_remembered
def trade_state(status: str) -> TradeState:
    """Return what the status of a trade says about its execution.

    >>> trade_state("Partially closed").name, trade_state("FILLED").name, trade_state("on ice").name
    ('CLOSES', 'EXECUTED', 'UNKNOWN')
    """
    word = normalized(status)
    if word in _CLOSES or _contains(word, _CLOSED):
        return TradeState.CLOSES
    if word in _EXECUTED:
        return TradeState.EXECUTED
    if word in _OPENS:
        return TradeState.OPENS
    if word in _PENDING or word in _NEVER_EXECUTED or _contains(word, _WITHDRAWN):
        return TradeState.NOT_EXECUTED
    return TradeState.UNKNOWN


@_remembered
def order_state(status: str) -> OrderState:
    """Return what the status of an order says about it. The remaining volume may be missing, so it is not considered.

    >>> order_state("done").name, order_state("PARTIALLY_FILLED").name, order_state("on ice").name
    ('ENDED', 'WORKING', 'UNKNOWN')
    """
    word = normalized(status)
    if word in _WORKING_ORDER:
        return OrderState.WORKING
    if word in _ENDS_ORDER or _contains(word, (*_WITHDRAWN, *_CLOSED)):
        return OrderState.ENDED
    return OrderState.UNKNOWN


def is_ended_order(status: object) -> bool:
    """Return whether an order with this status cannot be executed any more; False if it is missing or unknown."""
    return isinstance(status, str) and order_state(status) is OrderState.ENDED


@_remembered
def side_of(text: str) -> Side:
    """Return the side that an `action`, a `type` or an `orderType` names.

    >>> side_of("BUY"), side_of("sell limit"), side_of("Short"), side_of("flat")
    (1, -1, -1, 0)
    """
    word = normalized(text)
    if word in ("B", "LONG", "BID", "BOUGHT") or word.startswith(("BUY", "LONG")):
        return 1
    return -1 if word in ("S", "SHORT", "ASK", "SOLD") or word.startswith(("SELL", "SHORT")) else 0


def is_executed(status: str | None) -> bool:
    """Return whether a trade with this status may have been executed: unless its status denies it."""
    return status is None or trade_state(status) is not TradeState.NOT_EXECUTED


def is_unknown(channel: str, status: str) -> bool:
    """Return whether a status is in no list of its channel. Channels other than trades and orders have no lists."""
    if channel == "trades":
        return trade_state(status) is TradeState.UNKNOWN
    return channel == "orders" and order_state(status) is OrderState.UNKNOWN


def normalized(text: str) -> str:
    """Return a text in upper case without anything but letters and digits.

    >>> normalized("partially-Closed"), normalized("STOPPED_OUT")
    ('PARTIALLYCLOSED', 'STOPPEDOUT')
    """
    return "".join(filter(str.isalnum, text)).upper()


def _contains(word: str, parts: tuple[str, ...]) -> bool:
    """Return whether a word begins or ends with one of some words, without a negation before it."""
    return word.startswith(parts) or (word.endswith(parts) and not word.startswith(_NEGATIONS))
