"""What "payments of a user" and "daily total" mean, as SQL; used by GraphQL, the REST views and the report.

Here is the text of statements and their values; running them is the caller's. A module a noun: `payments`, `totals`,
`users`, `history`, `imports`, `reports`; `pages` has cursors, `columns` what each field is.
"""

from fcgraph.queries.statement import Statement as Statement
from fcgraph.queries.statement import Values as Values
from fcgraph.queries.totals import daily_totals_sql as daily_totals_sql
from fcgraph.queries.viewer import OPERATOR as OPERATOR
from fcgraph.queries.viewer import Viewer as Viewer
