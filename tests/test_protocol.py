"""The settings that a verb receives."""

import json

import pytest
import yaml
from persistem.study.settings import protocol_of

#: A digest that reads as a number.
DIGEST = "3423657709e4"


def test_a_digest_that_reads_as_a_number_stays_a_digest(tmp_path):
    settings = {"sources": [{"specimen": "melt-s01", "digest": DIGEST}], "C": 1e-5}
    stage = tmp_path / "stage.yaml"
    stage.write_text(yaml.safe_dump({"stage": "learning", "inputs": [DIGEST], "settings": settings}))
    assert protocol_of(json.dumps(settings)) == settings
    assert protocol_of(str(stage)) == settings


@pytest.mark.parametrize("text", ["{C: 1e-5}", '{"C": 1e-5}', "{C: 1.0e-5}"])
def test_an_exponential_is_a_number(text):
    assert protocol_of(text) == {"C": 1e-5}
