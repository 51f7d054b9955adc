"""The tables. The migrations create them; `alembic check` verifies that both agree.

Triggers and NOT ENFORCED foreign keys cannot be declared here; they are in migrations/versions.
"""

from __future__ import annotations

from fcgraph.models.base import OUTCOMES, Base
from fcgraph.models.imports import Import, ImportTotal
from fcgraph.models.intake import IntakeBatch, IntakeRecord, IntakeWatermark, KafkaRange
from fcgraph.models.kafka import KafkaGap, KafkaPosition, KafkaTopic
from fcgraph.models.parties import Currency, User, UserBatch, UserRevision
from fcgraph.models.payments import PaymentRevision, Transaction
from fcgraph.models.runs import JobRun, ProcessHeartbeat, Report

__all__ = [
    "OUTCOMES",
    "Base",
    "Currency",
    "Import",
    "ImportTotal",
    "IntakeBatch",
    "IntakeRecord",
    "IntakeWatermark",
    "JobRun",
    "KafkaGap",
    "KafkaPosition",
    "KafkaRange",
    "KafkaTopic",
    "PaymentRevision",
    "ProcessHeartbeat",
    "Report",
    "Transaction",
    "User",
    "UserBatch",
    "UserRevision",
]
