"""Engines: the same work, done by several who are not in one place."""

from unlearnable.engines.federated import Federation as Federation
from unlearnable.engines.federated import Outcome as Outcome
from unlearnable.engines.federated import federate as federate
