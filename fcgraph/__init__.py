"""A payments back office: Kafka and CSV in, PostgreSQL, GraphQL and monthly reports out."""

from fcgraph import missing

__version__ = "0.1.0"

missing.watch()
