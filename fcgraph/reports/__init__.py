"""The life of a monthly report: month -> lines -> file -> row, and the changes since a version or between versions.

`fcgraph.queries` defines a daily total and lists the existing versions.
"""

from fcgraph.days import last_midnight as last_midnight
from fcgraph.days import next_midnight as next_midnight
from fcgraph.reports.changes import LineChange as LineChange
from fcgraph.reports.changes import basis_of as basis_of
from fcgraph.reports.changes import changes_between as changes_between
from fcgraph.reports.changes import changes_since as changes_since
from fcgraph.reports.generation import Generated as Generated
from fcgraph.reports.generation import due_periods as due_periods
from fcgraph.reports.generation import generate as generate
from fcgraph.reports.generation import sweep as sweep
from fcgraph.reports.lines import HEADER as HEADER
from fcgraph.reports.lines import LineTotals as LineTotals
from fcgraph.reports.lines import ReportLine as ReportLine
from fcgraph.reports.lines import read_lines as read_lines
from fcgraph.reports.period import Period as Period
from fcgraph.reports.period import parse_period as parse_period
