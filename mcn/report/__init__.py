"""The report: one offline HTML page of a run's scores, curves, features, retrieved moments, timelines and accounts."""

from mcn.report.collect import ReportInputs
from mcn.report.render import make_report

__all__ = ["ReportInputs", "make_report"]
