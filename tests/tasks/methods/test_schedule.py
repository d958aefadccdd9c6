import random

import pytest

from tasks.methods import schedule as module
from tasks.methods.domains import registrable_domain
from tasks.methods.schedule import Manners, Schedule

INF = float("inf")


def make(**changes: float) -> Schedule[str]:
    manners = {"concurrency": 8, "per_host_concurrency": 2, "domain_rate": INF, "domain_burst": 1.0, "max_pause_s": 60.0, "max_timeouts": 3}
    return Schedule(Manners(**(manners | changes)), registrable_domain)  # type: ignore[arg-type]


def started(schedule: Schedule[str], now: float) -> list[str]:
    found = []
    while (job := schedule.take(now)) is not None:
        found.append(job)
    return found


def test_hosts_take_turns_and_begin_with_one_request() -> None:
    schedule = make()
    for host in ("a.test", "b.test"):
        for n in range(3):
            schedule.add(f"{host}/{n}", host)
    assert started(schedule, 0) == ["a.test/0", "b.test/0"]
    assert schedule.answered("a.test")
    assert not schedule.answered("a.test")
    assert started(schedule, 0) == ["a.test/1"]
    schedule.finish("a.test")
    schedule.finish("b.test")
    assert started(schedule, 0) == ["a.test/2", "b.test/1"]
    assert (schedule.active, schedule.queued) == (3, 1)


def test_no_more_than_all_slots() -> None:
    schedule = make(concurrency=3)
    for n in range(5):
        schedule.add(str(n), f"{n}.test")
    assert started(schedule, 0) == ["0", "1", "2"]
    schedule.finish("1.test")
    assert started(schedule, 0) == ["3"]


def test_subdomains_share_a_bucket() -> None:
    schedule = make(domain_rate=2.0, domain_burst=1.0)
    for host in ("a.shop.com", "b.shop.com", "c.shop.com", "d.other.com"):
        schedule.add(host, host)
    assert started(schedule, 0.0) == ["a.shop.com", "d.other.com"]
    assert schedule.next_at() == 0.5
    assert schedule.idle(0.0)
    assert started(schedule, 0.5) == ["b.shop.com"]
    assert started(schedule, 1.0) == ["c.shop.com"]


def test_a_pause_holds_the_whole_host_and_a_retry_goes_first() -> None:
    schedule = make()
    schedule.answered("a.test")
    for n in range(3):
        schedule.add(str(n), "a.test")
    assert started(schedule, 0.0) == ["0", "1"]
    schedule.pause("a.test", 5.0)
    schedule.finish("a.test")
    schedule.add("0 again", "a.test", at=5.0, now=0.0)
    assert started(schedule, 4.9) == []
    assert started(schedule, 5.0) == ["0 again"]
    schedule.finish("a.test")
    schedule.finish("a.test")
    assert started(schedule, 5.0) == ["2"]


def test_a_pause_that_is_too_long_closes_the_host_until_it_is_over() -> None:
    schedule = make()
    schedule.add("1", "a.test")
    schedule.pause("a.test", 61.0)
    assert started(schedule, 0.0) == []
    assert list(schedule.refused()) == [("1", "retry_later")]
    schedule.add("2", "a.test")
    assert started(schedule, 30.0) == []
    assert list(schedule.refused()) == [("2", "retry_later")]
    schedule.add("3", "a.test")
    assert started(schedule, 61.0) == ["3"]
    assert list(schedule.refused()) == []


def test_a_crawl_delay_spaces_requests() -> None:
    schedule = make()
    schedule.answered("a.test")
    for n in range(2):
        schedule.add(str(n), "a.test")
    schedule.slow_down("a.test", 10.0, 0.0)
    schedule.add("2", "a.test")
    assert started(schedule, 0.0) == []
    assert schedule.next_at() == 10.0
    assert started(schedule, 10.0) == ["0"]
    assert started(schedule, 19.9) == []
    assert started(schedule, 20.0) == ["1"]


def test_a_host_that_never_answers_costs_one_request() -> None:
    schedule = make()
    for n in range(4):
        schedule.add(str(n), "dead.test")
    assert started(schedule, 0.0) == ["0"]
    schedule.ended("dead.test", "timeout")
    schedule.finish("dead.test")
    assert started(schedule, 20.0) == []
    assert sorted(schedule.refused()) == [("1", "timeout"), ("2", "timeout"), ("3", "timeout")]
    schedule.add("later", "dead.test")
    assert started(schedule, 99.0) == []
    assert list(schedule.refused()) == [("later", "timeout")]


def test_a_host_that_answers_is_given_up_after_timeouts_in_a_row() -> None:
    schedule = make()
    schedule.answered("slow.test")
    for detail in ("timeout", "timeout", "http_404", "timeout", "timeout"):
        schedule.ended("slow.test", detail)
    schedule.add("1", "slow.test")
    assert started(schedule, 0.0) == ["1"]
    schedule.ended("slow.test", "timeout")
    schedule.add("2", "slow.test")
    assert started(schedule, 0.0) == []
    assert list(schedule.refused()) == [("2", "timeout")]


def test_refusals_and_answers_close_nothing() -> None:
    schedule = make()
    for detail in ("refused", "http_503", "tls"):
        schedule.ended("a.test", detail)
    schedule.add("1", "a.test")
    assert started(schedule, 0.0) == ["1"]


def test_a_request_within_a_job_waits_its_turn_too() -> None:
    schedule = make(domain_rate=1.0, domain_burst=1.0)
    assert schedule.admit("a.shop.com", 0.0) == 0.0
    assert schedule.admit("b.shop.com", 0.0) == 1.0
    schedule.pause("c.other.com", 9.0)
    assert schedule.admit("c.other.com", 0.0) == 9.0


def test_memory_of_hosts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HOSTS", 10)
    schedule = make(concurrency=1000)
    schedule.add("busy", "busy.test")
    assert started(schedule, 0.0) == ["busy"]
    for n in range(200):
        schedule.answered(f"{n}.test")
    assert len(schedule._hosts) <= 12
    assert schedule.host("busy.test").active == 1
    assert len(schedule._buckets) <= 12


def test_every_job_comes_out_once_whatever_happens() -> None:
    chance = random.Random(3)
    schedule, now, out, running = make(domain_rate=50.0, domain_burst=3.0, max_pause_s=2.0), 0.0, [], []
    jobs = {f"{n}": f"{chance.choice('abcdef')}.shop{n % 3}.com" for n in range(300)}
    for job, host in jobs.items():
        schedule.add(job, host)
    while len(out) < len(jobs):
        now += 0.01
        running += started(schedule, now)
        out += [job for job, _ in schedule.refused()]
        if running and chance.random() < 0.7:
            job = running.pop(chance.randrange(len(running)))
            host = jobs[job]
            if chance.random() < 0.1:
                schedule.pause(host, now + chance.random() * 3)
            if chance.random() < 0.2:
                schedule.add(job, host, at=now + 0.05, now=now)
            else:
                schedule.answered(host)
                schedule.ended(host, None)
                out.append(job)
            schedule.finish(host)
        assert schedule.active == len(running) <= 8
    assert sorted(out) == sorted(jobs)
    assert schedule.queued == schedule.active == 0
