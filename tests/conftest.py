"""Fixtures every test may use: embedded hosts, and the controller as it is installed (devhost.fixtures)."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["devhost.fixtures"]

# A busy machine fails no test: no deadline, no complaint about slow data. An ordinary run draws the same examples each time; a failure
# prints what repeats it. `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile(
    "same", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("same"), derandomize=False, max_examples=1000)
settings.load_profile("same")

# A shell starts what it puts into the background with SIGINT ignored, which children inherit: Ctrl-C would do nothing in any of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
