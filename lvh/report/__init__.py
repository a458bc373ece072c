"""The end of a sweep: which configuration is best, and how sure that is."""

from lvh.report.leaderboard import table
from lvh.report.page import write
from lvh.report.verdict import sentences

__all__ = ["sentences", "table", "write"]
