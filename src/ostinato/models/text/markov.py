"""Markov models: the next token given the `order` tokens before it, by counting; a baseline for every language model.

Write c(h w) for how often the tokens h were followed by w, c(h) for the sum of c(h w) over w, N_1+(h .) for the number
of different tokens that followed h, and h' for h without its first token. Both smoothings interpolate every order with
the next lower one, down to the uniform distribution 1 / V below the distribution without context, so that no token has
probability zero. A context that was never seen leaves the prediction to h'.

**Witten-Bell** (Witten & Bell 1991, method C; in the notation of Chen & Goodman 1998):

    p(w | h) = (c(h w) + N_1+(h .) p(w | h')) / (c(h) + N_1+(h .))

**Kneser-Ney**, interpolated, with three discounts (Kneser & Ney 1995; "modified" in Chen & Goodman 1998):

    p(w | h) = (c(h w) - D(c(h w))) / c(h) + (D_1 N_1(h .) + D_2 N_2(h .) + D_3 N_3+(h .)) / c(h) p(w | h')
    D_r = r - (r + 1) Y n_{r+1} / n_r,  Y = n_1 / (n_1 + 2 n_2)

with n_r the number of n-grams that occur r times, N_r(h .) the number of tokens that followed h r times, D(0) = 0 and
D(r) = D_3 from r = 3 on. In all orders but the highest, c(h w) is the number of different tokens seen before h w. Where
a count of counts is zero or a D_r falls outside (0, r), as in very small texts, Y stands in for it, or 1/2 where n_1 or
n_2 is zero.

Differences from the papers: there are no sentence markers. Runs of tokens are separate (no n-gram crosses from one to
the next), and the first tokens of a run are predicted from the shorter contexts that they have.

How it is done: the n-grams of one length are kept as sorted 64-bit integers, context times V plus token, beside the
cumulative sums of their counts, so that all followers of a context are neighbours and sums over them are differences.
Where an integer would overflow, the contexts are first renumbered by their rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from ostinato.errors import ConfigError, DataError

Smoothing = Literal["witten-bell", "kneser-ney"]
_SCORED = 2**20  # tokens that are scored at once; bounds the memory
_LARGEST = np.iinfo(np.int64).max


class Markov:
    """An order-k Markov model: p(w | the k tokens before it), by smoothed counts of (k+1)-grams.

    Args:
        order: k, the tokens of context; 0 predicts from frequencies alone.
        vocabulary_size: V; token ids run from 0 to V - 1.
        smoothing: "witten-bell" or "kneser-ney"; see the equations at the beginning of this module.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, order: int, vocabulary_size: int, smoothing: Smoothing = "witten-bell"):
        _check(order, vocabulary_size, smoothing)
        self.order = order
        self.vocabulary_size = vocabulary_size
        self.smoothing: Smoothing = smoothing
        self._counts: _Counts | None = None

    def fit(self, runs: np.ndarray | Sequence[np.ndarray]) -> Markov:
        """Counts the n-grams of runs; earlier counts are discarded.

        Args:
            runs: (N,) token ids, or several such runs, across whose borders nothing is counted.

        Returns:
            This model.

        Raises:
            DataError: There is no token, or an id is not below `vocabulary_size`.
        """
        self._counts = _Counts(runs, self.vocabulary_size, self.smoothing, [self.order])
        return self

    def score(self, ids: np.ndarray) -> np.ndarray:
        """The loss of each token given the up to `order` tokens before it in `ids`.

        Args:
            ids: (N,) token ids.

        Returns:
            (N,) float64, -log p in nats.
        """
        for order, probabilities in self._fitted().predictions(_tokens(ids, self.vocabulary_size)):
            if order == self.order:
                return -np.log(probabilities)
        raise AssertionError("predictions end with the order that was counted")

    def probabilities(self, context: Sequence[int] | np.ndarray) -> np.ndarray:
        """The distribution of the next token.

        Args:
            context: The tokens so far, oldest first; only the last `order` count, and there may be fewer.

        Returns:
            (V,) float64, positive, sums to one.
        """
        counts = self._fitted()
        tokens = _tokens(np.asarray(context, dtype=np.int64), self.vocabulary_size)
        return counts.distribution(tokens[max(len(tokens) - self.order, 0) :], self.order)

    def generate(self, length: int, *, prompt: Sequence[int] | np.ndarray = (), seed: int | None = None) -> np.ndarray:
        """Draws `length` tokens that continue `prompt`.

        Returns:
            (length,) int64, without the prompt; the same for the same seed.
        """
        random = np.random.default_rng(seed)
        tokens = [int(token) for token in prompt]
        begin = len(tokens)
        for _ in range(length):
            cumulative = np.cumsum(self.probabilities(tokens[max(len(tokens) - self.order, 0) :]))
            # side="right" never draws a token of probability zero; the last bin gets the rest that rounding leaves.
            drawn = np.searchsorted(cumulative, random.random() * cumulative[-1], side="right")
            tokens.append(min(int(drawn), self.vocabulary_size - 1))
        return np.array(tokens[begin:], dtype=np.int64)

    def _fitted(self) -> _Counts:
        if self._counts is None:
            raise DataError("this Markov model has counted nothing yet; call fit(runs) first")
        return self._counts


