"""Fixtures every test may use: embedded hosts, and the controller as it is installed (devhost.fixtures)."""

import signal

pytest_plugins = ["devhost.fixtures"]

# A shell starts what it puts into the background with SIGINT ignored, which children inherit: Ctrl-C would do nothing in any of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
