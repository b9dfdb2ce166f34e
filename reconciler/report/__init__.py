"""Reports what happened: status objects, Kubernetes Events, metrics and log lines (T1-T3).

`Transition` is the one value the sinks share; a sink is a module plus a row in `Reporter`.
"""

from reconciler.report.reporter import Reporter as Reporter
from reconciler.report.transitions import Transition as Transition
