"""The report: results in, one self-contained page and its tables out.

It reads files only, so it shows whatever `dvc pull` brings, too. No tensor library is imported.
"""

from fedmvp.report.builder import build
from fedmvp.report.pictures import ContactSheet
from fedmvp.report.study import DataRow, Subject

__all__ = ["ContactSheet", "DataRow", "Subject", "build"]
