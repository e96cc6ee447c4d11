import json

from ostinato.insight import Diagnosis, Finding
from ostinato.insight.diagnosis.finding import Number

WARNING = Finding("stuck units", "warning", "layer (GRU)", "3 of 4 units stand still", "smaller hidden_size=")
FAULT = Finding(
    "softmax twice", "fault", "loss", "[0, 1] is given", "leave it out", "it fell", {"floor": Number(0.55, "nats")}
)


def test_the_worst_comes_first() -> None:
    found = Diagnosis([WARNING, FAULT], ["a", "b"], {})
    assert found.names == ["softmax twice", "stuck units"]
    assert len(found) == 2
    assert found[0] is FAULT
    assert found[:1] == [FAULT]
    assert list(found) == [FAULT, WARNING]


def test_it_reads_well() -> None:
    found = Diagnosis([WARNING, FAULT], ["a", "b"], {"c": "give x=", "d": "give x="})
    assert str(found).splitlines() == [
        "fault   softmax twice  loss",
        "  seen  [0, 1] is given",
        "  do    leave it out",
        "  tried it fell",
        "warning stuck units  layer (GRU)",
        "  seen  3 of 4 units stand still",
        "  do    smaller hidden_size=",
        "2 findings in 2 checks",
        "not checked (give x=): c, d",
    ]
    assert str(Diagnosis([], ["a"], {})) == "nothing found in 1 checks"
    assert str(Diagnosis([FAULT], ["a"], {})).endswith("1 finding in 1 checks")


def test_plain_values_for_the_report() -> None:
    told = Diagnosis([FAULT], ["softmax twice"], {"c": "give x="}).to_dict()
    assert json.loads(json.dumps(told)) == {
        "findings": [
            {
                "name": "softmax twice",
                "severity": "fault",
                "where": "loss",
                "evidence": "[0, 1] is given",
                "remedy": "leave it out",
                "effect": "it fell",
                "numbers": {"floor": {"value": 0.55, "unit": "nats"}},
            }
        ],
        "checked": ["softmax twice"],
        "unchecked": {"c": "give x="},
    }
