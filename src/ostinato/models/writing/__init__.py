"""Networks that write a text about a text or an image; decoding, beam search."""
