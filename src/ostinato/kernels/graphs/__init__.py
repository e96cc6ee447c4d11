"""Recurrences as operators of PyTorch: what torch.compile, torch.export and torch.func see."""
