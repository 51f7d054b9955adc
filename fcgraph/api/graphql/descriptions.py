"""What each argument means, by its name: the same wherever it is taken."""

from __future__ import annotations

from graphql import GraphQLObjectType, GraphQLSchema

DESCRIPTIONS = {
    "after": "A cursor: what comes behind it.",
    "before": "A cursor: what comes before it.",
    "code": "Records with any of these problems.",
    "currency": "Of this currency only, such as `USD`.",
    "direction": "What the user sent, received, or both.",
    "end": "The last day, in the reporting time zone, inclusive.",
    "filter": "All of its conditions must hold.",
    "first": "How many, from the front: PAGE_DEFAULT (25) when absent, PAGE_MAX (100) at most.",
    "importId": "The import's id.",
    "input": "What to import, and how.",
    "last": "How many, from the back; PAGE_MAX (100) at most.",
    "latestOnly": "Only the newest version of each month.",
    "note": "Why; it is kept with the record.",
    "openOnly": "Only what nobody has replayed or resolved yet.",
    "outcome": "Records with any of these outcomes.",
    "period": "The month, such as `2025-05`.",
    "recordId": "The intake record's id.",
    "recordIds": "Ids of intake records, LIST_ARGUMENT_MAX (100) at most.",
    "resolution": "Which of the two stays: the stored payment, or the record that came in.",
    "search": "Any part of the name, in upper or lower case, with composed or combining accents.",
    "source": "Which door it came through.",
    "start": "The first day, in the reporting time zone, inclusive.",
    "state": "Imports in any of these states.",
    "statuses": "Payments with any of these statuses.",
    "transactionId": "The payment's id.",
    "userId": "The user's id.",
    "userIds": "Of these users only, LIST_ARGUMENT_MAX (100) at most; everybody when absent.",
    "version": "The number of the version, from 1.",
}


def describe(schema: GraphQLSchema) -> None:
    """Put the descriptions on the schema's arguments, where none is said at the argument itself."""
    for found in schema.type_map.values():
        if isinstance(found, GraphQLObjectType) and not found.name.startswith("__"):
            for field in found.fields.values():
                for name, argument in field.args.items():
                    argument.description = argument.description or DESCRIPTIONS.get(name)
