"""A recording's sound, packet by packet, on the clock of its picture."""

from collections.abc import Iterable, Iterator
from typing import Any

from .clock import LONGEST_PAUSE_S

_OVERLAP_S = 1  # packets of sound may begin this long before the end of the one before


def all_packets(file: Any, track: Any) -> Iterator[Any]:
    """Packets of a track, then the one that flushes its decoder; a stream that begins within the file does no harm."""
    flush = None
    while True:
        try:
            for packet in file.demux(track):
                if packet.size:
                    yield packet
                else:
                    flush = packet
            break
        except IndexError:
            continue  # PyAV's answer to a stream that appeared after opening; asked again, it goes on
    if flush is not None:
        yield flush


def joined_sound(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets of a sound track with the jumps of its clock closed, as `Clock` closes those of the picture."""
    shift, end = 0, None
    for packet in packets:
        if packet.size and packet.pts is not None:
            gap_s = 0 if end is None else float((packet.pts - end) * packet.time_base)
            if end is not None and not -_OVERLAP_S <= gap_s <= LONGEST_PAUSE_S:
                shift += packet.pts - end
            end = packet.pts + (packet.duration or 0)
            packet.pts -= shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        yield packet
