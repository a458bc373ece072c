"""The end of a sweep: which configuration is best, and how sure that is."""

from lvh.reports.study.leaderboard import table
from lvh.reports.study.study_page import write
from lvh.reports.study.verdict import sentences

__all__ = ["sentences", "table", "write"]