def compare_orders(
    runs: np.ndarray | Sequence[np.ndarray],
    ids: np.ndarray,
    vocabulary_size: int,
    orders: Iterable[int] = range(1, 7),
    smoothing: Smoothing = "witten-bell",
) -> dict[int, float]:
    """The mean losses of Markov models of several orders, which share their counts.

    Args:
        runs: (N,) token ids to count, or several such runs.
        ids: (M,) token ids to score.
        vocabulary_size: V.
        orders: The orders to compare.
        smoothing: As in `Markov`.

    Returns:
        Nats a token by order, in the order of `orders`; the same as `Markov(order, ...).fit(runs).score(ids).mean()`.
    """
    return compare_orders_on([ids], runs, vocabulary_size, orders, smoothing)[0]


def compare_orders_on(
    texts: Sequence[np.ndarray],
    runs: np.ndarray | Sequence[np.ndarray],
    vocabulary_size: int,
    orders: Iterable[int] = range(1, 7),
    smoothing: Smoothing = "witten-bell",
) -> list[dict[int, float]]:
    """The losses of `compare_orders` for several texts, with one count for all.

    Args:
        texts: (M,) token ids to score, for each text.
        runs: As in `compare_orders`.
        vocabulary_size: V.
        orders: The orders to compare.
        smoothing: As in `Markov`.

    Returns:
        The result of `compare_orders`, for each text.
    """
    wanted = list(orders)
    for order in wanted:
        _check(order, vocabulary_size, smoothing)
    if not wanted or not all(len(ids) for ids in texts):
        least = min(map(len, texts), default=0)
        raise DataError(f"expected at least one order and one token to score; got {len(wanted)} and {least}")
    counts = _Counts(runs, vocabulary_size, smoothing, wanted)
    return [counts.losses(ids, wanted) for ids in texts]


