"""The inputs of models: chunks of streams, batches of examples."""
