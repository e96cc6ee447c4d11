"""Networks that write: for a text, for an image; decoding, beam search."""
