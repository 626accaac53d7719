"""What holds for all tests."""

from hypothesis import settings

# A hypothesis deadline times one example by the wall clock, so that a busy machine fails the test; each test has a timeout instead.
settings.register_profile("servent", deadline=None)
settings.load_profile("servent")
