"""The main job: a collection of pictures in, the same collection protected out; and whether it still is."""

from unlearnable.job.auditing import Written as Written
from unlearnable.job.auditing import audit as audit
from unlearnable.job.fitting import fit as fit
from unlearnable.job.identity import check as check
from unlearnable.job.manifest import Halted as Halted
from unlearnable.job.places import DEFAULT_METHOD as DEFAULT_METHOD
from unlearnable.job.places import Job as Job
from unlearnable.job.protecting import Engine as Engine
from unlearnable.job.protecting import Preview as Preview
from unlearnable.job.protecting import Summary as Summary
from unlearnable.job.protecting import dry_run as dry_run
from unlearnable.job.protecting import local as local
from unlearnable.job.protecting import protect as protect
from unlearnable.job.verifying import Verification as Verification
from unlearnable.job.verifying import verify as verify
