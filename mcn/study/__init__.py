"""Objectives compared over seeds and conditions, so that what is found can be relied on: docs/study.md.

Conventions
-----------
- A study is planned on a validation draw (schedules, power), then made on a test set that nothing was chosen on.
- Its trainings are trials (`mcn.config.study`), one job each; a trial scores its model video by video.
- Every difference is paired over seeds and videos, and every family of tests is corrected for their number.
"""
