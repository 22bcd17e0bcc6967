"""Where the only value of a column chunk lies in a parquet file, and the checksum of the page around it.

Conventions: `mcn.shards` writes one video a row group, uncompressed, as a single value: its bytes are the end of the
column's only page.
"""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

LENGTH_BYTES = 4  # a parquet byte array is preceded by its length
NEXT_INTEGER = b"\x15"  # thrift's compact protocol: the next field, of type i32


class Page(NamedTuple):
    """Where the bytes of a page lie in a file, and the CRC-32 that its header says they have."""

    start: int
    end: int
    crc: int


def value_in_page(data: mmap.mmap, chunk: Any, size: int) -> tuple[bytes | None, int | None]:
    """What precedes the only value of a column chunk, `size` bytes long, and its offset in the file.

    The page header, with the page's checksum, is in what precedes. (None, None) where the chunk is laid out otherwise.
    """
    if chunk.compression != "UNCOMPRESSED" or chunk.num_values != 1:
        return None, None
    offset = chunk.data_page_offset + chunk.total_compressed_size - size
    header = data[chunk.data_page_offset : offset]
    if int.from_bytes(header[-LENGTH_BYTES:], "little") != size:
        return None, None
    return header, offset


def page_of(header: bytes, chunk: Any) -> Page | None:
    """The only page of a column chunk, by the header that precedes it; None where the header has no CRC-32.

    Source: PageHeader of parquet.thrift, in the compact protocol: fields 1 to 4 are four integers of type i32, of which
    the third is the size of the page's bytes and the fourth their CRC-32.
    """
    numbers, place = [], 0
    for _ in range(4):
        if header[place : place + 1] != NEXT_INTEGER:
            return None
        number, shift = 0, 0
        while True:
            place += 1
            number |= (header[place] & 0x7F) << shift
            shift += 7
            if header[place] < 0x80:
                break
        numbers.append(number >> 1 ^ -(number & 1))
        place += 1
    end = chunk.data_page_offset + chunk.total_compressed_size
    return Page(end - numbers[2], end, numbers[3] & 0xFFFFFFFF)
