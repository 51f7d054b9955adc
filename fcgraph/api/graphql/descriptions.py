"""What each argument means, by its name: the same on every field."""

from __future__ import annotations

from graphql import GraphQLObjectType, GraphQLSchema

DESCRIPTIONS = {
    "after": "Return items after this cursor.",
    "before": "Return items before this cursor.",
    "code": "Records with any of these problems.",
    "currency": "Only this currency, such as `USD`.",
    "direction": "What the user sent, received, or both.",
    "end": "The last day, in the reporting time zone, inclusive.",
    "filter": "All of its conditions must hold.",
    "first": "How many items from the start of the list: PAGE_DEFAULT (25) when absent, PAGE_MAX (100) at most.",
    "importId": "The import's id.",
    "input": "What to import, and how.",
    "last": "How many items from the end of the list; PAGE_MAX (100) at most.",
    "latestOnly": "Only the newest version of each month.",
    "note": "The reason; it is stored with the record.",
    "openOnly": "Only records that have not been replayed or resolved yet.",
    "outcome": "Records with any of these outcomes.",
    "period": "The month, such as `2025-05`.",
    "recordId": "The intake record's id.",
    "recordIds": "Ids of intake records, LIST_ARGUMENT_MAX (100) at most.",
    "resolution": "Which of the two to use: the stored payment or the incoming record.",
    "search": "Any part of the name, in upper or lower case, with composed or combining accents.",
    "source": "The channel a record arrived through.",
    "start": "The first day, in the reporting time zone, inclusive.",
    "state": "Imports in any of these states.",
    "statuses": "Payments with any of these statuses.",
    "transactionId": "The payment's id.",
    "userId": "The user's id.",
    "userIds": "Only these users, LIST_ARGUMENT_MAX (100) at most; all users when absent.",
    "version": "The number of the version, from 1.",
}


def describe(schema: GraphQLSchema) -> None:
    """Set the descriptions of the schema's arguments that have no description of their own."""
    for found in schema.type_map.values():
        if isinstance(found, GraphQLObjectType) and not found.name.startswith("__"):
            for field in found.fields.values():
                for name, argument in field.args.items():
                    argument.description = argument.description or DESCRIPTIONS.get(name)
