"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Hypothesis times examples, and how long it takes to think of them, by the wall clock, so that a busy machine fails the test; each
# test has a timeout instead.
settings.register_profile("servent", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("servent")
