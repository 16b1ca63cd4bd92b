"""Intervals against known figures, and what holds for all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scoring.comparing import mcnemar, paired_difference
from inference.scoring.intervals import bootstrap_mean, bootstrap_ratio, wilson

FINITE = st.floats(-1e6, 1e6)
POSITIVE = st.floats(0.1, 1e4)


def test_wilson_gives_the_published_figures() -> None:
    # Newcombe 1998, Stat. Med. 17, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for successes, samples, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, samples)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.data())
def test_wilson_holds_the_share_and_stays_within_0_and_1(data: st.DataObject) -> None:
    samples = data.draw(st.integers(1, 5_000))
    successes = data.draw(st.integers(0, samples))

    found = wilson(successes, samples)
    mirrored = wilson(samples - successes, samples)

    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    if samples > 1:
        assert found.high - found.low > 0


@given(st.integers(1, 400), st.integers(2, 9))
def test_wilson_is_surer_with_more_samples(samples: int, times: int) -> None:
    few, many = wilson(samples // 2, samples), wilson(samples // 2 * times, samples * times)

    assert many.high - many.low < few.high - few.low


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    for truth in (0.05, 0.3, 0.5):
        found = [wilson(int(hits), 60) for hits in random.binomial(60, truth, size=800)]
        covered = sum(each.low <= truth <= each.high for each in found) / 800
        # it swings about 95 % as n and p change (Brown, Cai, DasGupta 2001, fig. 5)
        assert 0.91 < covered < 0.99


@given(st.lists(FINITE, min_size=2, max_size=40), st.integers(0, 2**32))
def test_the_bootstrap_repeats_and_stays_among_the_values(values: list[float], seed: int) -> None:
    found = bootstrap_mean(values, seed=seed, resamples=200)

    assert found == bootstrap_mean(values, seed=seed, resamples=200)
    slack = 1e-9 * max(1.0, *(abs(value) for value in values))
    assert min(values) - slack <= found.low <= found.value <= found.high <= max(values) + slack
    assert found.value == sum(values) / len(values)


def test_the_bootstrap_is_close_to_the_normal_interval_of_many_samples() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, size=4_000)

    found = bootstrap_mean(values, seed=2)

    half = 1.96 * values.std() / math.sqrt(values.size)
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


@given(st.lists(st.tuples(FINITE, POSITIVE), min_size=2, max_size=30))
def test_a_ratio_weighs_by_its_denominators(pairs: list[tuple[float, float]]) -> None:
    top, bottom = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    found = bootstrap_ratio(top, bottom, seed=0, scale=-2.0, resamples=100)

    assert found.value == -2.0 * (sum(top) / sum(bottom))
    assert found.low <= found.value <= found.high


def test_one_sample_says_nothing_of_how_sure_it_is() -> None:
    found = bootstrap_mean([0.5], seed=0)

    assert (found.value, found.low, found.high, found.method) == (0.5, None, None, "")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: wilson(1, 0),
        lambda: wilson(5, 4),
        lambda: wilson(-1, 4),
        lambda: wilson(1, 4, confidence=1.0),
        lambda: bootstrap_mean([], seed=0),
        lambda: bootstrap_mean([math.nan], seed=0),
        lambda: bootstrap_ratio([1.0], [0.0], seed=0),
        lambda: bootstrap_ratio([1.0, 2.0], [1.0], seed=0),
        lambda: bootstrap_mean([1.0, 2.0], seed=0, confidence=0.0),
        lambda: mcnemar(-1, 0),
        lambda: paired_difference([1.0], [1.0, 2.0], seed=0),
        lambda: paired_difference([], [], seed=0),
        lambda: paired_difference([math.inf], [1.0], seed=0),
        lambda: paired_difference([1.0], [2.0], weights=[0.0], seed=0),
    ],
)
def test_what_is_out_of_range_is_refused(ask) -> None:
    with pytest.raises(ValueError, match=r"."):
        ask()


def test_mcnemar_gives_the_binomial_figures() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_a_probability_and_knows_no_sides(a: int, b: int) -> None:
    assert mcnemar(a, b) == mcnemar(b, a)
    assert 0 < mcnemar(a, b) <= 1


@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=30))
def test_a_difference_turns_round_with_its_sides(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    there = paired_difference(a, b, seed=4, resamples=200)
    back = paired_difference(b, a, seed=4, resamples=200)

    assert there.value == -back.value
    assert there.low == pytest.approx(-back.high, rel=1e-9, abs=1e-6)
    assert there.p_value == pytest.approx(back.p_value)
    assert 0 < there.p_value <= 1


def test_equal_runs_are_not_told_apart_and_clearly_unequal_ones_are() -> None:
    random = np.random.default_rng(8)
    base = random.normal(2.0, 0.5, size=60)
    same = paired_difference(base, base, seed=1)
    better = paired_difference(base, base + random.normal(0.2, 0.1, size=60), seed=1)
    noisy = paired_difference(base, base + random.normal(0.0, 1.0, size=60), seed=1)

    assert (same.value, same.p_value, same.is_distinguishable) == (0.0, 1.0, False)
    assert better.is_distinguishable
    assert better.high < 0
    assert not noisy.is_distinguishable


def test_right_and_wrong_answers_are_compared_exactly() -> None:
    a = [1.0] * 9 + [0.0] + [1.0] * 40
    b = [0.0] * 9 + [1.0] + [1.0] * 40

    found = paired_difference(a, b, seed=0)

    assert found.p_value == mcnemar(9, 1)
    assert found.value == pytest.approx(8 / 50)


def test_chance_alone_is_called_a_difference_in_about_one_of_twenty() -> None:
    random = np.random.default_rng(3)
    calls = 0
    for _ in range(150):
        a, b = random.normal(size=(2, 40))
        calls += paired_difference(a, b, seed=1, resamples=400).is_distinguishable

    assert 0.02 < calls / 150 <= 0.12
