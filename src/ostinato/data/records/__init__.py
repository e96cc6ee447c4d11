"""Records that tasks read: labelled images, sentences, captions and pairs of texts, in parts."""
