import math

from tasks.methods.breaker import MIN_HOSTS, Breaker


def trips(results: list[tuple[str, str | None]], window: int = 20, share: float = 0.5) -> list[int]:
    breaker = Breaker(window, share)
    return [place for place, result in enumerate(results) if breaker.count(*result, began=place, ended=place + 0.5)]


def test_a_dead_line_in_the_middle_of_a_run() -> None:
    good = [(f"{n}.test", None) for n in range(100)]
    dead = [(f"{n}.dead.test", "dns") for n in range(30)]
    assert trips(good) == []
    assert trips([*good, *dead])[0] == 100 + 10  # the eleventh of the last twenty
    assert trips([*dead[:9], *good]) == []


def test_the_only_host_is_down_from_the_start() -> None:
    assert trips([("one.test", "refused")] * 25) == [19, 20, 21, 22, 23, 24]


def test_one_dead_host_in_a_living_web_is_its_own_affair() -> None:
    assert trips([("a.test", None), *[("dead.test", "timeout")] * 500]) == []
    assert trips([("a.test", None), *[(f"{n % (MIN_HOSTS - 1)}.test", "dns") for n in range(500)]]) == []


def test_silent_hosts_that_end_together_are_no_dead_line() -> None:
    breaker = Breaker(20, 0.5)
    assert not any(breaker.count(f"{n}.test", None, began=n, ended=n + 1) for n in range(100))
    assert not any(breaker.count(f"{n}.silent.test", "timeout", began=5, ended=105) for n in range(50))
    assert not any(breaker.count(f"{n}.silent.test", "timeout", began=-math.inf, ended=105) for n in range(50))  # given up unasked
    assert any(breaker.count(f"{n}.later.test", "timeout", began=106, ended=126) for n in range(50))


def test_answers_of_any_kind_are_answers() -> None:
    assert trips([(f"{n}.test", "http_404") for n in range(200)]) == []
    assert trips([(f"{n}.test", "robots") for n in range(200)]) == []


def test_the_sentence_has_the_figures() -> None:
    breaker = Breaker(4, 0.5)
    results = [("a.test", "dns"), ("b.test", "refused"), ("c.test", "dns"), ("d.test", "dns")]
    sentences = [breaker.count(*result, began=0.0, ended=1.0) for result in results]
    assert sentences == [None, None, None, "4 of the last 4 requests found nobody there (dns 3, refused 1), the limit is 50%"]
