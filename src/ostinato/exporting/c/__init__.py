"""From a trained model to C99: one header and one source, without allocation, for any machine with a C compiler."""
