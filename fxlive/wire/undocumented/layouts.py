"""Learned layouts: the undocumented fields that the messages of a channel keep coming with.

Once enough messages of a channel had the same undocumented fields, messages are decoded into structs that have these
fields, too. The structs refuse all others, so that an unexpected message takes the slow path as before, with the same
result. A learned layout only contains fields whose columns do not depend on the other fields of the message.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Union

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from fxlive.wire.channels import Channel
from fxlive.wire.messages import CONTROL_MESSAGES, DATA_MESSAGES
from fxlive.wire.undocumented.columns import MAX_EXACT_INTEGER
from fxlive.wire.undocumented.extras import Block, Extras
from fxlive.wire.undocumented.names import flatten_uncached

MAX_FIELDS = 512
"""The most undocumented fields of a learned layout."""
SAMPLES = 16
"""A layout has the fields of at least two of so many messages."""
FIRST_INTERVAL = 8
"""One of so many messages that the decoder refuses is a sample; of twice as many after each layout of the channel."""
MAX_MISSES = 10_000
"""A layout is forgotten when so many more messages missed it than used it."""
_MAX_DEPTH = 4

Fields = Mapping[str, Any]
"""Undocumented fields as a tree: the type of each, or the fields of an object."""

_Number = int | float | str | None  # not bool: JSON's true must not become the number 1
_Scalar = bool | int | float | str | None

decode_documented = msgspec.json.Decoder(Union[(*DATA_MESSAGES, *CONTROL_MESSAGES)], strict=False).decode


class Layout:
    """The undocumented fields of a channel's messages, and the struct that has them.

    Raises
    ------
    ValueError
        If the fields cannot be learned: a column depends on the other fields, or a value is a list.
    """

    def __init__(self, channel: Channel, envelope: Fields, data: Fields) -> None:
        self.channel, self.envelope, self.data = channel, envelope, data
        self.names = _column_names(channel, envelope, data)
        self.balance = 0
        """The number of messages that used the layout, at most `MAX_MISSES`, less those that missed it."""
        types: Any = channel.message
        self._plain_types = types, msgspec.structs.fields(types)[_DATA].type
        self.message = _struct(envelope, types, {"layout": self}, data=_struct(data, self._plain_types[1]))
        self._trees = (*envelope.values(), *data.values())
        self._objects = _objects(self._trees)
        self._numbers = [position for position, leaf in enumerate(_leaves(self._trees)) if leaf == _Number]
        self._unset = (UNSET,) * len(self.names)

    def split(self, messages: Sequence[Any], others: dict[int, dict[str, Any]]) -> tuple[list[Any], Extras]:
        """Return messages without their undocumented fields, and these fields.

        Parameters
        ----------
        messages
            Messages of the channel. Those that are not of this layout are returned as they are.
        others
            The undocumented fields of those, by index.
        """
        message_type, data_type = self._plain_types
        envelope_stop, data_stop = len(message_type.__struct_fields__), len(data_type.__struct_fields__)
        plain, rows, values = list(messages), [], []
        for row, message in enumerate(messages):
            if type(message) is self.message:
                data = astuple(message.data)
                known = data_type(*data[:data_stop])
                plain[row] = message_type(message.channel, known, message.timestamp, message.id)
                rows.append(row)
                added = data[data_stop:]
                values.append(astuple(message)[envelope_stop:] + added if self.envelope else added)
        if self._objects:
            values = [_leaf_values(self._trees, self._objects, row_values) for row_values in values]
        return plain, self._extras(rows, values, others)

    def _extras(self, rows: list[int], values: list[tuple[Any, ...]], others: dict[int, dict[str, Any]]) -> Extras:
        used = [place for place, row_values in enumerate(values) if row_values != self._unset]
        self.balance = min(self.balance + 2 * len(used) - len(rows), MAX_MISSES)
        if len(used) < len(rows):
            rows, values = [rows[place] for place in used], [values[place] for place in used]
        if not rows:
            return Extras(others)
        names, number_fields = self.names, self._numbers
        present = _present_fields(values)
        if len(present) < len(names):  # another stream of the channel has the others
            names = tuple(names[field] for field in present)
            known = set(number_fields)
            number_fields = [at for at, field in enumerate(present) if field in known]
            values = [tuple(row[field] for field in present) for row in values]
        block = Block(names, np.array(rows, np.int64), values)
        numbers = _as_numbers(values, number_fields)
        if numbers is not None:
            block = block._replace(number_fields=number_fields, numbers=numbers)
        return Extras(others, block)


_DATA = 1
assert all(message.__struct_fields__[_DATA] == "data" for message in DATA_MESSAGES)


def _struct(fields: Fields, base: type[msgspec.Struct] | None, namespace: Any = None, **replaced: Any) -> Any:
    """Return a struct with the fields of a base and undocumented ones, which are optional except in nested objects."""
    names = {f"undocumented_{number}": name for number, name in enumerate(fields)}
    types = [_struct(tree, None) if isinstance(tree, dict) else tree for tree in fields.values()]
    added: Any = [(name, kind | UnsetType, UNSET) for name, kind in zip(names, types, strict=True)]
    config: dict[str, Any] = {"frozen": True, "gc": False, "forbid_unknown_fields": True, "rename": names}
    if base is None:
        return msgspec.defstruct("Learned", list(zip(names, types, strict=True)), **config)
    return msgspec.defstruct("Learned", [*replaced.items(), *added], bases=(base,), namespace=namespace, **config)


def _column_names(channel: Channel, envelope: Fields, data: Fields) -> tuple[str, ...]:
    """Return the columns of undocumented fields, which are the same for any of the fields in any order.

    Raises
    ------
    ValueError
        If they are not.
    """
    leaves: list[str] = []
    names: list[str] = []
    for fields, in_envelope in ((envelope, True), (data, False)):
        for path, is_leaf in _paths(fields):
            nested: Any = None
            for name in reversed(path):
                nested = {name: nested}
            (column,) = flatten_uncached(channel, nested if in_envelope else {}, {} if in_envelope else nested)
            names.append(column)
            leaves += [column] if is_leaf else []
    if len(set(names)) < len(names) or len(leaves) > MAX_FIELDS:
        raise ValueError("too many fields, or fields with one name")
    return tuple(leaves)


def _paths(fields: Fields, parents: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the path of each field and of each object, and whether it is a field."""
    for name, tree in fields.items():
        yield (*parents, name), not isinstance(tree, dict)
        if isinstance(tree, dict):
            yield from _paths(tree, (*parents, name))


