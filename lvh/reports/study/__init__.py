"""The end of a sweep: which configuration is best, and how sure that is."""

from lvh.reports.study.study_report import EXPLANATIONS, table, write
from lvh.reports.study.verdict import sentences

__all__ = ["EXPLANATIONS", "sentences", "table", "write"]
