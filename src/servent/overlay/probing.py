"""How many supernodes, chosen at random, a question asks when those that should know did not say enough. Pure.

In ten thousand peers a batch of 15 brought what was wanted to none of the questions whose words were all too hot, at 45 messages
each; where liars had hidden it, batches up to 48 brought it to nearly all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PROBED_AGAIN = 15  # supernodes at most when those that should know agree on nothing, or a word is hot
HOT_ENOUGH = 0.1  # of what was asked for: so much of hot words is enough, as more takes 9 messages for each find and more


@dataclass(slots=True)
class Probing:
    """Batches, each larger than the last.

    Attributes:
        batches: supernodes in each.
        budget: that may still be asked.
        batch: how many batches were sent.
    """

    batches: Sequence[int]
    budget: int
    batch: int = 0
    _had: int = 0  # finds before the last batch

    def next(self, found: int, *, hot: bool, agreed: bool, proven: bool) -> int:
        """Size of the next batch, 0 when no more is sent.

        Args:
            found: finds so far.
            hot: its words are in more items than anyone keeps. Once something is found, another batch is worth it
                only if the last one brought something.
            agreed: two that should know said that there is nothing. `proven`: both have lately shown that they are honest;
                then the first batch is all.
        """
        if not self.batch and (hot or agreed):
            self.budget = min(self.budget, self.batches[0] if agreed and proven else PROBED_AGAIN)
        if self.batch >= len(self.batches) or self.budget <= 0:
            return 0
        if hot and self.batch and 0 < found == self._had:
            self.budget = 0
            return 0
        size = min(self.batches[self.batch], self.budget)
        self.batch += 1
        self._had = found
        return size
