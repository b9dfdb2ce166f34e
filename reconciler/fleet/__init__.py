"""Decisions over all nested clusters at once, pure: what a revision may admit and remove, and which deletions are
permitted.

`admit` (AD1, AD2, V4, S5) runs once per revision, `permit` (AD3) once its clusters have reported what they would delete.
"""

from reconciler.fleet.admission import admit as admit
from reconciler.fleet.approvals import asking as asking
from reconciler.fleet.approvals import consent_of as consent_of
from reconciler.fleet.approvals import counting as counting
from reconciler.fleet.approvals import speaks as speaks
from reconciler.fleet.hosts import hosted as hosted
from reconciler.fleet.hosts import names as names
from reconciler.fleet.release import consented as consented
from reconciler.fleet.release import permit as permit
from reconciler.fleet.removal import UNREADABLE as UNREADABLE
from reconciler.fleet.removal import removal_of as removal_of
from reconciler.fleet.reviewers import approvals as approvals
from reconciler.fleet.running import all_running as all_running
from reconciler.fleet.running import recalled as recalled
from reconciler.fleet.running import running as running
from reconciler.fleet.running import unversioned as unversioned
from reconciler.fleet.standing import GONE as GONE
from reconciler.fleet.standing import asks as asks
from reconciler.fleet.standing import documents as documents
from reconciler.fleet.standing import hides as hides
from reconciler.fleet.standing import in_use as in_use
from reconciler.fleet.standing import invalid as invalid
from reconciler.fleet.standing import profiles as profiles
from reconciler.fleet.standing import unclear as unclear
from reconciler.fleet.standing import withheld as withheld