class _Table:
    """The n-grams of one length, weighted as in Witten-Bell smoothing.

    Args:
        keys: (U,) int64, sorted: context times V plus token.
        counts: (U,) how often each key occurs.
    """

    def __init__(self, keys: np.ndarray, counts: np.ndarray):
        self.keys = keys
        self.sums = _sums(counts)

    def kept(self, counts: np.ndarray) -> np.ndarray:
        """The part of their counts that n-grams keep, before the division by `divisor`."""
        return counts.astype(np.float64)

    def given_away(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """What contexts, whose n-grams are keys[first:last], give to the next lower order, before that division."""
        return (last - first).astype(np.float64)

    def divisor(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """The total of contexts, by which both are divided."""
        return self.sums[last] - self.sums[first] + self.given_away(first, last)

    def span(self, contexts: np.ndarray, V: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last (exclusive) place in `keys` of the n-grams of each context; equal if it was never seen."""
        return np.searchsorted(self.keys, contexts * V), np.searchsorted(self.keys, contexts * V + V)

    def mixed(self, contexts: np.ndarray, tokens: np.ndarray, V: int, lower: np.ndarray) -> np.ndarray:
        """p(token | context), (N,), from `lower`, the same probabilities of the next lower order."""
        first, last = self.span(contexts, V)
        seen = np.flatnonzero(first < last)
        first, last = first[seen], last[seen]
        keys = contexts[seen] * V + tokens[seen]
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        counts = np.where(self.keys[place] == keys, self.sums[place + 1] - self.sums[place], 0)
        result = lower.copy()
        result[seen] = (self.kept(counts) + self.given_away(first, last) * lower[seen]) / self.divisor(first, last)
        return result

    def distribution(self, context: int, V: int, lower: np.ndarray) -> np.ndarray:
        """p(. | context), (V,), from `lower`, the same distribution of the next lower order."""
        first, last = self.span(np.array([context]), V)
        if first[0] == last[0]:
            return lower
        here = slice(int(first[0]), int(last[0]))
        result = self.given_away(first, last) * lower
        result[self.keys[here] - context * V] += self.kept(np.diff(self.sums[here.start : here.stop + 1]))
        return result / self.divisor(first, last)


class _KneserNeyTable(_Table):
    """The n-grams of one length, weighted as in Kneser-Ney smoothing."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray):
        super().__init__(keys, counts)
        self._ones, self._twos = _sums(counts == 1), _sums(counts == 2)
        self._discounts = _discounts([int(np.count_nonzero(counts == r)) for r in (1, 2, 3, 4)])

    def kept(self, counts: np.ndarray) -> np.ndarray:
        return counts - self._discounts[np.minimum(counts, 3)]

    def given_away(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        ones, twos = self._ones[last] - self._ones[first], self._twos[last] - self._twos[first]
        _, once, twice, more = self._discounts
        return once * ones + twice * twos + more * (last - first - ones - twos)

    def divisor(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return (self.sums[last] - self.sums[first]).astype(np.float64)


class _Counts:
    """All counts that models of `orders` need to predict.

    `highest[k]` holds the (k + 1)-grams as they count in a model of order k, `lower[k]` as they count in models of
    higher order. `renumbered[n]` holds the sorted keys of the n-grams if these had to be renumbered before a further
    token fitted in 64 bits.
    """

    def __init__(self, runs: np.ndarray | Sequence[np.ndarray], V: int, smoothing: Smoothing, orders: Sequence[int]):
        self.V = V
        self.lower: list[_Table] = []
        self.highest: dict[int, _Table] = {}
        self.renumbered: dict[int, np.ndarray] = {}
        tokens, age = _joined(runs, V)
        codes, limit = tokens, V  # codes[i]: the n-gram that ends with token i; all codes are below the limit
        keys, counts = np.unique(codes, return_counts=True)
        top = max(orders)
        for order in range(top + 1):
            if smoothing == "witten-bell":
                self.lower.append(_Table(keys, counts))
                self.highest[order] = self.lower[order]
            elif order in orders:
                self.highest[order] = _KneserNeyTable(keys, counts)
            if order == top:
                return
            context = codes
            if limit > _LARGEST // V:
                self.renumbered[order + 1] = keys
                context, limit = _ranks(codes, keys), len(keys)
            longer = np.zeros_like(codes)
            longer[1:] = context[:-1] * V + tokens[1:]
            limit *= V
            whole = np.flatnonzero(age > order)
            if smoothing == "witten-bell":
                keys, counts = np.unique(longer[whole], return_counts=True)
            else:
                keys, firsts, counts = np.unique(longer[whole], return_index=True, return_counts=True)
                self.lower.append(_KneserNeyTable(*np.unique(codes[whole[firsts]], return_counts=True)))
            codes = longer

    def predictions(self, tokens: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (order, (N,) p(token | up to `order` tokens before it)) for each order asked for, from low to high."""
        lower = np.full(len(tokens), 1 / self.V)
        context = np.zeros_like(tokens)
        for order in range(max(self.highest) + 1):
            here = slice(min(order, len(tokens)), None)
            if order in self.highest:
                highest = lower.copy()
                highest[here] = self.highest[order].mixed(context, tokens[here], self.V, lower[here])
                yield order, highest
            if order < len(self.lower):
                lower[here] = self.lower[order].mixed(context, tokens[here], self.V, lower[here])
                context = self._as_context(context * self.V + tokens[here], order + 1)[:-1]

    def losses(self, ids: np.ndarray, orders: Sequence[int]) -> dict[int, float]:
        """The mean loss on a text for each order, in nats a token; a long text is scored block by block."""
        before, sums = max(orders), dict.fromkeys(orders, 0.0)
        for start in range(0, len(ids), _SCORED):
            context = min(before, start)  # tokens of the block before, which the first predictions need
            tokens = _tokens(ids[start - context : start + _SCORED], self.V)
            for order, probabilities in self.predictions(tokens):
                if order in sums:
                    sums[order] -= float(np.log(probabilities[context:]).sum())
        return {order: nats / len(ids) for order, nats in sums.items()}

    def distribution(self, context: np.ndarray, order: int) -> np.ndarray:
        """p(. | context), (V,), for a context of at most `order` tokens."""
        result = np.full(self.V, 1 / self.V)
        for length in range(len(context) + 1):
            code = np.zeros(1, dtype=np.int64)
            for n, token in enumerate(context[len(context) - length :], start=1):
                code = self._as_context(code * self.V + token, n)
            table = self.highest[order] if length == order else self.lower[length]
            result = table.distribution(int(code[0]), self.V, result)
        return result

    def _as_context(self, codes: np.ndarray, n: int) -> np.ndarray:
        """Codes of n-grams, renumbered if those of length n were; negative for an n-gram that was never seen."""
        keys = self.renumbered.get(n)
        if keys is None or not len(keys):  # without keys no longer n-gram was seen either, so any code will do
            return codes
        ranks = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
        return np.where(keys[ranks] == codes, ranks, -1)


def _joined(runs: np.ndarray | Sequence[np.ndarray], V: int) -> tuple[np.ndarray, np.ndarray]:
    """All tokens, and for each how many come before it in its run."""
    parts = [_tokens(run, V) for run in ([runs] if isinstance(runs, np.ndarray) else runs)]
    if not sum(map(len, parts)):
        raise DataError("a Markov model needs at least one token to count; got none")
    return np.concatenate(parts), np.concatenate([np.arange(len(part)) for part in parts])


def _ranks(codes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The place of each code in the sorted `keys`; any place for a code that is not among them."""
    order = np.argsort(codes)
    ranks = np.empty_like(codes)
    ranks[order] = np.searchsorted(keys, codes[order])  # searching for sorted values is several times as fast
    return np.minimum(ranks, len(keys) - 1)


def _sums(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _discounts(counts_of_counts: list[int]) -> np.ndarray:
    """The discount of an n-gram that occurs 0, 1, 2, 3 or more times, (4,)."""
    n = [0, *counts_of_counts]
    Y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    result = [0.0]
    for r in (1, 2, 3):
        discount = r - (r + 1) * Y * n[r + 1] / n[r] if n[r] and n[r + 1] else 0.0
        result.append(discount if 0 < discount < r else Y)
    return np.array(result)


def _tokens(ids: np.ndarray, V: int) -> np.ndarray:
    tokens = np.asarray(ids)
    if tokens.ndim != 1:
        raise DataError(f"expected token ids of shape (N,); got shape {tokens.shape}: give several runs as a list")
    tokens = tokens.astype(np.int64)
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < V:
        outside = tokens.min() if tokens.min() < 0 else tokens.max()
        raise DataError(f"expected token ids from 0 to {V - 1}; got {outside}: is vocabulary_size that of the corpus?")
    return tokens


def _check(order: int, vocabulary_size: int, smoothing: str) -> None:
    if order < 0:
        raise ConfigError(f"order must be 0 or more tokens of context; got {order}")
    if vocabulary_size < 1:
        raise ConfigError(f"vocabulary_size must be at least 1; got {vocabulary_size}")
    if smoothing not in ("witten-bell", "kneser-ney"):
        raise ConfigError(f"smoothing must be witten-bell or kneser-ney; got {smoothing!r}")
