"""What models are handed: chunks of streams, batches of examples."""
