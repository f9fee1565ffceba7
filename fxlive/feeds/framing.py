"""Plain text frames, cut out of what one read of the socket brought.

Nearly every frame of a feed is a whole, uncompressed text message (RFC 6455, section 5.2: FIN set, opcode 1, unmasked).
Those are cut out here, which costs a fifth of what a full parser does. Every other frame (control frames, fragments,
compressed ones, anything wrong) goes to the `websockets` library, and whole, so that the library always stands between
two frames. The tests hold this against the library's own parser.
"""

from __future__ import annotations

_TEXT_AND_FINAL = 0x81
_LENGTH_16 = 126
_LENGTH_64 = 127


def cut_frames(data: bytes, at: int, messages: list[bytes], max_bytes: int, plain: bool) -> tuple[int, int]:
    """Append the payloads of plain text frames to `messages`, up to the first frame that is another or not complete.

    Parameters
    ----------
    data
        Bytes of the stream; a frame begins at place `at`.
    max_bytes
        A frame with a larger payload counts as another, and need not be complete.
    plain
        False while a fragmented message is under way: then every frame counts as another.

    Returns
    -------
    tuple
        Where the frame begins at which it stopped, and where that ends (or, while that is not known, its header):
        beyond the data where it is not complete.

    Examples
    --------
    >>> found = []
    >>> cut_frames(bytes([0x81, 2]) + b"{}" + bytes([0x81, 5]) + b"{", 0, found, 100, plain=True), found
    ((4, 11), [b'{}'])
    """
    end = len(data)
    while end - at >= 2:
        length = data[at + 1]
        start = at + 2
        if length == _LENGTH_16:
            start += 2
            length = int.from_bytes(data[at + 2 : start])
        elif length == _LENGTH_64:
            start += 8
            length = int.from_bytes(data[at + 2 : start])
        elif length > _LENGTH_64:
            return at, end  # masked, which a server must not do: the library shall say so
        if start > end:
            return at, start
        if length > max_bytes:
            return at, end
        stop = start + length
        if stop > end or data[at] != _TEXT_AND_FINAL or not plain:
            return at, stop
        messages.append(data[start:stop])
        at = stop
    return at, at + 2
