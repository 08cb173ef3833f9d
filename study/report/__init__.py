"""The report of a study: one page that opens anywhere, the same as Markdown, and the data of every figure as CSV."""

from study.report.page import write_report

__all__ = ["write_report"]
