"""Group: copies under the name of their first-seen member, and groups into splits and folds, out of pairs.

Rows stand in the order in which they were seen (crawl after crawl, by id inside); a group's label is the row of its first-seen member.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Resembles = Callable[[np.ndarray, np.ndarray], np.ndarray]


def union(n: int, pairs: np.ndarray) -> np.ndarray:
    """Labels (n,) int64: the smallest row that each row is linked to by `pairs` (m, 2), directly or over others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if n == 0:
        return np.zeros(0, np.int64)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, component = connected_components(links, directed=False)
    first = np.full(n, n, np.int64)
    np.minimum.at(first, component, np.arange(n))
    labels: np.ndarray = first[component]
    return labels


def first_of_each(groups: np.ndarray) -> np.ndarray:
    """(n,) bool: the first row of each group; groups (n,) int."""
    first = np.zeros(len(groups), bool)
    first[np.unique(groups, return_index=True)[1]] = True
    return first


def grow_groups(pairs: np.ndarray, *, crawls: np.ndarray, splits: np.ndarray, resembles: Resembles | None = None) -> np.ndarray:
    """Labels (n,) int64: the row of the first-seen member of each row's group, grown crawl by crawl out of `pairs` (m, 2).

    `crawls` (n,): number of each row's crawl, ascending. `splits` (n,): the split that a group named after that row goes to. A pair
    counts when the later of its rows comes in, so that the groups of earlier crawls don't depend on later ones.

    - Two groups of earlier crawls that a new row links become one, under the older name, if both went to the same split; otherwise the
      new row joins the older one and they stay two. So no group is ever apart, and no row ever changes its split.
    - Chains don't grow without end: a row (or a group, for which its first-seen member stands) joins only if it `resembles` the
      first-seen member (called with rows (m,), rows (m,), answers (m,) bool); those that don't are grouped among themselves.
    """
    n = len(crawls)
    if np.any(np.diff(crawls) < 0):
        raise ValueError("crawls must ascend: rows stand in the order in which they were seen")
    labels = np.arange(n)
    arrival = crawls[pairs.max(axis=1)] if len(pairs) else np.zeros(0, np.int64)
    for crawl in np.unique(arrival):
        links = labels[pairs[arrival == crawl]]
        heads = _settle(links, crawls < crawl, splits, resembles)
        labels = heads[labels] if heads is not None else labels
    return labels


def _settle(links: np.ndarray, old: np.ndarray, splits: np.ndarray, resembles: Resembles | None) -> np.ndarray | None:
    """Where each head of a group goes: to the first of its component, unless the rules of `grow_groups` keep it away."""
    heads = np.arange(len(old))
    links = links[links[:, 0] != links[:, 1]]
    while len(links):
        nodes, places = np.unique(links, return_inverse=True)
        first = nodes[union(len(nodes), places.reshape(-1, 2))]
        joins = ~old[nodes] | (splits[nodes] == splits[first])
        if resembles is not None:
            joins[joins] = resembles(first[joins], nodes[joins])
        joins |= nodes == first
        heads[nodes[joins]] = first[joins]
        # Those kept away are grouped among themselves; every round takes at least the first of each component away.
        away = ~joins[places.reshape(-1, 2)]
        links = links[away.all(axis=1)]
    return heads


def assign_split(names: Sequence[str], shares: Mapping[str, float], seed: int) -> np.ndarray:
    """The split (n,) of each group name, by its hash: a name keeps its split whatever else is in the data.

    `shares`: split -> share of groups, in order, summing to 1. Raises ValueError otherwise.
    """
    if not shares or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"split shares {dict(shares)} must not be negative and must sum to 1")
    edges = np.cumsum(list(shares.values()))
    edges[-1] = 1.0
    return np.array(list(shares))[np.searchsorted(edges, _uniform(names, f"split {seed} "), side="right")]


def assign_fold(names: Sequence[str], n_folds: int, seed: int) -> np.ndarray:
    """The fold (n,) int8 in 0..n_folds-1 of each group name, by its hash, independent of its split."""
    if not 1 <= n_folds <= 127:
        raise ValueError(f"n_folds {n_folds} must be in 1..127")
    return (_uniform(names, f"fold {seed} ") * n_folds).astype(np.int8)


def _uniform(names: Sequence[str], salt: str) -> np.ndarray:
    """A number in [0, 1) for each name, by BLAKE2b of salt and name; equal names are hashed once."""
    start = hashlib.blake2b(salt.encode(), digest_size=8)
    numbers: dict[str, float] = {}
    for name in names:
        if name not in numbers:
            state = start.copy()
            state.update(name.encode())
            numbers[name] = (int.from_bytes(state.digest(), "big") >> 11) / 2**53
    return np.array([numbers[name] for name in names], np.float64)
