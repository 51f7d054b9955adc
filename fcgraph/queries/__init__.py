"""SQL definitions of "payments of a user" and "daily total", shared by GraphQL, the REST views and the report.

This package builds the text of statements and their values; the caller runs them. There is one module per noun:
`payments`, `totals`, `users`, `history`, `imports`, `reports`. `pages` holds cursors, `columns` defines each field.
"""

from fcgraph.queries.statement import Statement as Statement
from fcgraph.queries.statement import Values as Values
from fcgraph.queries.totals import daily_totals_sql as daily_totals_sql
from fcgraph.queries.viewer import OPERATOR as OPERATOR
from fcgraph.queries.viewer import Viewer as Viewer
