import pytest

from ostinato.errors import ConfigError
from ostinato.models.parts.layers import make_layers, output_size
from ostinato.nn import LSTM, RHN


def test_a_name_and_options_make_a_stack():
    made = make_layers("lstm", 3, 5, 2, options={"zoneout": 0.1}, bidirectional=True)
    assert isinstance(made, LSTM)
    assert (made.num_layers, made.bidirectional, output_size(made)) == (2, True, 10)
    assert output_size(make_layers("lstm", 3, [4, 6], options={"proj_size": 2})) == 2
    assert isinstance(make_layers("rhn", 3, 5, options={"depth": 3}), RHN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lstn"}, "cell: expected one of lstm, gru, .*, got lstn; did you mean lstm"),
        ({"options": {"dropout": 0.1}}, "options: dropout cannot be given here; the model sets it itself"),
        ({"options": {"proj_size": 2}, "proj_size": 3}, "options: proj_size cannot be given here"),
        ({"options": {"depth": 2}}, "options of LSTM: "),
        ({"options": {"zoneout": 2.0}}, "options of LSTM: "),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_layers(**{"cell": "lstm", "input_size": 3, "hidden_size": 4, **arguments})