def _tree_of(value: Any, depth: int = 0) -> Any:
    if isinstance(value, dict) and value and depth < _MAX_DEPTH:
        return {name: _tree_of(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, dict | list):
        raise ValueError("not a number, flag or text")
    return _Number if type(value) in (int, float) else _Scalar


def _common(samples: Sequence[Fields]) -> Fields:
    """Return the fields of those messages that two of the samples have, in their order."""
    counts = Counter(chain.from_iterable(samples))
    common: Fields = {}
    for fields in samples:
        common = _merged(common, {name: _tree_of(value) for name, value in fields.items() if counts[name] > 1})
    return common


def _merged(former: Fields, new: Fields) -> Fields:
    """Return the fields of both; a field that has been a number and something else may be both."""
    both = {name: _Scalar for name, tree in new.items() if tree == _Number and former.get(name) == _Scalar}
    return {**former, **new, **both}


def _leaves(trees: Sequence[Any]) -> Iterator[Any]:
    for tree in trees:
        if isinstance(tree, dict):
            yield from _leaves(tuple(tree.values()))
        else:
            yield tree


def _objects(trees: Sequence[Any]) -> list[int]:
    """Return the positions of objects, the last first."""
    return [position for position, tree in enumerate(trees) if isinstance(tree, dict)][::-1]


def _leaf_values(trees: Sequence[Any], objects: list[int], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values with the leaves of each object in its place; UNSET for those of a missing object."""
    for position in objects:
        inner, value = tuple(trees[position].values()), values[position]
        if value is UNSET:
            leaves = (UNSET,) * len(list(_leaves(inner)))
        else:
            leaves = _leaf_values(inner, _objects(inner), astuple(value))
        values = (*values[:position], *leaves, *values[position + 1 :])
    return values


def _present_fields(values: Sequence[tuple[Any, ...]]) -> list[int]:
    """Return the positions of the fields that any row has."""
    absent = [field for field, value in enumerate(values[0]) if value is UNSET]
    if len(absent) > 1:  # itemgetter of one position returns no tuple
        unset = (UNSET,) * len(absent)
        if all(row == unset for row in map(itemgetter(*absent), values)):
            return sorted(set(range(len(values[0]))).difference(absent))
    absent = [field for field in absent if all(row[field] is UNSET for row in values)]
    return sorted(set(range(len(values[0]))).difference(absent))


def _as_numbers(values: Sequence[tuple[Any, ...]], fields: Sequence[int]) -> npt.NDArray[np.float64] | None:
    """Return the values of fields, shape (fields, rows); None if not all are numbers that float64 holds exactly."""
    if not fields or not values:
        return None
    pack, get = struct.Struct(f"{len(fields)}d").pack, itemgetter(*fields)
    selected: Iterable[tuple[Any, ...]] = values
    if len(fields) < len(values[0]):
        selected = map(get, values) if len(fields) > 1 else [(get(row),) for row in values]
    try:
        packed = [_pack(pack, row) for row in selected]
    except (struct.error, OverflowError):  # text, or too large
        return None
    numbers = np.frombuffer(b"".join(packed)).reshape(len(values), len(fields)).T.copy()
    return None if (np.abs(numbers) >= MAX_EXACT_INTEGER).any() else numbers


def _pack(pack: Any, row: tuple[Any, ...]) -> bytes:
    try:
        packed: bytes = pack(*row)
    except struct.error:
        packed = pack(*[math.nan if value is None or value is UNSET else value for value in row])
    return packed


class Layouts:
    """The learned layouts, at most one a channel, and the decoder that knows them.

    Examples
    --------
    >>> from fxlive.wire.channels import CHANNELS
    >>> layouts = Layouts()
    >>> for _ in range(FIRST_INTERVAL * SAMPLES):
    ...     layouts.note(CHANNELS["trades"], {}, {"mood": "calm"})
    >>> data = b'{"executionId":"1","symbol":"EURUSD","mood":"bad"}'
    >>> raw = b'{"type":"trade","channel":"trades","timestamp":"t","data":' + data + b"}"
    >>> message = layouts.decode(raw)
    >>> message.layout.split([message], {})[1][0]
    {'mood': 'bad'}
    """

    def __init__(self) -> None:
        self.decode: Any = decode_documented
        self._learned: dict[str, Layout] = {}
        self._samples: dict[str, list[tuple[Fields, Fields]]] = {}
        self._seen: dict[str, int] = {}
        self._interval: dict[str, int] = {}

    def note(self, channel: Channel, envelope: Fields, data: Fields) -> None:
        """Note the undocumented fields of a message that the decoder refused."""
        name = channel.name
        layout = self._learned.get(name)
        if layout is not None:
            layout.balance -= 1
            self.forget_unused(layout)
        self._seen[name] = seen = self._seen.get(name, 0) + 1
        if seen % self._interval.setdefault(name, FIRST_INTERVAL) == 0:
            samples = self._samples.setdefault(name, [])
            samples.append((envelope, data))
            if len(samples) >= SAMPLES:
                self._samples[name] = []
                self._learn(channel, samples)

    def _learn(self, channel: Channel, samples: list[tuple[Fields, Fields]]) -> None:
        """Learn the fields that several samples have."""
        try:
            envelope, data = (_common(fields) for fields in zip(*samples, strict=True))
            if not envelope and not data:
                return
            former = self._learned.get(channel.name)
            try:
                former_fields = ({}, {}) if former is None else (former.envelope, former.data)
                layout = Layout(channel, *map(_merged, former_fields, (envelope, data)))
            except ValueError:
                layout = Layout(channel, envelope, data)
        except (ValueError, TypeError):  # such as a name with a quotation mark, which the decoder cannot have
            return
        self._interval[channel.name] *= 2
        if former is None or layout.names != former.names or layout.data != former.data:
            self._learned[channel.name] = layout
            self._renew_decoder()

    def forget_unused(self, layout: Layout) -> None:
        """Forget a layout that most messages miss."""
        if layout.balance < -MAX_MISSES and self._learned.get(layout.channel.name) is layout:
            self._learned.pop(layout.channel.name, None)
            self._interval.pop(layout.channel.name, None)
            self._renew_decoder()

    def _renew_decoder(self) -> None:
        learned = {layout.channel.message: layout.message for layout in self._learned.values()}
        messages = tuple(learned.get(message, message) for message in DATA_MESSAGES)
        decoder = msgspec.json.Decoder(Union[(*messages, *CONTROL_MESSAGES)], strict=False)
        self.decode = decoder.decode if learned else decode_documented


LAYOUTS = Layouts()
"""The layouts of this process."""
