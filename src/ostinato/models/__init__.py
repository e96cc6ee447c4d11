"""Models, in a folder for each kind of task: what they compute, not how they are trained."""

from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.pooling import Pooling
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers
from ostinato.models.parts.dropout import LockedDropout, WordDropout
from ostinato.models.parts.penalties import activation_penalty
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import WordEncoder, Words
from ostinato.models.text.cache import ContinuousCache
from ostinato.models.text.dynamic import DynamicEvaluation, gradient_rms
from ostinato.models.text.fixed_window import FixedWindow
from ostinato.models.text.language_model import LanguageModel
from ostinato.models.text.markov import Markov, compare_orders
from ostinato.models.transcribing.prefix_beam import FoundText, PrefixBeam, prefix_beam_search
from ostinato.models.transcribing.transcriber import Transcriber
from ostinato.models.writing.beam import BeamSettings, beam_search, beam_search_stream
from ostinato.models.writing.captioner import CaptionBatch, Captioner
from ostinato.models.writing.decoder import AttentionDecoder, DecoderState, Written
from ostinato.models.writing.decoding import (
    DrawOptions,
    Hypothesis,
    StepByStep,
    StepDecoder,
    Writing,
    WritingOptions,
    copy_unknown,
    decode,
)
from ostinato.models.writing.first_states import Bridge
from ostinato.models.writing.image_encoder import ImageShape
from ostinato.models.writing.scheduled_sampling import ScheduledSampling
from ostinato.models.writing.scores import Score, TextState, score_text
from ostinato.models.writing.seq2seq import Seq2Seq
from ostinato.models.writing.target_model import Predicted

__all__ = [
    "AttentionDecoder",
    "BeamSettings",
    "Bridge",
    "CaptionBatch",
    "Captioner",
    "Classifier",
    "ContinuousCache",
    "DecoderState",
    "DrawOptions",
    "DynamicEvaluation",
    "FixedWindow",
    "Forecaster",
    "FoundText",
    "Hypothesis",
    "ImageShape",
    "LanguageModel",
    "LockedDropout",
    "Markov",
    "Pooling",
    "Predicted",
    "PrefixBeam",
    "ScheduledSampling",
    "Score",
    "Seq2Seq",
    "SeriesBatch",
    "StepByStep",
    "StepDecoder",
    "Tagger",
    "TextState",
    "Transcriber",
    "WordDropout",
    "WordEncoder",
    "Words",
    "Writing",
    "WritingOptions",
    "Written",
    "activation_penalty",
    "beam_search",
    "beam_search_stream",
    "compare_orders",
    "copy_unknown",
    "decode",
    "gradient_rms",
    "prefix_beam_search",
    "score_text",
    "uniform_numbers",
]
