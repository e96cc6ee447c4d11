from .fuzz_decoding import Trial


def test_whatever_the_distributions_decoding_ends_or_says_that_they_are_none():
    """`python -m tests.models.fuzz_decoding 20000` does it for more."""
    for seed in range(40):
        Trial(seed).check()
