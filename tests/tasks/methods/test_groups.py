"""Groups: first-seen names, growth crawl by crawl, chains, splits and folds."""

import numpy as np
import pytest

from tasks.methods.groups import assign_fold, assign_split, first_of_each, grow_groups, union

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def grow(pairs, crawls, splits=None, resembles=None):
    splits = np.array(splits if splits is not None else ["train"] * len(crawls))
    return grow_groups(np.array(pairs, np.int64).reshape(-1, 2), crawls=np.array(crawls), splits=splits, resembles=resembles).tolist()


def test_the_first_row_of_each_group_counts():
    assert first_of_each(np.array([3, -1, 3, 0, -1])).tolist() == [True, True, False, True, False]
    assert first_of_each(np.zeros(0, np.int64)).tolist() == []


def test_union_names_the_smallest_row():
    assert union(6, np.array([[4, 2], [2, 1], [5, 3]])).tolist() == [0, 1, 1, 3, 1, 3]
    assert union(2, np.zeros((0, 2), np.int64)).tolist() == [0, 1]
    assert union(0, np.zeros((0, 2), np.int64)).tolist() == []


def test_one_crawl_gives_plain_components():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 200, (120, 2))
    assert grow(pairs, [0] * 200) == union(200, pairs).tolist()


def test_a_later_row_joins_the_older_group():
    assert grow([[0, 1], [1, 3]], [0, 0, 0, 1]) == [0, 0, 2, 0]


def test_old_groups_that_a_new_row_links_merge_in_one_split_only():
    links = [[0, 1], [2, 3], [0, 4], [2, 4]]
    assert grow(links, [0, 0, 0, 0, 1]) == [0, 0, 0, 0, 0]
    assert grow(links, [0, 0, 0, 0, 1], ["train", "train", "test", "test", "val"]) == [0, 0, 2, 2, 0]


def test_no_row_changes_its_split_when_crawls_are_added():
    rng = np.random.default_rng(1)
    crawls = np.sort(rng.integers(0, 4, 400))
    pairs = rng.integers(0, 400, (300, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    splits = assign_split([str(row) for row in range(400)], SHARES, seed=0)
    given = np.full(400, "", object)
    for last in range(4):
        known = crawls <= last
        n = int(known.sum())
        labels = grow_groups(pairs[pairs.max(axis=1) < n], crawls=crawls[:n], splits=splits[:n])
        now = splits[labels]
        assert all(before in ("", after) for before, after in zip(given[:n], now, strict=True))
        assert (labels <= np.arange(n)).all()
        assert (labels[labels] == labels).all()
        given[:n] = now
    assert len(set(given)) == 3


def test_chains_end_where_members_no_longer_resemble_the_first():
    def near(heads, members):
        return np.abs(heads - members) <= 2

    assert grow([[row, row + 1] for row in range(7)], [0] * 8, resembles=near) == [0, 0, 0, 3, 3, 3, 6, 6]
    assert grow([[row, row + 1] for row in range(7)], [0, 0, 0, 0, 1, 1, 1, 1], resembles=near) == [0, 0, 0, 3, 3, 3, 6, 6]


def test_rows_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"crawls must ascend"):
        grow([[0, 1]], [1, 0])


def test_splits_follow_shares_and_names_alone():
    names = [f"{number:032x}" for number in range(20_000)]
    split = assign_split(names, SHARES, seed=0)
    assert [abs((split == name).mean() - share) < 0.01 for name, share in SHARES.items()] == [True] * 3
    assert (assign_split(names[::-1], SHARES, seed=0)[::-1] == split).all()
    assert (assign_split(names[5:9], SHARES, seed=0) == split[5:9]).all()
    assert (assign_split(names, SHARES, seed=1) != split).mean() > 0.2
    assert (assign_split(names, {"train": 1.0, "test": 0.0}, seed=0) == "train").all()


def test_folds_are_even_and_independent_of_splits():
    names = [f"{number:032x}" for number in range(20_000)]
    fold = assign_fold(names, 5, seed=0)
    assert fold.dtype == np.int8
    assert np.abs(np.bincount(fold) / 20_000 - 0.2).max() < 0.01
    train = assign_split(names, SHARES, seed=0) == "train"
    assert np.abs(np.bincount(fold[train]) / train.sum() - 0.2).max() < 0.015


def test_wrong_shares_and_folds_are_named():
    with pytest.raises(ValueError, match=r"must not be negative and must sum to 1"):
        assign_split(["a"], {"train": 0.5}, seed=0)
    with pytest.raises(ValueError, match=r"n_folds 200 must be in 1\.\.127"):
        assign_fold(["a"], 200, seed=0)
