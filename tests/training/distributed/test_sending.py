"""What processes tell each other arrives as it was, and without what lies beside it."""

import pytest
import torch

from ostinato.training.distributed.sending import from_bytes, to_bytes

WHOLE = torch.arange(120.0).view(4, 5, 6)
TENSORS = {
    "whole": WHOLE,
    "row": WHOLE[2],
    "column": WHOLE[:, 3, 1],
    "turned": WHOLE.permute(2, 0, 1)[1:3],
    "repeated": WHOLE[1, :1].expand(7, 3, 6),
    "empty": WHOLE[:0],
    "number": WHOLE[1, 1, 1],
    "bool": WHOLE > 50,
    "half": WHOLE.bfloat16()[1:, ::2],
    "complex": torch.complex(WHOLE, -WHOLE)[1],
    "conjugate": torch.complex(WHOLE, -WHOLE)[1].conj(),
    "sparse": WHOLE[0].to_sparse(),
    "parameter": torch.nn.Parameter(WHOLE[1]),
}


class Anything:
    def __init__(self, tensor):
        self.tensor = tensor


# torch 2.12 says so of itself, once a process.
@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")
@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_arrives_bit_for_bit_with_its_strides(name):
    sent = TENSORS[name]
    (found,) = from_bytes(to_bytes([Anything(sent)]))
    found = found.tensor
    assert (found.dtype, found.shape, found.layout) == (sent.dtype, sent.shape, sent.layout)
    if sent.layout is torch.strided:
        assert found.stride() == sent.stride()
        assert torch.equal(found, sent)
    else:
        assert torch.equal(found.to_dense(), sent.to_dense())


def test_a_view_leaves_behind_what_lies_beside_it():
    data = torch.zeros(1_000_000)
    assert len(to_bytes([data[5:15], {"a": Anything(data[-3:])}])) < 1000


def test_what_cannot_be_pickled_is_told():
    with pytest.raises(TypeError, match="lambda"):
        to_bytes({"a": lambda: 3})
