"""The modules that can be written as C, and the parts of a step of each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.utils import parametrize

from ostinato.errors import ConfigError
from ostinato.exporting.c.layer import LayerFunction
from ostinato.exporting.c.network import Network
from ostinato.exporting.c.parts import Answer, Layers, Linear, Part, Pool, Rows
from ostinato.exporting.c.series import Distribution, SeriesReader
from ostinato.exporting.c.stack import stack
from ostinato.exporting.c.step import Argument
from ostinato.exporting.c.text import counted, identifier
from ostinato.exporting.c.weights import Constants, WeightsName
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.pooling import Pooling
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import Gaussian, Quantiles, StudentT
from ostinato.models.tagging.numbers import Numbers
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.text.language_model import LanguageModel
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step

_TAKES = "a recurrent layer of ostinato, a LanguageModel, a Classifier, a Tagger or a Forecaster"


def network_of(module: nn.Module, name: str, weights: WeightsName) -> Network:
    """Return the network to write for a module.

    Raises:
        ConfigError: the module cannot be written as C; the message has the reason.
    """
    if module.training:
        raise ConfigError("C expected a module in evaluation mode, got one in training mode; use module.eval()")
    for base in (Recurrent, LanguageModel, Classifier, Tagger, Forecaster):
        if isinstance(module, base) and parametrize.type_before_parametrizations(module).forward is not base.forward:
            raise ConfigError(
                f"C expected a {base.__name__} as it is, got {type(module).__name__}, whose `forward` is another; export "
                "the layers inside of it"
            )
    building = _Building(name, Constants(weights))
    match module:
        case Recurrent():
            return building.layer(module)
        case LanguageModel():
            return building.language_model(module)
        case Classifier():
            return building.classifier(module)
        case Tagger():
            return building.tagger(module)
        case Forecaster():
            return building.forecaster(module)
        case Step():
            raise ConfigError(
                f"C expected {_TAKES}, got the single step {type(module).__name__}; make a layer of its cell, "
                "and give it the weights"
            )
        case nn.RNNBase() | nn.RNNCellBase():
            raise ConfigError(
                f"C expected {_TAKES}, got {type(module).__module__}.{type(module).__name__}; "
                "ostinato.convert(module) makes torch.nn's layers ours"
            )
        case _:
            raise ConfigError(
                f"C expected {_TAKES}, got {type(module).__name__}; export the recurrent layer inside of it"
            )


class _Building:
    """Makes the parts of one network."""

    def __init__(self, name: str, constants: Constants) -> None:
        self.name, self.constants = name, constants

    # whole models

    def layer(self, module: Recurrent) -> Network:
        layers = self._layers(module)
        what = counted(module.num_layers, "layer")
        title = f"{module.base_cell.name}, {what}, without an output layer."
        x = _numbers(layers.stack.inputs)
        extras = [
            Argument(
                called, "const float *" if size else "float", counted(size, "number") if size else "a number", name
            )
            for called, (name, size) in zip(layers.extras, layers.stack.extras.items(), strict=True)
        ]
        width = layers.stack.outputs
        parts = [layers, Answer(width)]
        return self._network(
            title, [x, *extras], parts, width, f"{counted(width, 'number')}, the output of the last layer"
        )

    def language_model(self, module: LanguageModel) -> Network:
        rows, layers = self._embedding(module.embedding), self._layers(module.recurrent)
        output = self._linear(module.output)
        title = f"a language model over {counted(len(module.vocabulary), 'token')}; {module.recurrent.base_cell.name}."
        return self._network(
            title,
            [_token(module.embedding)],
            [rows, layers, output],
            module.output.out_features,
            "a score for each token to be the next, before softmax",
            choices=True,
        )

    def classifier(self, module: Classifier) -> Network:
        if module.naive_bayes is not None:
            raise ConfigError(
                "C expected a Classifier without naive_bayes, which looks for runs of tokens in a table of counts; train with "
                "naive_bayes=None (--model.naive_bayes false)"
            )
        first: list[Part] = [] if module.embedding is None else [self._embedding(module.embedding)]
        layers = self._layers(module.recurrent)
        pool = self._pool(module.pooling)
        output = self._linear(module.output, float(module.scales[0]))
        x = _numbers(layers.stack.inputs) if module.embedding is None else _token(module.embedding)
        title = f"a classifier of sequences, {counted(module.num_classes, 'class', 'classes')}; "
        title += f"{module.recurrent.base_cell.name}, pooling {module.pooling.name}."
        gives = "a score for each class, before softmax: of the sequence as far as it has come"
        parts = [*first, layers, *pool, output]
        return self._network(title, [x], parts, module.num_classes, gives, choices=True)

    def tagger(self, module: Tagger) -> Network:
        if not isinstance(module.encoder, nn.Embedding | Numbers):
            raise ConfigError(
                f"C expected a Tagger with an Embedding of tokens, or of Numbers, got {type(module.encoder).__name__}, which reads "
                "the spelling of words in both directions"
            )
        first: list[Part] = [] if isinstance(module.encoder, Numbers) else [self._embedding(module.encoder)]
        layers = self._layers(module.recurrent)
        output = self._linear(module.output)
        title = f"a tagger of steps, {counted(module.num_tags, 'tag')}; {module.recurrent.base_cell.name}."
        gives, notes = "a score for each tag of this step, before softmax", []
        if module.crf is not None:
            gives = "the emission of each tag at this step, from which the CRF finds the best path of a whole sequence"
            notes = [
                "The model ends in a CRF, whose best path needs all steps; it is not in here. The tag with the largest emission",
                "is another answer than the model's.",
            ]
        takes = _numbers(layers.stack.inputs) if isinstance(module.encoder, Numbers) else _token(module.encoder)
        parts = [*first, layers, output]
        return self._network(title, [takes], parts, module.num_tags, gives, choices=True, notes=notes)

    def forecaster(self, module: Forecaster) -> Network:
        names = {Gaussian: "gaussian", StudentT: "student-t", Quantiles: "quantiles"}
        if type(module.head) not in names:
            raise ConfigError(
                f"C expected a Forecaster with the head gaussian, student-t or quantiles, got {type(module.head).__name__}"
            )
        if module.words is not None:
            raise ConfigError(
                "C expected a Forecaster whose covariates are numbers, got one that reads words; export it as ONNX"
            )
        embedding = None
        if module.embedding is not None:
            embedding = self.constants.matrix("series_rows", module.embedding.weight)
        reader = SeriesReader(
            module.baseline,
            (1, *module.lags),
            module.limit,
            module.known_size,
            module.observed_size,
            embedding,
            module.baseline.name != "last_value",
        )
        distribution = Distribution(module.head, names[type(module.head)])
        arguments = [
            Argument("x", "float", "the value that has just come; NaN where it is missing, and at the first step")
        ]
        if module.known_size:
            told = f"{counted(module.known_size, 'covariate')} of the step that is forecast; NaN where missing"
            arguments.append(Argument("known", "const float *", told, "known"))
        if module.observed_size:
            told = f"{counted(module.observed_size, 'covariate')} that came with x; NaN where missing"
            arguments.append(Argument("observed", "const float *", told, "observed"))
        if embedding is not None:
            arguments.append(Argument("series", "int", "which series it is; 0 for a new one", "series"))
        layers, output = self._layers(module.recurrent), self._linear(module.output, to="raw")
        title = f"a forecaster of the next value; {module.recurrent.base_cell.name}, baseline {module.baseline.name}."
        parts = [reader, layers, output, distribution]
        return self._network(title, arguments, parts, module.head.size, distribution.gives)

    # parts

    def _network(
        self,
        title: str,
        arguments: Sequence[Argument],
        parts: Sequence[Part],
        outputs: int,
        gives: str,
        choices: bool = False,
        notes: Sequence[str] = (),
    ) -> Network:
        return Network(self.name, title, self.constants, arguments, parts, outputs, gives, choices, notes)

    def _layers(self, layer: Recurrent) -> Layers:
        made = stack(layer, self.constants)
        functions = [LayerFunction(each, self.constants, self.name) for each in made.layers]
        taken = {"s", "x", "y", "i", "work", *(f"work{n}" for n in range(len(functions))), "added"}
        return Layers(made, functions, [identifier(name, taken) for name in made.extras])

    def _embedding(self, module: nn.Embedding) -> Rows:
        if module.max_norm is not None:
            raise ConfigError(
                "C expected an Embedding without max_norm, which shortens rows as they are read; shorten them once, and set "
                "max_norm=None"
            )
        return Rows(self.constants.matrix("embedding", module.weight))

    def _linear(self, module: nn.Linear, scale: float = 1.0, to: str = "") -> Linear:
        weight = module.weight if scale == 1.0 else module.weight.detach() * scale
        matrix = self.constants.matrix("output_weight", weight)
        if module.bias is None:  # pyright: ignore[reportUnnecessaryComparison]
            return Linear(matrix, "", None, to)
        bias = self.constants.vector("output_bias", module.bias.detach() * scale)
        return Linear(matrix, bias, self.constants.vectors[bias], to)

    def _pool(self, module: Pooling) -> Sequence[Pool]:
        if module.name == "last":
            return []
        if module.name != "attention":
            return [Pool(module.name, module.size)]
        key = self.constants.matrix("attention_key", module.key.weight)
        bias = self.constants.vector("attention_bias", module.key.bias)
        query = self.constants.vector("attention_query", module.query.weight[0])
        numbers = self.constants.vectors[bias], self.constants.vectors[query]
        return [Pool(module.name, module.size, key, (bias, query), numbers)]


def _numbers(count: int) -> Argument:
    return Argument("x", "const float *", counted(count, "number"), counts=(("INPUTS", count),))


def _token(embedding: nn.Embedding) -> Argument:
    count = embedding.num_embeddings
    return Argument("x", "int", f"a token, from 0 to {count - 1}; another counts as 0", counts=(("TOKENS", count),))
