"""The report: from results to one self-contained page and its tables.

It only reads files, so it also shows results that `dvc pull` fetched. It imports no tensor library.
"""

from fedmvp.report.builder import build
from fedmvp.report.pictures import ContactSheet
from fedmvp.report.study import DataRow, Subject

__all__ = ["ContactSheet", "DataRow", "Subject", "build"]
