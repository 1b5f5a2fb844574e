"""Which answers to open questions are taken together: full and fractional designs, and the neighbours of a protocol.

A protocol is a tuple with the number of its answer to each question, 0 for the study's own. ``counts`` are the numbers
of answers. Fractions are regular two-level designs (Box, Hunter & Hunter, Statistics for Experimenters, ch. 6): a
column is a product of base columns, here a bit pattern, and the resolution is the length of the shortest product of
columns that is constant. pyDOE's fractions of resolution 4 and 5 are not used, as they check single generators and not
their products.
"""

from __future__ import annotations

from functools import reduce
from itertools import combinations, count, product
from math import prod
from operator import xor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Protocol = tuple[int, ...]


def full(counts: Sequence[int]) -> list[Protocol]:
    """Every combination of answers, the study's own first."""
    return list(product(*map(range, counts)))


def full_size(counts: Sequence[int]) -> int:
    """How many protocols ``full`` has, without listing them."""
    return prod(counts)


def fractional(counts: Sequence[int], resolution: int) -> list[Protocol]:
    """The smallest regular fraction of a resolution (3, 4 or 5), the study's own protocol first.

    A question of k answers takes the least number of two-level columns that number them; a number beyond the last
    answer counts from the first again, the study's own. The resolution is that of the columns, so of the questions only
    where all have two answers or four. Protocols that occur twice are listed once.
    """
    widths = [(k - 1).bit_length() for k in counts]
    columns = columns_of(sum(widths), resolution)
    protocols = []
    for row in range(2 ** max((c.bit_length() for c in columns), default=0)):
        levels = iter((row & column).bit_count() % 2 for column in columns)
        numbers = [sum(next(levels) << bit for bit in range(width)) for width in widths]
        protocols.append(tuple(number % k for number, k in zip(numbers, counts, strict=True)))
    return list(dict.fromkeys(protocols))


def columns_of(number: int, resolution: int) -> list[int]:
    """Bit patterns of ``number`` columns over as few base columns as the first fit finds.

    No ``resolution`` - 1 or fewer of them have a constant product.
    """
    for base in count():
        chosen = [1 << k for k in range(min(base, number))]
        for column in range(1, 1 << base):
            if len(chosen) == number:
                break
            products = (reduce(xor, some, 0) for r in range(resolution - 1) for some in combinations(chosen, r))
            if column not in chosen and column not in products:
                chosen.append(column)
        if len(chosen) == number:
            return chosen
    raise AssertionError  # count() does not end


def neighbours(protocol: Protocol, counts: Sequence[int]) -> list[Protocol]:
    """The protocols that differ in one answer, in the order of questions and answers."""
    return [
        (*protocol[:k], answer, *protocol[k + 1 :])
        for k, answers in enumerate(counts)
        for answer in range(answers)
        if answer != protocol[k]
    ]
