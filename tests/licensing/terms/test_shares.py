"""How a sale is divided between the seller and upstream owners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.terms.shares import BadShareError, Share, UpstreamAsk, divide
from store.core.money import MAX_MINOR, share_of

POINTS = st.integers(0, 10_000)
ASKS = st.lists(
    st.builds(UpstreamAsk, st.integers(1, 5), st.integers(1, 99), POINTS, st.integers(1, 4)),
    max_size=12,
    unique_by=lambda ask: ask.repo_id,
)


def test_an_ask_gets_its_part() -> None:
    assert divide(1999, [UpstreamAsk(7, 70, 1000)]) == [Share(7, 70, 1000, 200)]


def test_nobody_upstream_nothing_to_divide() -> None:
    assert divide(1999, []) == []


def test_nearest_ancestors_are_served_before_the_cap_is_reached() -> None:
    near, far, furthest = (
        UpstreamAsk(1, 10, 4000, 1),
        UpstreamAsk(2, 20, 4000, 2),
        UpstreamAsk(3, 30, 4000, 3),
    )

    shares = divide(10_000, [furthest, near, far])

    assert shares == [Share(1, 10, 4000, 4000), Share(2, 20, 1000, 1000), Share(3, 30, 0, 0)]


def test_ancestors_of_one_distance_share_what_the_cap_leaves() -> None:
    shares = divide(10_000, [UpstreamAsk(2, 20, 9000), UpstreamAsk(1, 10, 3000)])

    assert shares == [Share(1, 10, 1250, 1250), Share(2, 20, 3750, 3750)]


def test_a_store_may_set_another_cap() -> None:
    assert divide(100, [UpstreamAsk(1, 10, 5000)], most_basis_points=0) == [Share(1, 10, 0, 0)]
    assert divide(100, [UpstreamAsk(1, 10, 9000)], most_basis_points=10_000)[0].amount_minor == 90


def test_the_cap_may_be_all_and_never_more() -> None:
    for points in (-1, 10_001):
        with pytest.raises(BadShareError):
            divide(100, [], most_basis_points=points)
        with pytest.raises(BadShareError) as caught:
            divide(100, [UpstreamAsk(1, 10, points)])
        assert caught.value.extra == {"given": points}


def test_a_model_asks_once() -> None:
    with pytest.raises(BadShareError):
        divide(100, [UpstreamAsk(1, 10, 100, 1), UpstreamAsk(1, 10, 100, 2)])


def test_a_refund_is_not_divided() -> None:
    with pytest.raises(ValueError, match="refund"):
        divide(-1, [UpstreamAsk(1, 10, 100)])


@given(st.integers(0, MAX_MINOR), ASKS, POINTS)
def test_parts_add_up_and_never_exceed_the_net(net, asks, most) -> None:
    shares = divide(net, asks, most_basis_points=most)

    granted = sum(share.basis_points for share in shares)
    paid = sum(share.amount_minor for share in shares)
    asked = {ask.repo_id: ask.basis_points for ask in asks}
    assert granted == min(most, sum(asked.values()))
    assert paid == share_of(net, granted)
    assert 0 <= paid <= net
    assert {share.repo_id for share in shares} == set(asked)
    for share in shares:
        assert 0 <= share.basis_points <= asked[share.repo_id]
        assert abs(share.amount_minor * 10_000 - net * share.basis_points) < 2 * 10_000


@given(st.integers(0, 10**6), ASKS, st.randoms())
def test_the_order_of_rows_does_not_matter(net, asks, random) -> None:
    other = list(asks)
    random.shuffle(other)

    assert divide(net, other) == divide(net, asks)
