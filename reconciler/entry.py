"""The console entry point. Ctrl-C while modules are still being imported ends without a traceback, as it does later: this module
imports nothing before it has said so."""


def main() -> int:
    """As `reconciler.__main__.main`."""
    import os
    import signal

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell's background ignores it
    if usual:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from reconciler.__main__ import main as run

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
