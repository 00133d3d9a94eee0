"""Which of the pairs become items: as many of each type as of the others, spread over the images."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from degla.negative_types import NEGATIVE_TYPES


class Candidate(NamedTuple):
    """A caption and one of its negatives that the filter kept."""

    image: str
    caption: str
    negative: str
    type: str
    generator: str


def draw(candidates: Sequence[Candidate], num_items: int, seed: int) -> list[Candidate]:
    """At most `num_items` of them, each type in turn; of a type the image with the fewest items comes first, then by chance.

    A caption gives one item of a type at most. The result does not depend on the order of the candidates.
    """
    queues = {name: _queue(candidates, name, seed) for name in NEGATIVE_TYPES}
    of_image: Counter[str] = Counter()
    taken: set[tuple[str, str, str]] = set()
    drawn: list[Candidate] = []
    while len(drawn) < num_items and any(queues.values()):
        for queue in queues.values():
            candidate = _next(queue, of_image, taken)
            if candidate is not None and len(drawn) < num_items:
                of_image[candidate.image] += 1
                taken.add((candidate.image, candidate.caption, candidate.type))
                drawn.append(candidate)
    return drawn


def _queue(candidates: Sequence[Candidate], name: str, seed: int) -> list[tuple[int, bytes, Candidate]]:
    queue = [(0, _chance(each, seed), each) for each in candidates if each.type == name]
    heapq.heapify(queue)
    return queue


def _next(
    queue: list[tuple[int, bytes, Candidate]], of_image: Counter[str], taken: set[tuple[str, str, str]]
) -> Candidate | None:
    while queue:
        known, chance, candidate = heapq.heappop(queue)
        if (candidate.image, candidate.caption, candidate.type) in taken:
            continue
        if of_image[candidate.image] == known:
            return candidate
        heapq.heappush(queue, (of_image[candidate.image], chance, candidate))
    return None


def _chance(candidate: Candidate, seed: int) -> bytes:
    return hashlib.blake2b("|".join((str(seed), *candidate)).encode(), digest_size=8).digest()
