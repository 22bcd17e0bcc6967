"""A job of a run whose configuration was edited is refused."""

import pytest

from mcn.config.one_configuration import VARIABLE, require_one_configuration
from mcn.errors import UserError


def test_jobs_of_the_heads_configuration_run_and_others_do_not(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    require_one_configuration({}, is_head=False)  # no head: a job started by hand
    monkeypatch.setenv(VARIABLE, "")
    require_one_configuration({}, is_head=True)
    require_one_configuration({}, is_head=False)
    with pytest.raises(UserError, match="edited while the run went on"):
        require_one_configuration({"title": "other"}, is_head=False)
