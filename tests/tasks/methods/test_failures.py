import pytest

from tasks.methods.failures import REASONS, RETRYABLE, Failure, reason_of

PUBLIC = {"unreachable", "timeout", "disallowed", "blocked", "too_large", "broken", "forgotten"}


def test_every_detail_has_a_public_reason() -> None:
    assert set(REASONS.values()) == PUBLIC
    assert reason_of("noai") == "disallowed"
    assert reason_of("http_404") == "unreachable"
    assert {reason_of(detail) for detail in RETRYABLE} <= PUBLIC


def test_unknown_detail_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown detail 'gone' \(known: http_NNN, dns, refused"):
        reason_of("gone")


def test_retryable_follows_the_detail_unless_said() -> None:
    assert Failure("http_503").retryable
    assert not Failure("http_404").retryable
    assert not Failure("timeout", retryable=False).retryable
