"""Models, one file a task: what they compute, not how they are trained."""

from ostinato.models.beam import BeamSettings, beam_search, beam_search_stream
from ostinato.models.cache import ContinuousCache
from ostinato.models.captioner import CaptionBatch, Captioner
from ostinato.models.classifier import Classifier
from ostinato.models.decoding import (
    DrawOptions,
    Hypothesis,
    StepByStep,
    StepDecoder,
    Writing,
    WritingOptions,
    copy_unknown,
    decode,
)
from ostinato.models.dropout import LockedDropout, WordDropout
from ostinato.models.dynamic import DynamicEvaluation, gradient_rms
from ostinato.models.first_states import Bridge
from ostinato.models.fixed_window import FixedWindow
from ostinato.models.forecaster import Forecaster, SeriesBatch, uniform_numbers
from ostinato.models.image_encoder import ImageShape
from ostinato.models.language_model import LanguageModel
from ostinato.models.markov import Markov, compare_orders
from ostinato.models.penalties import activation_penalty
from ostinato.models.pooling import Pooling
from ostinato.models.scores import Score, TextState, score_text
from ostinato.models.seq2seq import Seq2Seq
from ostinato.models.seq2seq_decoder import AttentionDecoder, DecoderState, Written
from ostinato.models.seq2seq_sampling import ScheduledSampling
from ostinato.models.tagger import Tagger
from ostinato.models.tagger_words import WordEncoder, Words
from ostinato.models.target_model import Predicted

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
    "Hypothesis",
    "ImageShape",
    "LanguageModel",
    "LockedDropout",
    "Markov",
    "Pooling",
    "Predicted",
    "ScheduledSampling",
    "Score",
    "Seq2Seq",
    "SeriesBatch",
    "StepByStep",
    "StepDecoder",
    "Tagger",
    "TextState",
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
    "score_text",
    "uniform_numbers",
]
