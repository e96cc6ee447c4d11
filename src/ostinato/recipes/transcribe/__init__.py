"""The recipe `transcribe`: frames in, a shorter text out."""
