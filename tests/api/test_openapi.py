"""Schemathesis asks the running API everything its description allows, and much that it does not."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.api.running import client, fake_daemon

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries underneath, while they load
    import schemathesis
    from hypothesis import HealthCheck, Phase, settings
    from schemathesis import checks

from servent.api import server
from servent.api.routing import openapi

SKIPPED = ("/shutdown", "/tokens/rotate", "/web/restart")  # they end, or lock out, the node under test
schema = schemathesis.openapi.from_dict(openapi(server.COLLECTIONS, "1")).exclude(
    path=["/api/v1" + path for path in SKIPPED]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
    derandomize=True,
)
def test_the_api_does_what_it_says(case, folder: Path) -> None:  # type: ignore[no-untyped-def]
    node = client(folder)
    token = (folder / "api.token").read_text().strip()
    case.call_and_validate(
        base_url=node.url,
        headers={"Authorization": f"Bearer {token}"},
        checks=(
            checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ),
    )


def test_the_reference_is_up_to_date() -> None:
    from servent.api.reference import render
    from tests.api.running import ROOT

    assert (ROOT / "docs" / "api.md").read_text("utf-8") == render(), (
        "run: python -m servent.api.reference > docs/api.md"
    )
