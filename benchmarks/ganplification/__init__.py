"""Does a generator know more than its training sample? The study of arXiv:2008.06545 in one and five
dimensions.

A generator is trained on N points of a known distribution, and M ≫ N points are drawn from it. The space is
cut into cells of equal probability, and the mean squared error of the probabilities of the cells is compared
with that of samples of the truth: the size of the sample with the same error, over N, is the amplification
factor.
"""

from __future__ import annotations

from benchmarks.ganplification.study import run

__all__ = ["run"]
